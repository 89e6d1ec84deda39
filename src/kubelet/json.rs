//! Reads JSON as Go does: the keys of an object in their order, and what stands under those that matter.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::config::{ConfigError, Entry, Mapping, Value, keeps};

/// How deep it looks for repeated keys: each bracket around a value means that the value is read once more.
const DEPTH: usize = 128;

/// Reads a file, which has to be one object.
///
/// # Errors
///
/// Says what is not JSON, or which key is repeated where that is refused.
pub(super) fn read(content: &[u8], refuses_repeated_keys: bool) -> Result<Mapping, ConfigError> {
    // In Go a byte that is not UTF-8 becomes a replacement character.
    let text = String::from_utf8_lossy(content);
    if refuses_repeated_keys {
        refuse_repeated_keys(&text, DEPTH)?;
    }
    let mut top = mapping(&text, |raw| {
        Ok(Value::Mapping(mapping(raw, |_| Ok(Value::Other))?))
    })?;
    let (mut line, mut counted) = (1, 0);
    for (_, entry) in &mut top.entries {
        let offset = entry.line;
        line += text[counted..offset].matches('\n').count();
        counted = offset;
        entry.line = line;
    }
    Ok(top)
}

/// Reads an object, and with `inner` those under the keys that matter. Its entries have offsets in place of lines.
fn mapping(
    text: &str,
    inner: impl Fn(&str) -> Result<Value, ConfigError>,
) -> Result<Mapping, ConfigError> {
    let mut mapping = Mapping::default();
    let mut outcome = Ok(());
    read_value(
        text,
        Each(|key: Option<&str>, raw: &str| {
            let key = key.unwrap_or_default();
            if outcome.is_err() {
                return;
            }
            if !keeps(key) {
                mapping.meet(key);
                return;
            }
            match value(raw, &inner) {
                Ok(value) => {
                    let line = raw.as_ptr() as usize - text.as_ptr() as usize;
                    mapping
                        .entries
                        .push((key.to_string(), Entry { value, line }));
                    outcome = mapping.check();
                }
                Err(refusal) => outcome = Err(refusal),
            }
        }),
    )?;
    outcome.map(|()| mapping)
}

fn value(
    raw: &str,
    inner: impl Fn(&str) -> Result<Value, ConfigError>,
) -> Result<Value, ConfigError> {
    match raw.as_bytes()[0] {
        b'n' => Ok(Value::Null),
        b't' => Ok(Value::Bool(true)),
        b'f' => Ok(Value::Bool(false)),
        b'"' => Ok(Value::Text(serde_json::from_str::<Text>(raw)?.0)),
        b'{' => inner(raw),
        _ => Ok(Value::Other),
    }
}

/// A hasher that needs no random numbers, which the kernel may refuse.
pub(super) type Fixed = BuildHasherDefault<DefaultHasher>;

fn refuse_repeated_keys(text: &str, depth: usize) -> Result<(), ConfigError> {
    if !text.trim_start().starts_with(['{', '[']) {
        return Ok(());
    }
    if depth == 0 {
        return Err(ConfigError::ByUs(format!(
            "it is nested more than {DEPTH} deep"
        )));
    }
    // Hashes take less than keys.
    let (hasher, mut keys) = (Fixed::default(), BTreeSet::new());
    let mut outcome = Ok(());
    read_value(
        text,
        Each(|key: Option<&str>, raw: &str| {
            if outcome.is_ok() {
                outcome = match key {
                    Some(key) if !keys.insert(hasher.hash_one(key)) => {
                        Err(ConfigError::ByKubelet(format!("it has {key} twice")))
                    }
                    _ => refuse_repeated_keys(raw, depth - 1),
                };
            }
        }),
    )?;
    outcome
}

/// Hands over each key of an object with its value, or each value of an array.
struct Each<F>(F);

fn read_value<'a, F: FnMut(Option<&str>, &'a str)>(
    text: &'a str,
    each: Each<F>,
) -> Result<(), ConfigError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_any(each)?;
    Ok(deserializer.end()?)
}

impl<'de, F: FnMut(Option<&str>, &'de str)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((Text(key), raw)) = map.next_entry::<Text, &RawValue>()? {
            self.0(Some(&key), raw.get());
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(raw) = elements.next_element::<&RawValue>()? {
            self.0(None, raw.get());
        }
        Ok(())
    }
}

/// A string, in which half a surrogate pair is no error.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

impl From<serde_json::Error> for ConfigError {
    fn from(error: serde_json::Error) -> Self {
        Self::ByKubelet(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, is_sound) in [
            ("{}", true),
            (" {\t\"a\" :\r\n1 } ", true),
            (
                r#"{"a":[],"b":{},"c":[[1,-0.5e+3,0],{"d":null}],"e":""}"#,
                true,
            ),
            (r#"{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud800"}"#, true),
            (r#"{"\ud800":"\ud800x","kind":"\udc00"}"#, true),
            (r#"{"a":1,"a":2}"#, true),
            (r#"{"a":1e999}"#, true),
            ("{", false),
            ("{}}", false),
            ("{,}", false),
            ("{\"a\"}", false),
            ("{\"a\":1,}", false),
            ("{a:1}", false),
            ("{\"a\":01}", false),
            ("{\"a\":yes}", false),
            ("{\"a\":[1}", false),
            ("{\"a\":\"\n\"}", false),
            ("{\"a\":\"\\x\"}", false),
            ("{\"a\":\"}", false),
            ("{\"a\":1}#", false),
            ("{\"a\":1}{}", false),
        ] {
            assert_eq!(read(text.as_bytes(), false).is_ok(), is_sound, "{text}");
        }
        let nested = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(10_000).as_bytes(), false).is_ok());
        assert!(read(nested(DEPTH - 1).as_bytes(), true).is_ok());
        let refusal = read(nested(DEPTH).as_bytes(), true);
        assert!(matches!(refusal, Err(ConfigError::ByUs(_))));
    }

    #[test]
    fn keeps_what_matters_in_its_order() {
        let text = "{\"kind\": \"x\",\n\"a\": 1,\n\"\\u004bind\":\n[1], \"kind\": {\"kind\": {}, \"b\": 1}}";
        let top = read(text.as_bytes(), false).unwrap();
        let inner = Mapping {
            entries: vec![(
                "kind".to_string(),
                Entry {
                    value: Value::Other,
                    line: 9,
                },
            )],
            other: Some("b".to_string()),
        };
        let expected = [
            ("kind", Value::Text("x".to_string()), 1),
            ("Kind", Value::Other, 4),
            ("kind", Value::Mapping(inner), 4),
        ];
        let expected = expected.map(|(key, value, line)| (key.to_string(), Entry { value, line }));
        assert_eq!(top.entries, expected);
        assert_eq!(top.other.as_deref(), Some("a"));
        assert!(read(b"{\"a\": [{\"b\": 1, \"\\u0062\": 2}]}", true).is_err());
        assert!(read(b"{\"a\": [{\"b\": 1}, {\"b\": 2}]}", true).is_ok());
    }
}
