use std::fs;
use std::net::Shutdown;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{bind, listen};
use serde::Serialize;
use zbus::ObjectPath;
use zbus::wire::to_bytes;

use super::*;

/// The limit for a PID 1 that misbehaves, and how long after it the question has to end.
const SHORT: Duration = Duration::from_millis(300);
const SOON: Duration = Duration::from_secs(5);

const NAMES: [&str; 2] = ["Unit.LoadState", "Unit.LoadError"];

/// A header field.
fn field<T: Type + Serialize>(endian: Endian, code: u8, value: &T) -> Vec<u8> {
    let field = to_bytes(
        Context::new(endian, 0),
        &(code, as_variant::Serialize(value)),
    );
    field.unwrap().to_vec()
}

/// What PID 1 does with a connection.
type Serve = Box<dyn FnMut(&mut UnixStream) -> io::Result<()> + Send>;

/// A message of PID 1's with a value or text as its body.
fn message<T: Type + Serialize>(endian: Endian, kind: u8, fields: &[Vec<u8>], body: &T) -> Vec<u8> {
    let context = Context::new(endian, 0);
    let order = if endian == Endian::Little { b'l' } else { b'B' };
    let body = to_bytes(context, body).unwrap();
    let mut joined = Vec::new();
    for field in fields {
        align(&mut joined, 8);
        joined.extend(field);
    }
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
    let header = (
        order,
        kind,
        1_u8,
        VERSION,
        length(&body),
        77_u32,
        length(&joined),
    );
    let mut message = to_bytes(context, &header).unwrap().to_vec();
    message.extend(joined);
    align(&mut message, 8);
    message.extend_from_slice(&body);
    message
}

fn value<T: Type + Serialize>(endian: Endian, serial: u32, value: &T) -> Vec<u8> {
    let fields = [
        field(endian, REPLY_SERIAL, &serial),
        field(endian, SIGNATURE, &Signature::Variant),
    ];
    message(
        endian,
        METHOD_RETURN,
        &fields,
        &as_variant::Serialize(value),
    )
}

fn refusal(serial: u32, name: &str) -> Vec<u8> {
    let endian = Endian::Little;
    let fields = [
        field(endian, ERROR_NAME, &name),
        field(endian, REPLY_SERIAL, &serial),
        field(endian, SIGNATURE, &Signature::Str),
    ];
    message(endian, ERROR, &fields, &"it says no")
}

fn signal() -> Vec<u8> {
    let endian = Endian::Little;
    let path = ObjectPath::try_from("/org/freedesktop/systemd1").unwrap();
    let fields = [
        field(endian, PATH, &path),
        field(endian, MEMBER, &"UnitNew"),
        field(endian, SIGNATURE, &Signature::Str),
    ];
    message(endian, 4, &fields, &"x".repeat(3000))
}

/// A root of its own with the folder of PID 1's socket.
fn root(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("kt-{}-{name}", std::process::id()));
    fs::create_dir_all(root.join("run/systemd")).unwrap();
    root
}

/// Asks a PID 1 that does this with each connection, and checks that the answer comes in time.
fn ask_one(
    name: &str,
    pid_1: impl FnMut(&mut UnixStream) -> io::Result<()> + Send + 'static,
) -> Result<Properties, UnitError> {
    ask_each(name, SOON, vec![Box::new(pid_1)])
}

/// The same with one that does this with the first connection, that with the second, and the last with all others.
fn ask_each(name: &str, limit: Duration, mut pid_1: Vec<Serve>) -> Result<Properties, UnitError> {
    let root = root(name);
    let listener = UnixListener::bind(root.join("run/systemd/private")).unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&is_done);
    let server = thread::spawn(move || {
        // What is not closed before stays open.
        let mut streams = Vec::new();
        pid_1.reverse();
        loop {
            let mut stream = listener.accept().unwrap().0;
            if end.load(Ordering::Relaxed) {
                break;
            }
            // It may fail, where nobody reads any more.
            let _ = pid_1.last_mut().unwrap()(&mut stream);
            streams.push(stream);
            if pid_1.len() > 1 {
                pid_1.pop();
            }
        }
    });
    let start = Instant::now();
    let properties = Properties::ask(&root, "kubelet.service", &NAMES, start + limit);
    let took = start.elapsed();
    assert!(took < limit + SOON, "{name} took {took:?}");
    is_done.store(true, Ordering::Relaxed);
    drop(UnixStream::connect(root.join("run/systemd/private")));
    server.join().unwrap();
    fs::remove_dir_all(root).unwrap();
    properties
}

