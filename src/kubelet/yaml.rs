//! Reads YAML 1.1 as Go does: the entries that matter of the first document.

use std::io::{BufRead, BufReader, Read};

use libyaml_safer::{Encoding, EventData, Parser};
use memchr::memmem;

use super::value::{ConfigError, Entry, Mapping, Value, refused, unknown};

/// A limit to the time of the parser, which looks at all that is open for each token.
pub(super) const DEPTH: usize = 64;
/// Bytes that are decoded before the parser asks for them, as many as in Go: an error further behind the first document
/// is none.
const AHEAD: usize = 512;

/// Reads the first document, whose top has to be a mapping.
///
/// # Errors
///
/// Says what is not YAML, or what we read otherwise than Go.
pub(super) fn read(content: &[u8]) -> Result<Mapping, ConfigError> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    refuse_what_differs(content)?;
    let mut parser = Parser::new();
    parser.set_encoding(Encoding::Utf8);
    // This parser panics where the text of a literal ends without a line break.
    parser.set_input(BufReader::with_capacity(AHEAD, content.chain(&b"\n"[..])));
    let mut events = Events {
        parser,
        is_ascii: content.is_ascii(),
        depth: 0,
    };
    loop {
        let (event, line) = events.next()?;
        match event {
            EventData::StreamStart { .. } | EventData::DocumentStart { .. } => {}
            EventData::MappingStart { .. } => break,
            EventData::StreamEnd => return Err(refused("it is empty")),
            _ => return Err(refused("it is not a mapping").on_line(line)),
        }
    }
    let mapping = events.mapping(true)?;
    // What stands behind it may be no end of the document.
    events.next()?;
    Ok(mapping)
}

/// Refuses what Go's parser accepts and this one does not, or the other way round.
fn refuse_what_differs(content: &[u8]) -> Result<(), ConfigError> {
    let has = |text: &[u8]| memmem::find(content, text).is_some();
    // A tag that ends at a comma makes this parser panic.
    let has_comma = |word: &[u8]| {
        let tag = word.iter().position(|&byte| byte == b'!');
        tag.is_some_and(|at| word[at..].contains(&b','))
    };
    let what = if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        "UTF-16"
    } else if has("\u{feff}".as_bytes()) {
        // To Go it is a letter.
        "byte order marks inside"
    } else if has(b"%TAG") || content.split(u8::is_ascii_whitespace).any(has_comma) {
        "tags"
    } else {
        return Ok(());
    };
    Err(not_read(what))
}

fn not_read(what: &str) -> ConfigError {
    unknown(format!("kubelet-tunables does not read {what}"))
}

/// The events of a file.
struct Events<R> {
    parser: Parser<R>,
    is_ascii: bool,
    /// How many mappings and sequences are open.
    depth: usize,
}

impl<R: BufRead> Events<R> {
    /// Returns the next event and its line.
    fn next(&mut self) -> Result<(EventData, usize), ConfigError> {
        let event = self.parser.parse().map_err(|error| {
            let why = error.problem();
            let refusal = match why {
                // It counts the bytes of a key, where Go's counts characters.
                "could not find expected ':'" if !self.is_ascii => unknown(why),
                // Go's takes a colon at the end of a word in brackets for a letter.
                "found unexpected ':'" => unknown(why),
                _ => refused(why),
            };
            match error.problem_mark() {
                Some(mark) => refusal.at(number(mark.line), number(mark.column)),
                None => refusal,
            }
        })?;
        match &event.data {
            EventData::SequenceStart { .. } | EventData::MappingStart { .. } => self.depth += 1,
            EventData::SequenceEnd | EventData::MappingEnd => self.depth -= 1,
            _ => {}
        }
        let unread = match &event.data {
            EventData::Alias { .. } => Some("aliases"),
            EventData::Scalar { anchor, tag, .. }
            | EventData::SequenceStart { anchor, tag, .. }
            | EventData::MappingStart { anchor, tag, .. } => match (anchor, tag) {
                (Some(_), _) => Some("anchors"),
                (None, Some(_)) => Some("tags"),
                (None, None) => None,
            },
            _ => None,
        };
        let mark = event.start_mark;
        if let Some(what) = unread {
            return Err(not_read(what).at(number(mark.line), number(mark.column)));
        }
        if self.depth > DEPTH {
            return Err(unknown("it is nested too deeply"));
        }
        Ok((event.data, number(mark.line)))
    }

    /// Reads the rest of a mapping.
    fn mapping(&mut self, is_top: bool) -> Result<Mapping, ConfigError> {
        let mut mapping = Mapping::default();
        loop {
            let (event, line) = self.next()?;
            let key = match event {
                EventData::Scalar { value, .. } => value,
                EventData::MappingEnd => return Ok(mapping),
                _ => return Err(refused("a key must be a word").on_line(line)),
            };
            if key == "<<" {
                return Err(not_read("merge keys").on_line(line));
            }
            let value = match self.next()?.0 {
                EventData::Scalar {
                    value,
                    plain_implicit,
                    ..
                } => scalar(value, plain_implicit),
                EventData::MappingStart { .. } if is_top => Value::Mapping(self.mapping(false)?),
                _ => {
                    let outside = self.depth - 1;
                    while self.depth > outside {
                        self.next()?;
                    }
                    Value::Other
                }
            };
            mapping.insert(key, Entry { value, line });
        }
    }
}

/// Finds the type of a scalar as yaml.v2's `resolve` does, to which a plain `yes`, `on` and `y` are true. What is neither
/// boolean nor null stays text.
fn scalar(text: String, is_plain: bool) -> Value {
    match text.as_str() {
        _ if !is_plain => Value::Text(text),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        _ => Value::Text(text),
    }
}

/// Counts from 1.
fn number(from_0: u64) -> usize {
    usize::try_from(from_0).map_or(usize::MAX, |number| number + 1)
}
