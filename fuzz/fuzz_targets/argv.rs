//! The words of a command: variables are replaced as a model of systemd's rules does, what is quoted comes back as it was,
//! and kubelet is found only where it stands.
//!
//! The input is words, a line each; the last one is the value of the variable A.
#![no_main]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use kubelet_tunables::files::root::Root;
use kubelet_tunables::kubelet::command::find;
use kubelet_tunables::systemd::argv::{expand, split};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let words: Vec<OsString> = input
        .split(|&byte| byte == b'\n')
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect();
    for quote in [Some(b'"'), Some(b'\''), None] {
        let quoted: Vec<Vec<u8>> = words.iter().map(|word| quoted(word, quote)).collect();
        let expected: Vec<OsString> = match quote {
            Some(_) => words.clone(),
            // Without quotes there is no way to write an empty word.
            None => (words.iter().filter(|word| !word.is_empty()))
                .cloned()
                .collect(),
        };
        let value = quoted.join(&b" \t\r\n"[..]);
        assert_eq!(split(&value), expected, "{}", value.escape_ascii());
    }

    // Of any text the words hold no more than the text does, in its order.
    let mut rest = input;
    for word in split(input) {
        for byte in word.as_bytes() {
            let at = rest.iter().position(|it| it == byte);
            rest = &rest[at.expect("no byte is made up") + 1..];
        }
    }

    let (value, line) = words.split_last().expect("there is always a last line");
    let variable = |name: &OsStr| (name == "A").then(|| value.clone());
    let expected: Vec<OsString> = line.iter().flat_map(|word| model(word, value)).collect();
    assert_eq!(expand(line, variable), expected);

    let root = Root::machine(Path::new("/nonexistent"));
    if let Ok(found) = find(&root, Path::new("/"), &words) {
        assert!(words.ends_with(found));
        let name = Path::new(&found[0]).file_name().unwrap_or_default();
        assert!(name == "kubelet");
        let before = &words[..words.len() - found.len()];
        let opaque = ["sh", "chroot", "docker", "sudo", "xargs"];
        let name_of = |word: &OsString| Path::new(word).file_name().map(OsStr::to_os_string);
        let first = before.first().and_then(name_of).unwrap_or_default();
        assert!(!opaque.iter().any(|program| first == *program));
        let hyperkube = before
            .last()
            .is_some_and(|word| Path::new(word).file_name() == Some(OsStr::new("hyperkube")));
        assert!(before.is_empty() || hyperkube || found[0].as_bytes().starts_with(b"/"));
    }
});

/// What becomes of a word where A has this value and no other variable is set.
fn model(word: &OsStr, value: &OsStr) -> Vec<OsString> {
    let text = word.as_bytes();
    if text.starts_with(b"$") && !text.starts_with(b"${") && !text.starts_with(b"$$") {
        return if text == b"$A" {
            split(value.as_bytes())
        } else {
            Vec::new()
        };
    }
    let mut replaced = Vec::new();
    // Where the piece begins that is not yet written, and where a name in braces does.
    let (mut from, mut at, mut name) = (0, 0, None);
    while at < text.len() {
        let next = text.get(at + 1);
        match (name, text[at]) {
            (None, b'$') if next == Some(&b'$') => {
                replaced.extend_from_slice(&text[from..=at]);
                from = at + 2;
                at += 1;
            }
            (None, b'$') if next == Some(&b'{') => {
                replaced.extend_from_slice(&text[from..at]);
                from = at;
                name = Some(at + 2);
                at += 1;
            }
            (Some(begin), b'}') => {
                if text[begin..at] == *b"A" {
                    replaced.extend_from_slice(value.as_bytes());
                }
                from = at + 1;
                name = None;
            }
            (Some(_), b':') => name = None,
            _ => {}
        }
        at += 1;
    }
    replaced.extend_from_slice(&text[from.min(text.len())..]);
    vec![OsString::from_vec(replaced)]
}

/// The word as a shell user would protect it, with a backslash before all that might mean something.
fn quoted(word: &OsStr, quote: Option<u8>) -> Vec<u8> {
    let mut quoted = Vec::new();
    quoted.extend(quote);
    for &byte in word.as_bytes() {
        let is_special = match quote {
            Some(quote) => byte == quote || byte == b'\\',
            None => matches!(byte, b'\'' | b'"' | b'\\') || byte.is_ascii_whitespace(),
        };
        if is_special {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted.extend(quote);
    quoted
}
