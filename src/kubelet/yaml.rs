//! Reads YAML 1.1 as Go does: the first document, and what stands under the keys that matter.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::io::{BufReader, Read};

use libyaml_safer::{BOOL_TAG, Encoding, EventData, MappingStyle, NULL_TAG, Parser, SequenceStyle};
use memchr::{memchr3, memmem};

use super::config::{ConfigError, Entry, Mapping, Value, keeps};
use super::json::Fixed;

/// Go's parser gives up at this depth.
pub(super) const DEPTH: usize = 10_000;
/// Bytes that are decoded before the parser asks for them, as many as in Go: an error further behind the first document
/// is none.
const AHEAD: usize = 512;
/// Steps that the parser may take: for each token it looks at each bracket that is open.
const STEPS: usize = 20_000_000;
/// Definitions of tags at the most: the parser compares each with all before it.
const DIRECTIVES: usize = 1000;
/// Nodes that aliases may refer to or that a sequence holds, at the most; each takes some hundred bytes.
const KEPT: usize = 10_000;
/// Characters kept of a scalar: more than any that matters here has.
const TEXT: usize = 64;

const MERGE_TAG: &str = "tag:yaml.org,2002:merge";
const BINARY_TAG: &str = "tag:yaml.org,2002:binary";

/// Reads the first document, whose top has to be a mapping.
///
/// # Errors
///
/// Says what is not YAML, or which key is repeated where that is refused, or why we cannot tell.
pub(super) fn read(content: &[u8], refuses_repeated_keys: bool) -> Result<Mapping, ConfigError> {
    let content = decode(content)?;
    let (content, is_changed) = for_this_parser(&content);
    if memmem::find_iter(&content, "%TAG").count() > DIRECTIVES {
        return Err(ConfigError::ByUs(format!(
            "it has more than {DIRECTIVES} directives"
        )));
    }
    let mut parser = Parser::new();
    parser.set_encoding(Encoding::Utf8);
    // This parser panics where the text of a literal ends without a line break.
    parser.set_input(BufReader::with_capacity(AHEAD, content.chain(&b"\n"[..])));
    let mut document = Document {
        keys: refuses_repeated_keys.then(Fixed::default),
        ..Document::default()
    };
    loop {
        let event = parser.parse().map_err(|error| {
            let may_be_ours = match error.problem() {
                // It counts the bytes of a key, where Go's counts characters.
                "could not find expected ':'" => !content.is_ascii(),
                // Go's takes a colon at the end of a word in brackets for a letter.
                "found unexpected ':'" => true,
                _ => is_changed,
            };
            if may_be_ours {
                ConfigError::ByUs(error.to_string())
            } else {
                ConfigError::ByKubelet(error.to_string())
            }
        })?;
        let line = usize::try_from(event.start_mark.line).map_or(usize::MAX, |line| line + 1);
        match event.data {
            EventData::DocumentEnd { .. } | EventData::StreamEnd => break,
            data => document.take(data, line)?,
        }
    }
    match document.top {
        Some(Node::Mapping(mapping)) => Ok(mapping),
        Some(Node::Scalar(_) | Node::Sequence(_)) => Err("it is not a mapping".into()),
        None => Err("it is empty".into()),
    }
}

/// The text in UTF-8, which the parser checks as it goes on.
fn decode(content: &[u8]) -> Result<Cow<'_, [u8]>, ConfigError> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .map(|text| Cow::Owned(text.into_bytes()))
            .map_err(|_| ConfigError::from("it is not UTF-16"))
    };
    match content {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => Ok(Cow::Borrowed(rest)),
    }
}

