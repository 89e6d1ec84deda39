//! The words of a variable: what is quoted comes back as it was, and nothing is made up.
//!
//! The input is words, a line each.
#![no_main]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use kubelet_tunables::unit::words::{expand, split};
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
            None => words
                .iter()
                .filter(|word| !word.is_empty())
                .cloned()
                .collect(),
        };
        let value = quoted.join(&b" \t\r\n"[..]);
        assert_eq!(split(&value), expected, "{}", value.escape_ascii());

        let variable = |name: &OsStr| (name == "A").then(|| OsString::from_vec(value.clone()));
        let line = vec![
            OsString::from("$A"),
            OsString::from("$UNSET"),
            OsString::from("$A"),
        ];
        let twice = [&expected[..], &expected].concat();
        assert_eq!(expand(&line, variable), twice);
    }

    // Of any text the words hold no more than the text does, in its order.
    let mut rest = input;
    for word in split(input) {
        for byte in word.as_bytes() {
            let at = rest
                .iter()
                .position(|it| it == byte)
                .expect("no byte is made up");
            rest = &rest[at + 1..];
        }
    }

    // A word without a variable stays as it is.
    let plain: Vec<OsString> = words
        .into_iter()
        .filter(|word| !word.as_bytes().contains(&b'$'))
        .collect();
    assert_eq!(expand(&plain, |_| Some("x y".into())), plain);
});

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
