//! Asks PID 1 for properties over /run/systemd/private: D-Bus without a bus in between.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::geteuid;
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{Endian, to_bytes};
use zbus::{ObjectPath, Signature, Type, as_variant};

use super::UnitError;

/// How long connecting, asking and reading the answers may take altogether.
pub const LIMIT: Duration = Duration::from_secs(1);

/// Bytes of a message, and of all answers, at the most; those of kubeadm's unit have about 2,000. Signals that come between
/// are not kept and not counted: a unit that is not active is loaded for each answer, with signals for all that it names.
const SIZE_LIMIT: usize = 1 << 20;

/// Bytes of the line that answers the authentication.
const LINE_LIMIT: usize = 512;

/// Bytes asked for at once.
const READ: usize = 8 << 10;

/// A property of an object of PID 1's.
#[derive(Debug, Clone, Copy)]
pub struct Property<'a> {
    /// The object's path.
    pub object: &'a str,
    /// The interface that has the property.
    pub interface: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// What PID 1 answers for a property.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The value as it is on the wire.
    Value(Value),
    /// An error.
    Refused {
        /// The error's name, such as `org.freedesktop.DBus.Error.UnknownProperty`.
        name: String,
        /// What PID 1 says of it.
        text: String,
    },
}

/// A value as it is on the wire.
#[derive(Debug, Clone)]
pub struct Value {
    body: Vec<u8>,
    endian: Endian,
}

impl Answer {
    /// The value, which has to have this type.
    ///
    /// # Errors
    ///
    /// When PID 1 refuses it, or sends something else.
    pub fn read<T: DeserializeOwned + Type>(&self) -> Result<T, UnitError> {
        match self {
            Self::Value(value) => {
                let data = Data::new(&value.body, Context::new(value.endian, 0));
                let read = data.deserialize::<as_variant::Deserialize<'_, T>>();
                read.map(|(value, _)| value.0).map_err(garbled)
            }
            Self::Refused { name, text } => Err(UnitError::Refused {
                name: name.clone(),
                text: text.clone(),
            }),
        }
    }

    /// The same; none where this systemd, or this kind of unit, does not have the property.
    ///
    /// # Errors
    ///
    /// When PID 1 refuses it for another reason, or sends something else.
    pub fn read_if_known<T: DeserializeOwned + Type>(&self) -> Result<Option<T>, UnitError> {
        match self {
            Self::Refused { name, .. }
                if name.ends_with(".UnknownProperty") || name.ends_with(".UnknownInterface") =>
            {
                Ok(None)
            }
            _ => self.read().map(Some),
        }
    }
}

/// Asks PID 1 for properties, and returns an answer for each.
///
/// # Errors
///
/// When PID 1 is not systemd, or does not answer within `limit` or in D-Bus.
pub fn ask(
    root: &Path,
    properties: &[Property<'_>],
    limit: Duration,
) -> Result<Vec<Answer>, UnitError> {
    let mut calls = Vec::new();
    for (serial, property) in (1..).zip(properties) {
        calls.extend(call(serial, property).map_err(garbled)?);
    }
    let mut connection = Connection::begin(root, limit)?;
    connection.write(&calls)?;
    let mut answers = vec![None; properties.len()];
    let mut missing = properties.len();
    let mut left = SIZE_LIMIT;
    while missing > 0 {
        while let Some((message, length)) = Message::take(&connection.read)? {
            connection.read.drain(..length);
            let Some((serial, answer)) = message.answer()? else {
                continue;
            };
            left = left.checked_sub(length).ok_or_else(|| garbled(TOO_LARGE))?;
            let place = serial
                .checked_sub(1)
                .and_then(|at| answers.get_mut(at as usize));
            if let Some(place @ None) = place {
                *place = Some(answer);
                missing -= 1;
            }
        }
        if missing > 0 {
            connection.read_more()?;
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// A connection to PID 1, up to a deadline.
struct Connection {
    stream: UnixStream,
    deadline: Instant,
    /// What is read and not yet understood.
    read: Vec<u8>,
}

impl Connection {
    /// Connects and authenticates.
    fn begin(root: &Path, limit: Duration) -> Result<Self, UnitError> {
        let deadline = Instant::now() + limit;
        let stream = connect_until(&root.join("run/systemd/private"), deadline);
        let mut connection = Self {
            stream: stream.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => UnitError::NoSystemd,
                _ => UnitError::NoAnswer(error),
            })?,
            deadline,
            read: Vec::new(),
        };
        // The user's number in decimal, and each digit's code in hexadecimal. Source: D-Bus specification, "Authentication
        // Protocol".
        let user = geteuid().as_raw().to_string();
        let user: String = user.chars().flat_map(|digit| ['3', digit]).collect();
        connection.write(format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").as_bytes())?;
        // The calls wait for this line: systemd may read what comes earlier as part of the authentication, and then not
        // look at it before more comes.
        let end = loop {
            if let Some(end) = memchr::memmem::find(&connection.read, b"\r\n") {
                break end;
            }
            if connection.read.len() > LINE_LIMIT {
                return Err(garbled("no end of a line"));
            }
            connection.read_more()?;
        };
        if !connection.read.starts_with(b"OK ") {
            return Err(UnitError::NoAnswer(io::ErrorKind::PermissionDenied.into()));
        }
        connection.read.drain(..end + 2);
        Ok(connection)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), UnitError> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(rest(self.deadline)?))?;
            match self.stream.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) => signal_only(error)?,
            }
        }
        Ok(())
    }

    /// Reads what there is, at least a byte.
    fn read_more(&mut self) -> Result<(), UnitError> {
        let mut buffer = [0; READ];
        loop {
            self.stream.set_read_timeout(Some(rest(self.deadline)?))?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(UnitError::NoAnswer(io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => {
                    self.read.extend_from_slice(&buffer[..length]);
                    return Ok(());
                }
                Err(error) => signal_only(error)?,
            }
        }
    }
}

