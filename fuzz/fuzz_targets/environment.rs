//! A file for `EnvironmentFile=`: read as a model of systemd's rules, state by state, reads it.
#![no_main]

use kubelet_tunables::systemd::environment::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for continues in [true, false] {
        let expected = model(input, continues);
        let read = parse(input, continues).ok().map(|assignments| {
            let bytes = |(name, value): &(String, String)| {
                (name.as_bytes().to_vec(), value.as_bytes().to_vec())
            };
            assignments.iter().map(bytes).collect::<Vec<_>>()
        });
        assert_eq!(read, expected, "{}", input.escape_ascii());
    }
});

#[derive(Clone, Copy, PartialEq)]
enum State {
    Outside,
    Comment,
    Name,
    BeforeValue,
    Value,
    Single,
    Double,
}

/// The assignments; none where systemd refuses the file.
fn model(input: &[u8], continues: bool) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut assignments = Vec::new();
    let (mut name, mut value, mut kept) = (Vec::new(), Vec::new(), 0);
    let (mut state, mut escaped) = (State::Outside, false);
    for &byte in input {
        let newline = matches!(byte, b'\n' | b'\r');
        let white = newline || matches!(byte, b' ' | b'\t');
        if escaped {
            escaped = false;
            match state {
                State::Double if b"\"\\`$".contains(&byte) => value.push(byte),
                State::Double if byte == b'\n' => {}
                State::Double => value.extend([b'\\', byte]),
                State::Value if !newline => value.push(byte),
                _ => {}
            }
            kept = value.len();
            continue;
        }
        match (state, byte) {
            (State::Outside, b'#' | b';') => state = State::Comment,
            (State::Outside, _) if !white => {
                name = vec![byte];
                state = State::Name;
            }
            (State::Comment, b'\\') => escaped = continues,
            (State::Comment | State::Name, _) if newline => state = State::Outside,
            (State::Name, b'=') => {
                (value, kept) = (Vec::new(), 0);
                state = State::BeforeValue;
            }
            (State::Name, _) => name.push(byte),
            (State::BeforeValue | State::Value, _) if newline => {
                value.truncate(kept);
                assignments.push((trimmed(&name), std::mem::take(&mut value)));
                state = State::Outside;
            }
            (State::BeforeValue, b'\'') => state = State::Single,
            (State::BeforeValue, b'"') => state = State::Double,
            (State::BeforeValue | State::Value, b'\\') => {
                (state, escaped) = (State::Value, true);
                kept = value.len();
            }
            (State::BeforeValue, _) if white => {}
            (State::BeforeValue | State::Value, _) => {
                value.push(byte);
                state = State::Value;
                if !white {
                    kept = value.len();
                }
            }
            (State::Single, b'\'') | (State::Double, b'"') => state = State::BeforeValue,
            (State::Double, b'\\') => escaped = true,
            (State::Single | State::Double, _) => {
                value.push(byte);
                kept = value.len();
            }
            _ => {}
        }
    }
    if !matches!(state, State::Outside | State::Comment | State::Name) {
        value.truncate(kept);
        assignments.push((trimmed(&name), value));
    }
    let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    let is_refused = input.contains(&0)
        || assignments
            .iter()
            .any(|(name, value)| !is_text(name) || !is_text(value));
    (!is_refused).then_some(assignments)
}

fn trimmed(name: &[u8]) -> Vec<u8> {
    let mut name = name.to_vec();
    while matches!(name.last(), Some(b' ' | b'\t')) {
        name.pop();
    }
    name
}
