//! What is sent to journald, read back by the native protocol: exactly the fields that were meant, whatever they hold.
//!
//! The input is a kind, a level, the message, the unit and values of fields, with a NUL between two. It listens on
//! /run/systemd/journal/socket, so it has to run where that is nobody's: `run` sees to it.
#![no_main]

use std::cell::LazyCell;
use std::os::unix::net::UnixDatagram;

use kubelet_tunables::report::journal::Journal;
use kubelet_tunables::report::{Entry, Kind};
use libfuzzer_sys::fuzz_target;
use log::Level;

/// The fields of our own.
const NAMES: [&str; 7] = [
    "SYSCTL",
    "SYSCTL_EXPECTED",
    "SYSCTL_ACTUAL",
    "SYSCTL_SOURCE",
    "SYSCTL_PREVIOUS",
    "SYSCTL_ERROR",
    "SYSCTL_NEXT_BOOT",
];

thread_local! {
    static JOURNALD: LazyCell<UnixDatagram> = LazyCell::new(|| {
        UnixDatagram::bind("/run/systemd/journal/socket").expect("a /run of its own: see fuzz/run")
    });
}

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let mut parts = text.split('\0').map(str::to_string);
    let mut next = || parts.next().unwrap_or_default();
    let (kind, level, unit, message) = (next(), next(), next(), next());
    let entry = Entry {
        kind: Kind::ALL[kind.len() % Kind::ALL.len()].0,
        level: [Level::Error, Level::Warn, Level::Info][level.len() % 3],
        message,
        fields: NAMES.into_iter().zip(parts).collect(),
    };
    let unit = Some(unit).filter(|unit| !unit.is_empty());

    let mut datagram = vec![0; 2 * input.len() + 4096];
    let length = JOURNALD.with(|journald| {
        LazyCell::force(journald);
        let journal = Journal::connect(unit.clone()).expect("it listens");
        assert_eq!(journald.recv(&mut datagram).expect("a trial"), 0);
        journal.send(&entry).expect("it listens");
        journald.recv(&mut datagram).expect("the entry")
    });

    let pid = std::process::id().to_string();
    let priority = match entry.level {
        Level::Error => "3",
        Level::Warn => "4",
        _ => "5",
    };
    let mut expected = vec![
        ("PRIORITY", priority),
        ("MESSAGE", &entry.message),
        ("SYSLOG_PID", &pid),
        ("SYSLOG_IDENTIFIER", "kubelet-tunables"),
        ("TARGET", "kubelet"),
        ("MESSAGE_ID", entry.kind.message_id()),
    ];
    expected.extend(
        entry
            .fields
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
    );
    expected.push(("DOCUMENTATION", "man:kubelet-tunables(8)"));
    expected.extend(unit.as_deref().map(|unit| ("OBJECT_SYSTEMD_UNIT", unit)));
    assert_eq!(decode(&datagram[..length]), expected);
});

/// Reads an entry as <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/> says: `NAME=value`, or `NAME`, a line end, the length
/// in 64 bits with the low end first, and the value; a line end after either.
fn decode(mut datagram: &[u8]) -> Vec<(&str, &str)> {
    let text = |bytes| str::from_utf8(bytes).expect("what was sent is UTF-8");
    let mut fields = Vec::new();
    while !datagram.is_empty() {
        let end = datagram
            .iter()
            .position(|byte| matches!(byte, b'=' | b'\n'))
            .expect("a name ends");
        let name = &datagram[..end];
        let rest = &datagram[end + 1..];
        let (value, rest) = if datagram[end] == b'=' {
            let end = rest
                .iter()
                .position(|&byte| byte == b'\n')
                .expect("a value ends");
            rest.split_at(end)
        } else {
            let (length, rest) = rest.split_first_chunk().expect("a length");
            let length = usize::try_from(u64::from_le_bytes(*length)).expect("a length");
            rest.split_at_checked(length)
                .expect("a value as long as it says")
        };
        datagram = rest.strip_prefix(b"\n").expect("a line end");
        fields.push((text(name), text(value)));
    }
    fields
}