/// Connects; a socket on which too many wait to be accepted blocks.
fn connect_until(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    loop {
        // Linux lets a connection on a Unix socket wait no longer than that either.
        set_socket_timeout(&socket, Timeout::Send, Some(rest(deadline)?))?;
        match connect(&socket, &address).map_err(io::Error::from) {
            Ok(()) => return Ok(socket.into()),
            Err(error) => signal_only(error)?,
        }
    }
}

/// What is left of the time; a timeout of 0 would be none.
fn rest(deadline: Instant) -> io::Result<Duration> {
    let rest = deadline.saturating_duration_since(Instant::now());
    if rest.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(rest.max(Duration::from_micros(1)))
}

/// The error, unless it is a signal that came between.
fn signal_only(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        // What a socket says when its own timeout is over.
        io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
        _ => Err(error),
    }
}

/// Types of messages, codes of header fields, and the version of the protocol. Source: D-Bus specification, "Message
/// Format".
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const SIGNATURE: u8 = 8;
const VERSION: u8 = 1;

/// Byte order, type, flags, version, length of the body, serial number, fields.
type Header = (u8, u8, u8, u8, u32, u32, Vec<(u8, Field)>);

/// Bytes of a header before its fields, the length of these included.
const FIXED: usize = 16;

/// A message of PID 1's.
#[derive(Debug, Clone)]
pub struct Message {
    kind: u8,
    fields: Vec<(u8, Field)>,
    value: Value,
}

impl Message {
    /// Takes a message off the beginning of the bytes, and says how long it is; none while it is not there to its end.
    ///
    /// # Errors
    ///
    /// When it is no message, or one of more than 1 MiB.
    pub fn take(bytes: &[u8]) -> Result<Option<(Self, usize)>, UnitError> {
        let Some((fixed, _)) = bytes.split_first_chunk::<FIXED>() else {
            return Ok(None);
        };
        let endian = match fixed[0] {
            b'l' => Endian::Little,
            b'B' => Endian::Big,
            _ => return Err(garbled("no message")),
        };
        let length = |at: usize| endian.read_u32(&fixed[at..at + 4]) as usize;
        let end_of_fields = FIXED.saturating_add(length(12));
        let body_start = end_of_fields.saturating_add(7) & !7;
        let end = body_start.saturating_add(length(4));
        if end > SIZE_LIMIT {
            return Err(garbled(TOO_LARGE));
        }
        if fixed[3] != VERSION {
            return Err(garbled("another version of D-Bus"));
        }
        if bytes.len() < end {
            return Ok(None);
        }
        let data = Data::new(&bytes[..end_of_fields], Context::new(endian, 0));
        let ((_, kind, .., fields), _) = data.deserialize::<Header>().map_err(garbled)?;
        let body = bytes[body_start..end].to_vec();
        let value = Value { body, endian };
        Ok(Some((
            Self {
                kind,
                fields,
                value,
            },
            end,
        )))
    }

