//! Owns the variables in a command line: `$NAME` as a word of its own, as systemd replaces it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Replaces each word `$NAME` by the words of that variable, by none where it is not set.
///
/// The drop-in hands names over instead of values, since systemd logs a variable that is not set. Source:
/// systemd.service(5), "Command lines".
pub fn expand(words: &[OsString], variable: impl Fn(&OsStr) -> Option<OsString>) -> Vec<OsString> {
    let mut expanded = Vec::new();
    for word in words {
        match name_in(word.as_bytes()) {
            Some(name) => {
                if let Some(value) = variable(OsStr::from_bytes(name)) {
                    expanded.extend(split(value.as_bytes()));
                }
            }
            None => expanded.push(word.clone()),
        }
    }
    expanded
}

fn name_in(word: &[u8]) -> Option<&[u8]> {
    let name = word.strip_prefix(b"$")?;
    let first = name.first()?;
    let is_name = !first.is_ascii_digit()
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    is_name.then_some(name)
}

/// Words between white space; quotes of either kind keep it in a word and are dropped, a backslash takes the next
/// character as it is.
pub fn split(value: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => {
                if let Some(next) = bytes.next() {
                    word.get_or_insert_default().push(next);
                }
            }
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (_, Some(open)) if byte == open => quote = None,
            (b' ' | b'\t' | b'\n' | b'\r', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words.into_iter().map(OsString::from_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_as_systemd_does() {
        let variable = |name: &OsStr| match name.to_str()? {
            "TWO" => Some("--a=1 --b".into()),
            "EMPTY" => Some("".into()),
            "QUOTED" => Some(r#""--a=x y" '--b="z"' c\ d "" "#.into()),
            _ => None,
        };
        let cases: &[(&[&str], &[&str])] = &[
            (&["kubelet", "$TWO"], &["kubelet", "--a=1", "--b"]),
            (&["kubelet", "$UNSET", "$EMPTY"], &["kubelet"]),
            (&["$QUOTED"], &["--a=x y", "--b=\"z\"", "c d", ""]),
            (
                &["--x=$TWO", "$", "$1", "${TWO}", "$TWO/x"],
                &["--x=$TWO", "$", "$1", "${TWO}", "$TWO/x"],
            ),
        ];
        for (words, expected) in cases {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            assert_eq!(expand(&words, variable), *expected, "{words:?}");
        }
    }
}