/// An answer as it comes from PID 1.
pub(in crate::systemd) fn answer<T: Type + Serialize>(of: &T) -> Answer {
    let bytes = value(Endian::Little, 1, of);
    Message::take(&bytes).unwrap().unwrap().reply.unwrap().1
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
fn send(bytes: Vec<u8>) -> impl FnMut(&mut UnixStream) -> io::Result<()> + Send + 'static {
    move |stream| {
        accept(stream)?;
        stream.write_all(&bytes)
    }
}

/// The same, and closes the connection.
fn send_and_close(
    bytes: Vec<u8>,
) -> impl FnMut(&mut UnixStream) -> io::Result<()> + Send + 'static {
    move |stream| {
        send(bytes.clone())(stream)?;
        stream.shutdown(Shutdown::Both)
    }
}

fn states(properties: &Properties) -> [String; 2] {
    NAMES.map(|name| properties.get(name).unwrap())
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
    let error = |name: &str| format!("org.freedesktop.DBus.Error.{name}");
    let bytes = [
        refusal(1, &error("AccessDenied")),
        refusal(2, &error("UnknownProperty")),
    ];
    let answers = ask_one("refused", send(bytes.concat())).unwrap();
    let refused = answers.find::<String>(NAMES[0]);
    assert!(
        matches!(refused, Err(UnitError::NoAnswer(error)) if error.to_string() == "it says no")
    );
    assert_eq!(answers.find::<String>(NAMES[1]).unwrap(), None);
    assert_eq!(answers.get::<u64>(NAMES[1]).unwrap(), 0);
    assert_eq!(answers.get::<u64>("Unit.NotAsked").unwrap(), 0);

    let bytes = [
        value(Endian::Little, 1, &7_u32),
        value(Endian::Little, 2, &vec!["a"]),
    ];
    let answers = ask_one("type", send(bytes.concat())).unwrap();
    assert!(is_garbled(&answers.get::<String>(NAMES[0])));
    assert!(is_garbled(&answers.get::<u64>(NAMES[0])));
    assert!(is_garbled(&answers.get::<Vec<u32>>(NAMES[1])));
    assert_eq!(answers.get::<Vec<String>>(NAMES[1]).unwrap(), ["a"]);
}

/// True if the answer is not understood.
fn is_garbled<T>(answer: &Result<T, UnitError>) -> bool {
    matches!(answer, Err(UnitError::NoAnswer(error)) if error.kind() == io::ErrorKind::InvalidData)
}