    /// The serial number of the call that this answers, and the answer; none if it is no answer.
    ///
    /// # Errors
    ///
    /// When it is an answer, and not that of a property.
    pub fn answer(self) -> Result<Option<(u32, Answer)>, UnitError> {
        if !matches!(self.kind, METHOD_RETURN | ERROR) {
            return Ok(None);
        }
        let field = |wanted| self.fields.iter().find(|(code, _)| *code == wanted);
        let Some((_, Field::Number(serial))) = field(REPLY_SERIAL) else {
            return Err(garbled("an answer to nothing"));
        };
        let signature = match field(SIGNATURE) {
            Some((_, Field::Signature(signature))) => signature.as_str(),
            _ => "",
        };
        let answer = match (self.kind, field(ERROR_NAME)) {
            (METHOD_RETURN, _) if signature == "v" => Answer::Value(self.value),
            (ERROR, Some((_, Field::Text(name)))) => {
                let data = Data::new(&self.value.body, Context::new(self.value.endian, 0));
                let text = match signature {
                    "s" => data.deserialize::<String>().map_err(garbled)?.0,
                    _ => String::new(),
                };
                Answer::Refused {
                    name: name.clone(),
                    text,
                }
            }
            _ => return Err(garbled("an answer of another kind")),
        };
        Ok(Some((*serial, answer)))
    }
}

/// The bytes of a call for a property.
fn call(serial: u32, property: &Property<'_>) -> zbus::Result<Vec<u8>> {
    let context = Context::new(Endian::Little, 0);
    let body = to_bytes(context, &(property.interface, property.name))?;
    let text = |text: &str| Field::Text(text.to_owned());
    let fields = vec![
        (PATH, Field::Path(property.object.to_owned())),
        (INTERFACE, text("org.freedesktop.DBus.Properties")),
        (MEMBER, text("Get")),
        (SIGNATURE, Field::Signature("ss".to_owned())),
    ];
    let length = u32::try_from(body.len()).map_err(|_| zbus::Error::ExcessData)?;
    let header: Header = (b'l', METHOD_CALL, 0, VERSION, length, serial, fields);
    let mut message = to_bytes(context, &header)?.to_vec();
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend_from_slice(&body);
    Ok(message)
}

/// The value of a header field. `zbus::Variant` can hold any value and takes 78 KB.
#[derive(Debug, Clone)]
enum Field {
    Number(u32),
    Path(String),
    Signature(String),
    Text(String),
}

impl Type for Field {
    const SIGNATURE: &'static Signature = &Signature::Variant;
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => as_variant::serialize(number, serializer),
            Self::Path(path) => {
                let path = ObjectPath::try_from(path.as_str()).map_err(S::Error::custom)?;
                as_variant::serialize(&path, serializer)
            }
            Self::Signature(signature) => as_variant::serialize(&Signatures(signature), serializer),
            Self::Text(text) => as_variant::serialize(text, serializer),
        }
    }
}

/// Signatures in a row, which `zbus::Signature` would write as those of one structure: `(ss)`.
struct Signatures<'a>(&'a str);

impl Type for Signatures<'_> {
    const SIGNATURE: &'static Signature = &Signature::Signature;
}

impl Serialize for Signatures<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Variant", &["signature", "value"], FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value of a header field")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Field, A::Error> {
        let signature = parts.next_element::<Signature>()?;
        let field = match signature {
            Some(Signature::U32) => parts.next_element()?.map(Field::Number),
            Some(Signature::ObjectPath) => parts.next_element()?.map(Field::Path),
            Some(Signature::Signature) => parts.next_element()?.map(Field::Signature),
            Some(Signature::Str) => parts.next_element()?.map(Field::Text),
            _ => None,
        };
        field.ok_or_else(|| A::Error::custom("a header field of another type"))
    }
}

const TOO_LARGE: &str = "more than 1 MiB";

