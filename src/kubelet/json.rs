//! Owns JSON as Go's encoding/json reads it: whether it is sound, and what stands under the keys of the object.

use std::mem;

/// Go's parser gives up at this depth.
const DEPTH: usize = 10_000;

/// A value, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Text(String),
    Other,
}

/// Hands over each key of the object with its value and where the value ends.
///
/// # Errors
///
/// Says what is not JSON.
pub(super) fn read(
    text: &str,
    mut member: impl FnMut(&str, Json, usize),
) -> Result<(), &'static str> {
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
    };
    let mut open: Vec<u8> = Vec::new();
    let mut key = String::new();
    loop {
        let mut value = match reader.next().ok_or("it ends in the middle")? {
            b'"' => Json::Text(reader.string()?),
            bracket @ (b'{' | b'[') => {
                if open.len() == DEPTH {
                    return Err("it is nested too deeply");
                }
                open.push(bracket);
                if !reader.takes(bracket + 2) {
                    reader.key(&open, &mut key)?;
                    continue;
                }
                open.pop();
                Json::Other
            }
            _ => reader.word()?,
        };
        // Behind a value.
        loop {
            if open == *b"{" {
                member(&key, mem::replace(&mut value, Json::Other), reader.at);
            }
            let Some(&bracket) = open.last() else {
                return match reader.next() {
                    None => Ok(()),
                    Some(_) => Err("something stands behind it"),
                };
            };
            if reader.takes(b',') {
                reader.key(&open, &mut key)?;
                break;
            }
            if !reader.takes(bracket + 2) {
                return Err("a comma or a bracket is missing");
            }
            open.pop();
            value = Json::Other;
        }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next byte that is no white space, taken.
    fn next(&mut self) -> Option<u8> {
        let rest = &self.text[self.at..];
        let blank = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
            .count();
        self.at += blank;
        let next = rest.get(blank).copied();
        self.at += usize::from(next.is_some());
        next
    }

    /// Takes the next byte if it is this one.
    fn takes(&mut self, wanted: u8) -> bool {
        let before = self.at;
        let takes = self.next() == Some(wanted);
        if !takes {
            self.at = before;
        }
        takes
    }

    /// Takes a key and its colon where the innermost bracket wants one; only those of the outermost are kept.
    fn key(&mut self, open: &[u8], key: &mut String) -> Result<(), &'static str> {
        if open.last() != Some(&b'{') {
            return Ok(());
        }
        if !self.takes(b'"') {
            return Err("a key is missing");
        }
        let name = self.string()?;
        if !self.takes(b':') {
            return Err("a colon is missing");
        }
        if open.len() == 1 {
            *key = name;
        }
        Ok(())
    }

    /// The rest of a string.
    fn string(&mut self) -> Result<String, &'static str> {
        const UNSOUND: &str = "a string is not sound";
        let mut string = Vec::new();
        loop {
            let byte = *self.text.get(self.at).ok_or(UNSOUND)?;
            self.at += 1;
            match byte {
                b'"' => return String::from_utf8(string).map_err(|_| UNSOUND),
                ..0x20 => return Err(UNSOUND),
                b'\\' => {
                    let escape = *self.text.get(self.at).ok_or(UNSOUND)?;
                    self.at += 1;
                    let character = match escape {
                        b'"' | b'\\' | b'/' => char::from(escape),
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        b'u' => self.code_point().ok_or(UNSOUND)?,
                        _ => return Err(UNSOUND),
                    };
                    string.extend(character.encode_utf8(&mut [0; 4]).bytes());
                }
                _ => string.push(byte),
            }
        }
    }

    /// The four digits behind `\u`; half a surrogate pair is no character that matters.
    fn code_point(&mut self) -> Option<char> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        let code = digits.iter().try_fold(0, |code, &digit| {
            Some(code * 16 + char::from(digit).to_digit(16)?)
        })?;
        Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// A word or a number, whose first byte is taken already.
    fn word(&mut self) -> Result<Json, &'static str> {
        let rest = &self.text[self.at - 1..];
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
            .count();
        let word = &rest[..length];
        self.at += length.saturating_sub(1);
        match word {
            b"null" => Ok(Json::Null),
            b"true" => Ok(Json::Bool(true)),
            b"false" => Ok(Json::Bool(false)),
            _ if is_number(word) => Ok(Json::Other),
            _ => Err("a word is none of JSON"),
        }
    }
}

fn is_number(word: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let word = word.strip_prefix(b"-").unwrap_or(word);
    let whole = digits(word);
    if whole == 0 || (whole > 1 && word[0] == b'0') {
        return false;
    }
    let mut rest = &word[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        let sound = [
            "{}",
            " {\t\"a\" :\r\n1 } ",
            r#"{"a":[],"b":{},"c":[[1,-0.5e+3,0],{"d":null}],"e":""}"#,
            r#"{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud800"}"#,
            r#"{"a":1,"a":2}"#,
            "[1]",
            "7",
        ];
        let unsound = [
            "",
            "{",
            "{}}",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":+1}",
            "{\"a\":.5}",
            "{\"a\":1e}",
            "{\"a\":yes}",
            "{\"a\":True}",
            "{\"a\":1 2}",
            "{\"a\":[1,]}",
            "{\"a\":[1}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"}",
            "{\"a\":1}#",
            "{\"a\"=1}",
            "{\"a\":1}{}",
            "{\"a\":1}\u{a0}",
        ];
        for text in sound {
            assert_eq!(read(text, |_, _, _| ()), Ok(()), "{text}");
        }
        for text in unsound {
            assert!(read(text, |_, _, _| ()).is_err(), "{text}");
        }
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&nested(DEPTH), |_, _, _| ()).is_ok());
        assert!(read(&nested(DEPTH + 1), |_, _, _| ()).is_err());
    }

    #[test]
    fn hands_over_the_outermost_members() {
        let mut members = Vec::new();
        let text = r#"{"a":true,"\u0062":{"x":1,"a":2},"c":["x",{"a":3},"x"],"a":null,"d":"\u0065f","e":false}"#;
        read(text, |key, value, _| members.push((key.to_string(), value))).unwrap();
        let expected = [
            ("a", Json::Bool(true)),
            ("b", Json::Other),
            ("c", Json::Other),
            ("a", Json::Null),
            ("d", Json::Text("ef".to_string())),
            ("e", Json::Bool(false)),
        ];
        assert_eq!(
            members,
            expected.map(|(key, value)| (key.to_string(), value))
        );
    }
}