#[test]
fn asks_again_where_the_connection_is_lost() {
    let answers = NAMES.map(|_| "loaded".to_owned());
    let bytes = || {
        let values = [1, 2].map(|serial| value(Endian::Little, serial, &answers[0]));
        values.concat()
    };
    let half = bytes()[..60].to_vec();
    for (name, first) in [
        (
            "lost-at-once",
            Box::new(|stream: &mut UnixStream| stream.shutdown(Shutdown::Both)) as Serve,
        ),
        ("lost-then", Box::new(send_and_close(Vec::new()))),
        ("lost-in-the-middle", Box::new(send_and_close(half))),
    ] {
        let asked = ask_each(name, SOON, vec![first, Box::new(send(bytes()))]);
        assert_eq!(states(&asked.unwrap()), answers, "{name}");
    }
    // While it executes itself anew, its old socket refuses connections.
    let root = root("refused-at-first");
    let path = root.join("run/systemd/private");
    drop(UnixListener::bind(&path).unwrap());
    let socket = path.clone();
    let bytes = bytes();
    let server = thread::spawn(move || {
        thread::sleep(SHORT / 6);
        fs::remove_file(&socket).unwrap();
        let mut stream = UnixListener::bind(&socket).unwrap().accept().unwrap().0;
        send(bytes)(&mut stream).unwrap();
        stream
    });
    let asked = Properties::ask(&root, "x", &NAMES, Instant::now() + SOON);
    server.join().unwrap();
    assert_eq!(states(&asked.unwrap()), answers);
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn ends_in_time_whatever_pid_1_does() {
    use io::ErrorKind::{PermissionDenied, TimedOut, UnexpectedEof};
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
            Box::new(|stream| stream.shutdown(Shutdown::Both)),
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
        match ask_each(&name.replace(' ', "-"), SHORT, vec![pid_1]) {
            // A connection that is closed while something is unread is reset; the last try may be over before.
            Err(UnitError::NoAnswer(error)) => assert!(
                error.kind() == expected
                    || expected == UnexpectedEof
                        && matches!(
                            error.kind(),
                            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | TimedOut
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
    let with = |field| message(Endian::Little, METHOD_RETURN, &[field], &"x");
    let garbled = [
        ("text", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("version", changed(3, 2)),
        ("long-body", changed(6, 0xff)),
        ("long-fields", changed(15, 0xff)),
        ("fields", changed(17, 0xff)),
        (
            "no-serial",
            with(field(Endian::Little, SIGNATURE, &Signature::Variant)),
        ),
        (
            "serial-of-text",
            with(field(Endian::Little, REPLY_SERIAL, &"1")),
        ),
        (
            "no-value",
            with(field(Endian::Little, REPLY_SERIAL, &1_u32)),
        ),
        ("variant", with(field(Endian::Little, 10, &1_u64))),
        (
            "many",
            value(Endian::Little, 1, &"x".repeat(3000)).repeat(400),
        ),
    ];
    for (name, bytes) in garbled {
        let answers = ask_one(name, send(bytes));
        assert!(is_garbled(&answers), "{name}: {answers:?}");
    }
    let line = ask_one("line", |stream| stream.write_all(&[b'x'; LINE_LIMIT + 1]));
    assert!(is_garbled(&line), "{line:?}");
}

#[test]
fn ends_in_time_where_nobody_listens() {
    use io::ErrorKind::{ConnectionRefused, TimedOut};
    let missing = root("missing");
    let ask = |root: &Path| {
        let asked = Properties::ask(root, "x", &NAMES, Instant::now() + SHORT);
        asked.unwrap_err()
    };
    assert!(matches!(ask(&missing), UnitError::NoSystemd));
    assert!(matches!(
        ask(&missing.join("nowhere")),
        UnitError::NoSystemd
    ));
    let path = missing.join("run/systemd/private");
    fs::write(&path, "").unwrap();
    // The last try may be over before.
    let refused = ask(&missing);
    assert!(
        matches!(refused, UnitError::NoAnswer(error) if matches!(error.kind(), ConnectionRefused | TimedOut))
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
    let full = ask(&missing);
    assert!(matches!(full, UnitError::NoAnswer(error) if error.kind() == io::ErrorKind::TimedOut));
    assert!(start.elapsed() >= SHORT && start.elapsed() < SOON);
    fs::remove_dir_all(missing).unwrap();
}

#[test]
fn writes_calls() {
    for (unit, path) in [
        ("kubelet.service", "kubelet_2eservice"),
        ("k8s-kubelet.service", "k8s_2dkubelet_2eservice"),
        ("3.target", "_33_2etarget"),
        ("a.b@c_d\\x2d.service", "a_2eb_40c_5fd_5cx2d_2eservice"),
    ] {
        let path = format!("/org/freedesktop/systemd1/unit/{path}");
        assert_eq!(object(unit), path);
        let manager = ("Manager.Version", "/org/freedesktop/systemd1");
        for (name, object) in [("Service.ExecStart", &path[..]), manager] {
            let endian = Endian::Little;
            let (interface, property) = name.split_once('.').unwrap();
            let fields = [
                field(endian, PATH, &ObjectPath::try_from(object).unwrap()),
                field(endian, INTERFACE, &"org.freedesktop.DBus.Properties"),
                field(endian, MEMBER, &"Get"),
                [&[SIGNATURE][..], b"\x01g\0\x02ss\0"].concat(),
            ];
            let interface = format!("org.freedesktop.systemd1.{interface}");
            let mut expected = message(endian, METHOD_CALL, &fields, &(interface, property));
            // No flags.
            expected[2] = 0;
            assert_eq!(call(77, &path, name), expected);
        }
    }
}