/// The text without what this parser reads otherwise than Go's, and whether that changes more than letters: to Go's a byte
/// order mark inside is a letter, and a tag in brackets that ends at a comma is refused, where this one panics.
fn for_this_parser(content: &[u8]) -> (Cow<'_, [u8]>, bool) {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    const LETTER: &[u8] = "\u{fffd}".as_bytes();
    if memchr3(MARK[0], b'!', b'>', content).is_none() {
        return (Cow::Borrowed(content), false);
    }
    let mut made = Vec::new();
    let mut copied = 0;
    let mut is_changed = false;
    // Whether what stands here may be in a tag.
    let mut in_tag = false;
    for (at, byte) in content.iter().enumerate() {
        let instead = match byte {
            0xef if content[at..].starts_with(MARK) => MARK.len(),
            b',' if in_tag || content[..at].ends_with(b">") => 0,
            _ => {
                in_tag = *byte == b'!'
                    || in_tag
                        && (byte.is_ascii_alphanumeric() || b"-_;/?:@&=+$.%~*'()".contains(byte));
                continue;
            }
        };
        is_changed |= instead == 0;
        in_tag = false;
        made.extend_from_slice(&content[copied..at]);
        made.extend_from_slice(LETTER);
        copied = at + instead;
    }
    made.extend_from_slice(&content[copied..]);
    (Cow::Owned(made), is_changed)
}

/// What was read of a document up to now.
#[derive(Default)]
struct Document {
    anchors: BTreeMap<String, (Node, u32)>,
    /// What has not ended yet.
    open: Vec<Open>,
    /// How many of those are in brackets.
    brackets: usize,
    steps: usize,
    kept: usize,
    decoded: Decoded,
    /// Makes hashes of keys, where one that is repeated is refused.
    keys: Option<Fixed>,
    top: Option<Node>,
}

#[derive(Debug, Clone)]
enum Node {
    Scalar(Scalar),
    Mapping(Mapping),
    /// The mappings in it, which is all that a merge asks of it.
    Sequence(Vec<Mapping>),
}

impl Node {
    /// How much it takes to keep.
    fn weight(&self) -> usize {
        match self {
            Self::Scalar(_) => 1,
            Self::Mapping(mapping) => mapping.weight(),
            Self::Sequence(mappings) => 1 + mappings.iter().map(Mapping::weight).sum::<usize>(),
        }
    }
}

#[derive(Debug, Clone)]
struct Scalar {
    text: String,
    /// Neither quoted nor tagged.
    plain: bool,
    tag: Option<String>,
    line: usize,
}

impl Scalar {
    /// The value by yaml.v2's `resolve`, in which a plain `yes`, `on` and `y` are true; what is neither boolean nor null
    /// stays text.
    fn value(&self) -> Value {
        let text = || Value::Text(self.text.clone());
        match self.tag.as_deref() {
            None if !self.plain => return text(),
            None | Some(BOOL_TAG | NULL_TAG) => {}
            Some(_) => return text(),
        }
        match self.text.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                Value::Bool(true)
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
            | "OFF" => Value::Bool(false),
            "" | "~" | "null" | "Null" | "NULL" => Value::Null,
            _ => text(),
        }
    }

    fn has_tag(&self, tag: &str) -> bool {
        self.tag.as_deref() == Some(tag)
    }

    /// Source: `isMerge` in yaml.v2's `decode.go`.
    fn is_merge(&self) -> bool {
        self.text == "<<" && (self.plain || self.has_tag(MERGE_TAG))
    }
}

/// A mapping or sequence that has not ended yet.
struct Open {
    content: Content,
    anchor: Option<String>,
    in_brackets: bool,
    /// Nodes decoded before it.
    before: u32,
}

enum Content {
    Mapping {
        mapping: Mapping,
        /// A key whose value is to come.
        key: Option<Node>,
        /// The hashes of its keys, which take less than they.
        keys: BTreeSet<u64>,
    },
    Sequence(Vec<Mapping>),
}

/// What Go's parser counts: nodes, those that aliases stand for again each time, and the latter alone.
#[derive(Default)]
struct Decoded {
    all: u32,
    by_aliases: u32,
}

impl Decoded {
    fn alias(&mut self, size: u32) {
        self.all = self.all.saturating_add(size);
        self.by_aliases = self.by_aliases.saturating_add(size);
    }

