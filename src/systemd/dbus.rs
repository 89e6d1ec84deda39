//! Asks PID 1 for properties over /run/systemd/private: D-Bus without a bus in between.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotADirectory, NotFound};
use std::io::ErrorKind::{TimedOut, UnexpectedEof};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::geteuid;
use serde::de::DeserializeOwned;
use zbus::wire::Endian;
use zbus::wire::serialized::{Context, Data};
use zbus::{Signature, Type, as_variant};

use super::{Result, UnitError};

/// How long connecting, asking and reading the answers may take altogether.
pub(super) const LIMIT: Duration = Duration::from_secs(1);

/// Pause before PID 1 is asked again, which takes some time to execute itself anew.
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes of a message, and of all answers, at the most; those of kubeadm's unit have about 2,000. Signals that come between
/// are not kept and not counted: a unit that is not active is loaded for each answer, with signals for all that it names.
const SIZE_LIMIT: usize = 1 << 20;

/// Bytes of the line that answers the authentication.
const LINE_LIMIT: usize = 512;

/// Properties of a unit and of systemd itself, by names such as `Service.ExecStart` and `Manager.Version`.
#[derive(Debug, Default)]
pub(super) struct Properties(pub(super) BTreeMap<&'static str, Answer>);

impl Properties {
    /// Asks PID 1 for properties of a unit, which has to have its full name. Asking loads the unit.
    ///
    /// Asks again, for a second, where the connection is lost or refused, as in a daemon-reexec.
    pub(super) fn ask(
        root: &Path,
        unit: &str,
        names: &[&'static str],
        deadline: Instant,
    ) -> Result<Self> {
        let socket = root.join("run/systemd/private");
        let last_try = deadline.min(Instant::now() + LIMIT);
        let object = object(unit);
        let mut calls = Vec::new();
        for (serial, name) in (1..).zip(names) {
            calls.extend(call(serial, &object, name));
        }
        let mut is_lost = false;
        loop {
            let error = match ask_once(&socket, &calls, names.len(), deadline) {
                Ok(answers) => return Ok(Self(names.iter().copied().zip(answers).collect())),
                Err(error) => error,
            };
            match error.kind() {
                NotFound | NotADirectory if !is_lost => return Err(UnitError::NoSystemd),
                // PID 1 removes its old socket before it binds the new one.
                NotFound | UnexpectedEof | ConnectionReset | ConnectionRefused | BrokenPipe
                    if Instant::now() + PAUSE < last_try =>
                {
                    is_lost = true;
                    thread::sleep(PAUSE);
                }
                _ => return Err(UnitError::NoAnswer(error)),
            }
        }
    }

    /// Reads a property; empty, or 0, where this systemd or this kind of unit does not have it.
    pub(super) fn get<T: Default + DeserializeOwned + Type>(&self, name: &str) -> Result<T> {
        Ok(self.find(name)?.unwrap_or_default())
    }

    /// Reads a property; none where this systemd or this kind of unit does not have it.
    pub(super) fn find<T: DeserializeOwned + Type>(&self, name: &str) -> Result<Option<T>> {
        let answer = self.0.get(name).map_or(Ok(None), Answer::read);
        answer.map_err(UnitError::NoAnswer)
    }
}

/// PID 1's answer for a property.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The value as it is on the wire.
    Value(Vec<u8>, Endian),
    /// This systemd, or this kind of unit, does not have the property.
    Unknown,
    /// PID 1 refuses to answer, and why.
    Refused(String),
}

impl Answer {
    /// Reads the value, which has to have this type; none where the property is not known.
    ///
    /// # Errors
    ///
    /// When PID 1 refuses it, or sends something else.
    pub fn read<T: DeserializeOwned + Type>(&self) -> io::Result<Option<T>> {
        match self {
            Self::Value(bytes, endian) => {
                let data = Data::new(bytes, Context::new(*endian, 0));
                let read = data.deserialize::<as_variant::Deserialize<'_, T>>();
                read.map(|(value, _)| Some(value.0)).map_err(garbled)
            }
            Self::Unknown => Ok(None),
            Self::Refused(why) => Err(io::Error::other(why.clone())),
        }
    }
}

/// Makes calls that have the serial numbers from 1 on, and returns the answers in the order of these.
fn ask_once(path: &Path, calls: &[u8], count: usize, deadline: Instant) -> io::Result<Vec<Answer>> {
    let mut connection = Connection::begin(path, deadline)?;
    connection.write(calls)?;
    let mut answers = BTreeMap::new();
    let mut size = 0;
    while answers.len() < count {
        let Some(message) = Message::take(&connection.read)? else {
            connection.read_more()?;
            continue;
        };
        connection.read.drain(..message.length);
        let Some((serial, answer)) = message.reply else {
            continue;
        };
        size += message.length;
        if size > SIZE_LIMIT {
            return Err(garbled(TOO_LARGE));
        }
        if (1..=count).contains(&(serial as usize)) {
            answers.entry(serial).or_insert(answer);
        }
    }
    Ok(answers.into_values().collect())
}

/// A connection to PID 1, up to a deadline.
struct Connection {
    stream: UnixStream,
    deadline: Instant,
    /// Bytes read that no message has been made of yet.
    read: Vec<u8>,
}

impl Connection {
    fn begin(socket: &Path, deadline: Instant) -> io::Result<Self> {
        let mut connection = Self {
            stream: connect_until(socket, deadline)?,
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
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        connection.read.drain(..end + 2);
        Ok(connection)
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
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
    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8 << 10];
        loop {
            self.stream.set_read_timeout(Some(rest(self.deadline)?))?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(UnexpectedEof.into()),
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
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    loop {
        // Linux lets a connection on a Unix socket wait no longer than that either.
        set_socket_timeout(&socket, Timeout::Send, Some(rest(deadline)?))?;
        match connect(&socket, &address).map_err(io::Error::from) {
            Ok(()) => return Ok(socket.into()),
            Err(error) => signal_only(error)?,
        }
    }
}

/// Returns the time that is left; a timeout of 0 would be none.
fn rest(deadline: Instant) -> io::Result<Duration> {
    let rest = deadline.saturating_duration_since(Instant::now());
    if rest.is_zero() {
        return Err(TimedOut.into());
    }
    Ok(rest.max(Duration::from_micros(1)))
}

/// Passes on an error, unless it is a signal that came between.
fn signal_only(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        // What a socket says when its own timeout is over.
        io::ErrorKind::WouldBlock => Err(TimedOut.into()),
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

/// Bytes of a header before its fields, the length of these included.
const FIXED: usize = 16;

/// A message of PID 1's.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its length in bytes.
    pub length: usize,
    /// The serial number of the call that it answers, and the answer; none if it is a signal.
    pub reply: Option<(u32, Answer)>,
}

impl Message {
    /// Reads the message at the beginning of the bytes; none while it is not there to its end.
    ///
    /// # Errors
    ///
    /// When it is no message, one of more than 1 MiB, or an answer that is not that of a property.
    pub fn take(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some((fixed, _)) = bytes.split_first_chunk::<FIXED>() else {
            return Ok(None);
        };
        let endian = match fixed[0] {
            b'l' => Endian::Little,
            b'B' => Endian::Big,
            _ => return Err(garbled("no message")),
        };
        let length = |at: usize| endian.read_u32(&fixed[at..at + 4]) as usize;
        let fields_end = FIXED.saturating_add(length(12));
        let body_start = fields_end.saturating_add(7) & !7;
        let length = body_start.saturating_add(length(4));
        if length > SIZE_LIMIT {
            return Err(garbled(TOO_LARGE));
        }
        if fixed[3] != VERSION {
            return Err(garbled("another version of D-Bus"));
        }
        if bytes.len() < length {
            return Ok(None);
        }
        let is_reply = matches!(fixed[1], METHOD_RETURN | ERROR);
        let reply = is_reply.then(|| reply(&bytes[..length], fields_end, endian));
        let reply = reply.transpose()?;
        Ok(Some(Self { length, reply }))
    }
}

/// Reads the answer that a message is, whose header ends at `fields_end`.
fn reply(message: &[u8], fields_end: usize, endian: Endian) -> io::Result<(u32, Answer)> {
    let (mut serial, mut error, mut signature) = (None, None, None);
    let bytes = &message[..fields_end];
    let at = FIXED;
    let mut reader = Reader { bytes, at, endian };
    while reader.at < fields_end {
        reader.at = reader.at.next_multiple_of(8);
        let code: u8 = reader.read()?;
        match reader.read()? {
            Signature::U32 => keep(&mut serial, code == REPLY_SERIAL, reader.read()?),
            Signature::Str | Signature::ObjectPath => {
                keep(&mut error, code == ERROR_NAME, reader.read::<String>()?);
            }
            Signature::Signature => keep(&mut signature, code == SIGNATURE, reader.read()?),
            _ => return Err(garbled("a header field of another type")),
        }
    }
    // The body begins at a multiple of 8, as each field does.
    reader.bytes = message;
    reader.at = reader.at.next_multiple_of(8);
    let answer = match (message[1], error, signature) {
        (METHOD_RETURN, _, Some(Signature::Variant)) => {
            Answer::Value(message[reader.at..].to_vec(), endian)
        }
        (ERROR, Some(name), types) => match name.rsplit('.').next() {
            Some("UnknownProperty" | "UnknownInterface") => Answer::Unknown,
            _ if types == Some(Signature::Str) => Answer::Refused(reader.read()?),
            _ => Answer::Refused(name),
        },
        _ => return Err(garbled("an answer of another kind")),
    };
    let serial = serial.ok_or_else(|| garbled("an answer to nothing"))?;
    Ok((serial, answer))
}

/// Keeps the first value of a header field, if it is that field.
fn keep<T>(kept: &mut Option<T>, is_field: bool, value: T) {
    if is_field {
        kept.get_or_insert(value);
    }
}

/// Reads values of a message.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    endian: Endian,
}

impl Reader<'_> {
    fn read<T: DeserializeOwned + Type>(&mut self) -> io::Result<T> {
        let bytes = self.bytes.get(self.at..).unwrap_or_default();
        let data = Data::new(bytes, Context::new(self.endian, self.at));
        let (value, length) = data.deserialize().map_err(garbled)?;
        self.at += length;
        Ok(value)
    }
}

/// Writes a call for a property, such as `Unit.LoadState`.
fn call(serial: usize, unit: &str, name: &str) -> Vec<u8> {
    let (interface, property) = name.split_once('.').unwrap_or_default();
    let object = match interface {
        "Manager" => "/org/freedesktop/systemd1",
        _ => unit,
    };
    let mut body = Vec::new();
    put_text(&mut body, &format!("org.freedesktop.systemd1.{interface}"));
    put_text(&mut body, property);
    let mut fields = Vec::new();
    for (code, kind, text) in [
        (PATH, b'o', object),
        (INTERFACE, b's', "org.freedesktop.DBus.Properties"),
        (MEMBER, b's', "Get"),
    ] {
        align(&mut fields, 8);
        fields.extend([code, 1, kind, 0]);
        put_text(&mut fields, text);
    }
    align(&mut fields, 8);
    // Two texts.
    fields.extend([SIGNATURE, 1, b'g', 0, 2, b's', b's', 0]);
    let mut message = vec![b'l', METHOD_CALL, 0, VERSION];
    for number in [body.len(), serial, fields.len()] {
        put_number(&mut message, number);
    }
    message.extend(fields);
    align(&mut message, 8);
    message.extend(body);
    message
}

fn align(message: &mut Vec<u8>, to: usize) {
    message.resize(message.len().next_multiple_of(to), 0);
}

fn put_number(message: &mut Vec<u8>, number: usize) {
    // A unit's name has at most 255 bytes.
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    message.extend(number.to_le_bytes());
}

fn put_text(message: &mut Vec<u8>, text: &str) {
    align(message, 4);
    put_number(message, text.len());
    message.extend(text.bytes().chain([0]));
}

/// Makes the path of the unit's object; asking it for a property loads the unit.
///
/// Source: `bus_label_escape()` in systemd's `src/shared/bus-util.c`.
fn object(unit: &str) -> String {
    let mut path = String::from("/org/freedesktop/systemd1/unit/");
    for (at, byte) in unit.as_bytes().iter().enumerate() {
        if byte.is_ascii_alphabetic() || at > 0 && byte.is_ascii_digit() {
            path.push(char::from(*byte));
        } else {
            let _ = write!(path, "_{byte:02x}");
        }
    }
    path
}

const TOO_LARGE: &str = "more than 1 MiB";

/// Makes an error of something that PID 1 sends.
fn garbled(reason: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}

#[cfg(test)]
pub(super) mod tests;