fn garbled(reason: impl fmt::Display) -> UnitError {
    UnitError::Garbled(reason.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::sync::mpsc;
    use std::{fs, thread};

    use rustix::net::{bind, listen};

    use super::*;

    /// What a misbehaving PID 1 is given here; what waits for it has to end soon after.
    const SHORT: Duration = Duration::from_millis(300);
    const SOON: Duration = Duration::from_secs(5);

    const STATE: Property<'_> = Property {
        object: "/org/freedesktop/systemd1/unit/kubelet_2eservice",
        interface: "org.freedesktop.systemd1.Unit",
        name: "LoadState",
    };

    /// A message of PID 1's with a value or text as its body.
    fn message<T: Type + Serialize>(
        endian: Endian,
        kind: u8,
        fields: Vec<(u8, Field)>,
        body: &T,
    ) -> Vec<u8> {
        let context = Context::new(endian, 0);
        let order = if endian == Endian::Little { b'l' } else { b'B' };
        let body = to_bytes(context, body).unwrap();
        let length = u32::try_from(body.len()).unwrap();
        let header: Header = (order, kind, 1, VERSION, length, 77, fields);
        let mut message = to_bytes(context, &header).unwrap().to_vec();
        message.resize(message.len().next_multiple_of(8), 0);
        message.extend_from_slice(&body);
        message
    }

    fn value<T: Type + Serialize>(endian: Endian, serial: u32, value: &T) -> Vec<u8> {
        let signature = Field::Signature("v".to_owned());
        let fields = vec![
            (REPLY_SERIAL, Field::Number(serial)),
            (SIGNATURE, signature),
        ];
        message(endian, METHOD_RETURN, fields, &as_variant::Serialize(value))
    }

    fn refusal(serial: u32, name: &str) -> Vec<u8> {
        let fields = vec![
            (ERROR_NAME, Field::Text(name.to_owned())),
            (REPLY_SERIAL, Field::Number(serial)),
            (SIGNATURE, Field::Signature("s".to_owned())),
        ];
        message(Endian::Little, ERROR, fields, &"it says no".to_owned())
    }

    fn signal() -> Vec<u8> {
        let fields = vec![
            (PATH, Field::Path("/org/freedesktop/systemd1".to_owned())),
            (MEMBER, Field::Text("UnitNew".to_owned())),
            (SIGNATURE, Field::Signature("s".to_owned())),
        ];
        message(Endian::Little, 4, fields, &"x".repeat(3000))
    }

    /// A root of its own with the folder of PID 1's socket.
    fn root(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("kt-{}-{name}", std::process::id()));
        fs::create_dir_all(root.join("run/systemd")).unwrap();
        root
    }

    /// What comes of asking a PID 1 that does this with the connection, and whether it came in time.
    fn ask_one(
        name: &str,
        pid_1: impl FnOnce(&mut UnixStream) -> io::Result<()> + Send + 'static,
    ) -> Result<Vec<Answer>, UnitError> {
        let root = root(name);
        let listener = UnixListener::bind(root.join("run/systemd/private")).unwrap();
        let (done, end) = mpsc::channel::<()>();
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            // It may fail, where nobody reads any more.
            let _ = pid_1(&mut stream);
            // What is not closed before stays open.
            let _ = end.recv();
        });
        let start = Instant::now();
        let answers = ask(&root, &[STATE, STATE], SHORT);
        assert!(start.elapsed() < SOON, "{name} took {:?}", start.elapsed());
        drop(done);
        server.join().unwrap();
        fs::remove_dir_all(root).unwrap();
        answers
    }

    /// An answer as it comes from PID 1.
    pub(in crate::systemd) fn answer<T: Type + Serialize>(of: &T) -> Answer {
        let bytes = value(Endian::Little, 1, of);
        Message::take(&bytes)
            .unwrap()
            .unwrap()
            .0
            .answer()
            .unwrap()
            .unwrap()
            .1
    }

    /// The answer for a property that this systemd does not know.
    pub(in crate::systemd) fn unknown() -> Answer {
        let bytes = refusal(1, "org.freedesktop.DBus.Error.UnknownProperty");
        Message::take(&bytes)
            .unwrap()
            .unwrap()
            .0
            .answer()
            .unwrap()
            .unwrap()
            .1
    }

    /// Reads up to the end of the authentication and accepts it.
    fn accept(stream: &mut UnixStream) -> io::Result<()> {
        let mut line = [0; 128];
        let length = stream.read(&mut line)?;
        assert!(
            line.starts_with(b"\0AUTH EXTERNAL "),
            "{}",
            line.escape_ascii()
        );
        assert!(line[..length].ends_with(b"\r\nBEGIN\r\n"));
        stream.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n")
    }

    /// The same, and then sends this.
    fn send(bytes: Vec<u8>) -> impl FnOnce(&mut UnixStream) -> io::Result<()> + Send + 'static {
        move |stream| {
            accept(stream)?;
            stream.write_all(&bytes)
        }
    }

    /// The same, and closes the connection.
    fn send_and_close(
        bytes: Vec<u8>,
    ) -> impl FnOnce(&mut UnixStream) -> io::Result<()> + Send + 'static {
        move |stream| {
            send(bytes)(stream)?;
            stream.shutdown(std::net::Shutdown::Both)
        }
    }

    fn states(answers: &[Answer]) -> Vec<String> {
        answers
            .iter()
            .map(|answer| answer.read().unwrap())
            .collect()
    }

    #[test]
    fn understands_answers_in_any_order_form_and_piece() {
        let [loaded, masked] = ["loaded", "masked"].map(String::from);
        for endian in [Endian::Little, Endian::Big] {
            let answers = [value(endian, 2, &masked), value(endian, 1, &loaded)].concat();
            let answers = ask_one("order", send(answers)).unwrap();
            assert_eq!(states(&answers), ["loaded", "masked"]);
        }
        let mixed = [
            signal(),
            value(Endian::Little, 1, &loaded),
            // To nothing that was asked, and once more.
            value(Endian::Little, 0, &masked),
            value(Endian::Little, 3, &masked),
            value(Endian::Little, 1, &masked),
            signal(),
            value(Endian::Big, 2, &masked),
        ];
        let bytes = mixed.concat();
        let answers = ask_one("pieces", move |stream| {
            accept(stream)?;
            bytes
                .chunks(7)
                .try_for_each(|piece| stream.write_all(piece))
        });
        assert_eq!(states(&answers.unwrap()), ["loaded", "masked"]);
        let bytes = [
            value(Endian::Little, 1, &loaded),
            value(Endian::Little, 2, &masked),
        ]
        .concat();
        let answers = ask_one("bytes", move |stream| {
            accept(stream)?;
            bytes.chunks(1).try_for_each(|byte| stream.write_all(byte))
        });
        assert_eq!(states(&answers.unwrap()), ["loaded", "masked"]);
    }

    #[test]
    fn tells_a_refusal_from_an_unknown_property_and_another_type() {
        const UNKNOWN: &str = "org.freedesktop.DBus.Error.UnknownProperty";
        let denied = "org.freedesktop.DBus.Error.AccessDenied";
        let bytes = [refusal(1, denied), refusal(2, UNKNOWN)].concat();
        let answers = ask_one("refused", send(bytes)).unwrap();
        let read = answers[0].read_if_known::<String>();
        assert!(
            matches!(read, Err(UnitError::Refused { name, text }) if name == denied && text == "it says no")
        );
        assert_eq!(answers[1].read_if_known::<String>().unwrap(), None);
        assert!(matches!(
            answers[1].read::<String>(),
            Err(UnitError::Refused { .. })
        ));

        let bytes = [
            value(Endian::Little, 1, &7_u32),
            value(Endian::Little, 2, &vec!["a"]),
        ]
        .concat();
        let answers = ask_one("type", send(bytes)).unwrap();
        assert!(matches!(
            answers[0].read::<String>(),
            Err(UnitError::Garbled(_))
        ));
        assert!(matches!(
            answers[0].read::<u64>(),
            Err(UnitError::Garbled(_))
        ));
        assert!(matches!(
            answers[1].read::<Vec<u32>>(),
            Err(UnitError::Garbled(_))
        ));
        assert_eq!(answers[1].read::<Vec<String>>().unwrap(), ["a"]);
    }

    #[test]
    fn ends_in_time_whatever_pid_1_does() {
        use io::ErrorKind::{PermissionDenied, TimedOut, UnexpectedEof};
        type Serve = Box<dyn FnOnce(&mut UnixStream) -> io::Result<()> + Send>;
        let loaded = value(Endian::Little, 1, &"loaded".to_owned());
        let half = loaded[..loaded.len() - 3].to_vec();
        let silent: [(&str, Serve, io::ErrorKind); 11] = [
            ("says nothing", Box::new(|_| Ok(())), TimedOut),
            ("accepts and says nothing", Box::new(accept), TimedOut),
            (
                "half a line",
                Box::new(|stream| stream.write_all(b"OK 01")),
                TimedOut,
            ),
            (
                "rejects",
                Box::new(|stream| stream.write_all(b"REJECTED EXTERNAL\r\n")),
                PermissionDenied,
            ),
            (
                "closes at once",
                Box::new(|stream| stream.shutdown(std::net::Shutdown::Both)),
                UnexpectedEof,
            ),
            (
                "closes then",
                Box::new(send_and_close(Vec::new())),
                UnexpectedEof,
            ),
            ("cut short", Box::new(send(half.clone())), TimedOut),
            (
                "cut short and closed",
                Box::new(send_and_close(half)),
                UnexpectedEof,
            ),
            (
                "signals without end",
                Box::new(|stream| {
                    accept(stream)?;
                    loop {
                        stream.write_all(&signal())?;
                    }
                }),
                TimedOut,
            ),
            ("one of two", Box::new(send(loaded.clone())), TimedOut),
            (
                "a byte now and then",
                Box::new(move |stream| {
                    accept(stream)?;
                    for byte in loaded.chunks(1) {
                        stream.write_all(byte)?;
                        thread::sleep(SHORT / 10);
                    }
                    Ok(())
                }),
                TimedOut,
            ),
        ];
        for (name, pid_1, expected) in silent {
            match ask_one(&name.replace(' ', "-"), pid_1) {
                // A connection that is closed while something is unread is reset.
                Err(UnitError::NoAnswer(error)) => assert!(
                    error.kind() == expected
                        || expected == UnexpectedEof
                            && matches!(
                                error.kind(),
                                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
                            ),
                    "{name}: {error}"
                ),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn understands_nothing_but_d_bus() {
        let loaded = value(Endian::Little, 1, &"loaded".to_owned());
        let changed = |at: usize, byte: u8| {
            let mut changed = loaded.clone();
            changed[at] = byte;
            changed
        };
        let field = |code, field| {
            message(
                Endian::Little,
                METHOD_RETURN,
                vec![(code, field)],
                &"x".to_owned(),
            )
        };
        let garbled = [
            ("text", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
            ("version", changed(3, 2)),
            ("long-body", changed(6, 0xff)),
            ("long-fields", changed(15, 0xff)),
            ("fields", changed(17, 0xff)),
            (
                "no-serial",
                field(SIGNATURE, Field::Signature("v".to_owned())),
            ),
            (
                "serial-of-text",
                field(REPLY_SERIAL, Field::Text("1".to_owned())),
            ),
            ("no-value", field(REPLY_SERIAL, Field::Number(1))),
            (
                "many",
                value(Endian::Little, 1, &"x".repeat(3000)).repeat(400),
            ),
        ];
        for (name, bytes) in garbled {
            let answers = ask_one(name, send(bytes));
            assert!(
                matches!(answers, Err(UnitError::Garbled(_))),
                "{name}: {answers:?}"
            );
        }
        let line = ask_one("line", |stream| stream.write_all(&[b'x'; LINE_LIMIT + 1]));
        assert!(matches!(line, Err(UnitError::Garbled(_))), "{line:?}");
    }

    #[test]
    fn ends_in_time_where_nobody_listens() {
        let missing = root("missing");
        assert!(matches!(
            ask(&missing, &[STATE], SHORT),
            Err(UnitError::NoSystemd)
        ));
        assert!(matches!(
            ask(&missing.join("nowhere"), &[STATE], SHORT),
            Err(UnitError::NoSystemd)
        ));
        let path = missing.join("run/systemd/private");
        fs::write(&path, "").unwrap();
        let refused = ask(&missing, &[STATE], SHORT).unwrap_err();
        assert!(
            matches!(refused, UnitError::NoAnswer(error) if error.kind() == io::ErrorKind::ConnectionRefused)
        );
        fs::remove_file(&path).unwrap();

        // As many as may wait to be accepted, and one more.
        let stream = || {
            socket_with(
                AddressFamily::UNIX,
                SocketType::STREAM,
                SocketFlags::NONBLOCK,
                None,
            )
        };
        let address = SocketAddrUnix::new(&path).unwrap();
        let listener = stream().unwrap();
        bind(&listener, &address).unwrap();
        listen(&listener, 1).unwrap();
        let mut waiting = Vec::new();
        loop {
            let socket = stream().unwrap();
            let full = connect(&socket, &address).is_err();
            waiting.push(socket);
            if full {
                break;
            }
        }
        let start = Instant::now();
        let full = ask(&missing, &[STATE], SHORT).unwrap_err();
        assert!(
            matches!(full, UnitError::NoAnswer(error) if error.kind() == io::ErrorKind::TimedOut)
        );
        assert!(start.elapsed() >= SHORT && start.elapsed() < SOON);
        fs::remove_dir_all(missing).unwrap();
    }
}