    /// Source: `unmarshal` and `allowedAliasRatio` in yaml.v2's `decode.go`.
    fn is_excessive(&self) -> bool {
        let (low, high) = (400_000.0, 4_000_000.0);
        let beyond = (f64::from(self.all) - low).clamp(0.0, high - low);
        let allowed = 0.99 - 0.89 * beyond / (high - low);
        // yaml.v2 also asks whether more than 100 are by aliases, which follows from these.
        self.all > 1000 && f64::from(self.by_aliases) / f64::from(self.all) > allowed
    }
}

impl Document {
    fn take(&mut self, data: EventData, line: usize) -> Result<(), ConfigError> {
        self.steps = self.steps.saturating_add(self.brackets);
        if self.steps > STEPS {
            return Err(ConfigError::ByUs("it has too much in brackets".to_string()));
        }
        let before = self.decoded.all;
        match data {
            EventData::MappingStart { anchor, style, .. } => {
                let content = Content::Mapping {
                    mapping: Mapping::default(),
                    key: None,
                    keys: BTreeSet::new(),
                };
                self.begin(content, anchor, style == MappingStyle::Flow)
            }
            EventData::SequenceStart { anchor, style, .. } => {
                let content = Content::Sequence(Vec::new());
                self.begin(content, anchor, style == SequenceStyle::Flow)
            }
            EventData::MappingEnd | EventData::SequenceEnd => self.end(),
            EventData::Scalar {
                anchor,
                tag,
                mut value,
                plain_implicit,
                ..
            } => {
                self.decoded.all = before.saturating_add(1);
                if value.len() > TEXT {
                    value = value.chars().take(TEXT).collect();
                }
                let scalar = Scalar {
                    text: value,
                    plain: plain_implicit,
                    tag,
                    line,
                };
                self.add(Node::Scalar(scalar), anchor, before)
            }
            EventData::Alias { anchor } => {
                self.decoded.all = before.saturating_add(1);
                let (node, size) = self
                    .anchors
                    .get(&anchor)
                    .ok_or("an alias refers to what is not there")?;
                self.decoded.alias(*size);
                if self.decoded.is_excessive() {
                    return Err("it has more by aliases than kubelet takes".into());
                }
                self.add(node.clone(), None, before)
            }
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        content: Content,
        anchor: Option<String>,
        in_brackets: bool,
    ) -> Result<(), ConfigError> {
        if self.open.len() == DEPTH {
            return Err("it is nested too deeply".into());
        }
        self.open.push(Open {
            content,
            anchor,
            in_brackets,
            before: self.decoded.all,
        });
        self.brackets += usize::from(in_brackets);
        self.decoded.all = self.decoded.all.saturating_add(1);
        Ok(())
    }

    fn end(&mut self) -> Result<(), ConfigError> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        self.brackets -= usize::from(open.in_brackets);
        let node = match open.content {
            Content::Mapping { mapping, .. } => Node::Mapping(mapping),
            Content::Sequence(mappings) => Node::Sequence(mappings),
        };
        self.add(node, open.anchor, open.before)
    }

    /// Puts a node into what it stands in.
    fn add(&mut self, node: Node, anchor: Option<String>, before: u32) -> Result<(), ConfigError> {
        if let Some(anchor) = anchor {
            self.kept += node.weight();
            let size = self.decoded.all - before;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.top = Some(node),
            Some(Content::Mapping { mapping, key, keys }) => match key.take() {
                None => *key = Some(node),
                Some(key) => enter(mapping, &key, node, self.keys.as_ref(), keys)?,
            },
            Some(Content::Sequence(mappings)) => {
                if let Node::Mapping(mapping) = node {
                    self.kept += mapping.weight();
                    mappings.push(mapping);
                }
            }
        }
        if self.kept > KEPT {
            return Err(ConfigError::ByUs(format!(
                "it has more than {KEPT} anchors and mappings in sequences"
            )));
        }
        Ok(())
    }
}

