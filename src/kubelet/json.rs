//! Reads JSON as Go does: the entries that matter of the first object.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::value::{ConfigError, Entry, Mapping, Value, matters, refused, unknown};

/// Reads a file, which has to be one object.
///
/// # Errors
///
/// Says what is not JSON, or what we read otherwise than Go.
pub(super) fn read(content: &[u8]) -> Result<Mapping, ConfigError> {
    // In Go a byte that is not UTF-8 becomes a replacement character.
    let text = String::from_utf8_lossy(content);
    if text.contains("\\ud") || text.contains("\\uD") {
        // Go takes half a pair for a replacement character, where this parser refuses it.
        return Err(unknown("it has escapes of surrogates"));
    }
    object(&text, true).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let why = error.to_string();
        let place = format!(" at line {line} column {column}");
        let why = why.strip_suffix(&place).unwrap_or(&why);
        refused(why).at(line, column)
    })
}

fn object(text: &str, is_top: bool) -> serde_json::Result<Mapping> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mapping = deserializer.deserialize_map(Object { text, is_top })?;
    deserializer.end()?;
    Ok(mapping)
}

/// Reads the entries of an object.
struct Object<'a> {
    text: &'a str,
    is_top: bool,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Mapping;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Mapping, A::Error> {
        let mut mapping = Mapping::default();
        let (mut line, mut counted) = (1, 0);
        while let Some((key, raw)) = map.next_entry::<String, &RawValue>()? {
            let raw = raw.get();
            if matters(&key) {
                let offset = raw.as_ptr() as usize - self.text.as_ptr() as usize;
                line += self.text[counted..offset].matches('\n').count();
                counted = offset;
                let value = value(raw, self.is_top).map_err(A::Error::custom)?;
                mapping.insert(key, Entry { value, line });
            }
        }
        Ok(mapping)
    }
}

fn value(raw: &str, is_top: bool) -> serde_json::Result<Value> {
    Ok(match raw.as_bytes()[0] {
        b'n' => Value::Null,
        b't' => Value::Bool(true),
        b'f' => Value::Bool(false),
        b'"' => Value::Text(serde_json::from_str(raw)?),
        b'{' if is_top => Value::Mapping(object(raw, false)?),
        _ => Value::Other,
    })
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
            (r#"{"a":"\"\\\/\b\f\n\r\t\u00e9"}"#, true),
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
            let refused = matches!(read(text.as_bytes()), Err(ConfigError::Refused(_)));
            assert_eq!(refused, !is_sound, "{text}");
        }
        let nested = format!("{{\"kind\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(read(nested.as_bytes()).is_ok());
        for text in [
            r#"{"a":"\ud83d\ude00"}"#,
            r#"{"a":"\uDC00"}"#,
            r#"{"\ud800":1}"#,
        ] {
            let error = read(text.as_bytes());
            assert!(matches!(error, Err(ConfigError::Unknown(_))), "{text}");
        }
    }

    #[test]
    fn keeps_what_matters() {
        let text =
            "{\"kind\": 1,\n\"a\": 1,\n\"\\u004bind\":\n[1], \"kind\": {\"kind\": {}, \"b\": 1}}";
        let top = read(text.as_bytes()).unwrap();
        let entry = |value, line| Entry { value, line };
        let mut inner = Mapping::default();
        inner.insert("kind".to_string(), entry(Value::Other, 1));
        let expected = [("Kind", Value::Other), ("kind", Value::Mapping(inner))]
            .map(|(key, value)| (key.to_string(), entry(value, 4)));
        assert_eq!(top.entries, expected.into());
        assert_eq!(top.repeated, Some(("kind".to_string(), 4)));
        let text = "{\"featureGates\":\n{\"KubeletInUserNamespace\": true, \"KubeletInUserNamespace\": true}}";
        let repeated = read(text.as_bytes()).unwrap().repeated;
        assert_eq!(repeated, Some(("KubeletInUserNamespace".to_string(), 2)));
    }

    #[test]
    fn says_where_it_is_wrong() {
        let error = read(b"{\n \"a\": 1,\n}").unwrap_err();
        assert_eq!(error, refused("trailing comma").at(3, 1));
    }
}
