//! Replaces the variables in the words of a command as systemd does.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Replaces each word `$NAME` by the words of that variable, and each `${NAME}` within a word by its value, unsplit; one
/// that is not set by nothing.
///
/// `get` finds the value of a variable. Source: `replace_env_argv()` in systemd's `src/basic/env-util.c`; the suite
/// `tests/systemd/words` compares.
pub fn expand(line: &[OsString], mut get: impl FnMut(&OsStr) -> Option<OsString>) -> Vec<OsString> {
    let mut expanded = Vec::with_capacity(line.len());
    for word in line {
        match word.as_bytes() {
            [b'$', name @ ..] if !matches!(name.first(), Some(b'{' | b'$')) => {
                if let Some(value) = get(OsStr::from_bytes(name)) {
                    expanded.extend(split(value.as_bytes()));
                }
            }
            word => expanded.push(OsString::from_vec(replace(word, &mut get))),
        }
    }
    expanded
}

/// Replaces `${NAME}` and `$$` in a word. What has no end or a colon in it, such as `${NAME:-default}`, stays.
fn replace(word: &[u8], mut get: impl FnMut(&OsStr) -> Option<OsString>) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(word.len());
    let mut rest = word;
    loop {
        rest = match rest {
            [b'$', b'{', name @ ..] => {
                let end = name.iter().position(|byte| matches!(byte, b'}' | b':'));
                if let Some(end) = end.filter(|&end| name[end] == b'}') {
                    let value = get(OsStr::from_bytes(&name[..end]));
                    replaced.extend(value.unwrap_or_default().as_bytes());
                    &name[end + 1..]
                } else {
                    // systemd goes on behind the colon, or there is nothing more to replace.
                    let kept = end.map_or(rest.len(), |end| "${".len() + end + 1);
                    replaced.extend_from_slice(&rest[..kept]);
                    &rest[kept..]
                }
            }
            [byte @ b'$', b'$', after @ ..] | [byte, after @ ..] => {
                replaced.push(*byte);
                after
            }
            [] => return replaced,
        };
    }
}

/// Splits a value at white space. Quotes of either kind keep white space in a word and are dropped; a backslash takes the
/// next character as it is.
///
/// Source: `extract_first_word()` in systemd's `src/basic/extract-word.c` with `EXTRACT_RELAX|EXTRACT_UNQUOTE`.
pub fn split(value: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => word.get_or_insert_default().extend(bytes.next()),
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

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn replaces_as_systemd_does() {
        let variable = |name: &OsStr| match name.to_str()? {
            "TWO" => Some("--a=1 --b".into()),
            "EMPTY" => Some("".into()),
            "QUOTED" => Some(r#""--a=x y" '--b="z"' c\ d "" "#.into()),
            "OPEN" => Some(r#"a "b c"#.into()),
            "BACKSLASH" => Some(r"a \".into()),
            _ => None,
        };
        let cases: &[(&[&str], &[&str])] = &[
            (&["kubelet", "$TWO"], &["kubelet", "--a=1", "--b"]),
            (&["kubelet", "$UNSET", "$EMPTY"], &["kubelet"]),
            (&["$QUOTED"], &["--a=x y", "--b=\"z\"", "c d", ""]),
            (&["$OPEN", "$BACKSLASH"], &["a", "b c", "a", ""]),
            (&["--x=$TWO", "$TWO/x", "$", "$1"], &["--x=$TWO"]),
            (
                &["${TWO}", "--x=${TWO}y${EMPTY}"],
                &["--a=1 --b", "--x=--a=1 --by"],
            ),
            (
                &["${UNSET}", "${", "${TWO", "${}x"],
                &["", "${", "${TWO", "x"],
            ),
            (&["$$TWO", "$$$", "a$$${EMPTY}b"], &["$TWO", "$$", "a$b"]),
            (&["${TWO:-x}${EMPTY}"], &["${TWO:-x}"]),
            (&["${TWO:${EMPTY}}"], &["${TWO:}"]),
            (&["${UN$SET}${UN${EMPTY}}"], &["}"]),
        ];
        for (line, expected) in cases {
            assert_eq!(expand(&words(line), variable), *expected, "{line:?}");
        }
    }
}