/// Enters a key and its value; of several with the same key the last counts, or they are refused.
fn enter(
    mapping: &mut Mapping,
    key: &Node,
    value: Node,
    hasher: Option<&Fixed>,
    keys: &mut BTreeSet<u64>,
) -> Result<(), ConfigError> {
    let Node::Scalar(key) = key else {
        return Err("a key is a mapping or a sequence".into());
    };
    if key.is_merge() {
        // Go's parser applies a merge where it stands, so that it beats what stands before it.
        let others = match value {
            Node::Mapping(other) => vec![other],
            Node::Sequence(others) => others,
            Node::Scalar(_) => return Err("a merge wants a mapping".into()),
        };
        for other in others.iter().rev() {
            for (name, entry) in &other.entries {
                if hasher.is_some() && mapping.has(name) {
                    return Err(format!("it has {name} twice").into());
                }
                mapping.set(name, entry.clone());
            }
            mapping.check()?;
            if let Some(name) = &other.other {
                mapping.meet(name);
            }
        }
        return Ok(());
    }
    if key.has_tag(BINARY_TAG) {
        return Err(ConfigError::ByUs("it has a key in Base64".to_string()));
    }
    let resolved = key.value();
    if resolved == Value::Null {
        return Err("a key is null".into());
    }
    if let Some(hasher) = hasher {
        // Keys are the same where text and type are; whether a plain one is a number does not have to be known.
        let is_text = !key.plain || key.text.starts_with(|it: char| it.is_ascii_alphabetic());
        let is_text = is_text && matches!(resolved, Value::Text(_));
        if !keys.insert(hasher.hash_one((is_text, &key.text))) {
            return Err(format!("it has {} twice", key.text).into());
        }
    }
    if keeps(&key.text) {
        let value = match value {
            Node::Scalar(scalar) => scalar.value(),
            Node::Mapping(other) => Value::Mapping(other.without_mappings()),
            Node::Sequence(_) => Value::Other,
        };
        if hasher.is_some() && mapping.has(&key.text) {
            return Err(format!("it has {} twice", key.text).into());
        }
        // What is shown is where the key stands, whatever its value refers to.
        let line = key.line;
        mapping.set(&key.text, Entry { value, line });
        mapping.check()?;
    } else {
        mapping.meet(&key.text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_as_many_aliases_as_kubelet_does() {
        // By aliases of all, then whether that is too many: 99 of 100 up to 400,000 nodes, 10 of 100 from 4,000,000 on.
        for (by_aliases, all, excessive) in [
            (100, 1001, false),
            (101, 101, false),
            (1000, 1000, false),
            (990, 1001, false),
            (1001, 1001, true),
            (396_000, 400_000, false),
            (396_001, 400_000, true),
            (1_198_900, 2_200_000, false),
            (1_199_100, 2_200_000, true),
            (399_999, 4_000_000, false),
            (400_001, 4_000_000, true),
            (1_999_999, 20_000_000, false),
            (2_000_001, 20_000_000, true),
        ] {
            let decoded = Decoded { all, by_aliases };
            assert_eq!(decoded.is_excessive(), excessive, "{by_aliases} of {all}");
        }
    }

    #[test]
    fn a_node_weighs_what_it_keeps() {
        for (node, weight) in [
            ("y", 1),
            ("[]", 1),
            ("{}", 1),
            ("{kind: y}", 2),
            ("[{kind: y}, {kind: y}]", 9),
            ("{featureGates: {AllBeta: y}}", 4),
        ] {
            let anchors = |count| {
                let list = (0..count).fold(String::from("x:\n"), |text, at| {
                    text + &format!("- &a{at} {node}\n")
                });
                read(list.as_bytes(), false)
            };
            // Mappings in a sequence are kept with it, too.
            let weight = if node.starts_with('{') {
                2 * weight
            } else {
                weight
            };
            assert!(anchors(KEPT / weight).is_ok(), "{node}");
            assert!(
                matches!(anchors(KEPT / weight + 1), Err(ConfigError::ByUs(_))),
                "{node}"
            );
        }
    }
}
