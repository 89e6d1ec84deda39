//! Owns kubelet's configuration file: YAML 1.1 as Go reads it, down to one key.

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::memmem;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

const KEY: &str = "protectKernelDefaults";
const KIND: &str = "KubeletConfiguration";
const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";
/// Go's parser gives up at this depth.
const DEPTH: usize = 10_000;

/// Nodes that aliases may refer to or that a sequence holds, at the most; each takes some hundred bytes.
const KEPT: usize = 10_000;
/// Characters kept of a scalar: more than any that matters here has.
const TEXT: usize = 64;

/// What a file says of protectKernelDefaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing.
    Absent,
    /// It takes back what an earlier file said.
    Null,
    /// The value, and the line it stands in.
    Bool(bool, usize),
}

/// Why there is no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Kubelet will not take the file.
    ByKubelet(String),
    /// We cannot read what kubelet perhaps can.
    ByUs(String),
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::ByKubelet(why)
    }
}

impl From<&str> for Refusal {
    fn from(why: &str) -> Self {
        Self::ByKubelet(why.to_string())
    }
}

/// Reads a file of `KubeletConfiguration`.
///
/// # Errors
///
/// Says why kubelet will not take the file, or why we cannot tell.
pub(super) fn parse(content: &[u8]) -> Result<Value, Refusal> {
    let text = decode(content)?;
    // A key can hide behind an escape, but not behind an alias: what it refers to stands in the file.
    if memmem::find(text.as_bytes(), KEY.as_bytes()).is_none() && !text.contains('\\') {
        return Ok(Value::Absent);
    }
    let top = read(&text)?;
    let is = |entry: &Option<Entry>, text| matches!(entry, Some(Entry::Scalar(scalar)) if scalar.text == text);
    if !is(&top.kind, KIND) || !is(&top.api_version, API_VERSION) {
        return Err(format!("it is no {KIND} of {API_VERSION}").into());
    }
    match &top.protect {
        None => Ok(Value::Absent),
        Some(Entry::Scalar(scalar)) => Ok(scalar.value()?),
        Some(Entry::Other) => Err(format!("{KEY} is no boolean").into()),
    }
}

/// The text in one of the encodings that YAML knows.
fn decode(content: &[u8]) -> Result<Cow<'_, str>, String> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .map(Cow::Owned)
            .map_err(|_| "it is not UTF-16".to_string())
    };
    match content {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => str::from_utf8(rest)
            .map(Cow::Borrowed)
            .map_err(|_| "it is not UTF-8".to_string()),
    }
}

#[derive(Debug, Clone)]
struct Scalar {
    text: String,
    plain: bool,
    tag: Option<String>,
    line: usize,
}

impl Scalar {
    /// The value by yaml.v2's `resolve`, in which a plain `yes`, `on` and `y` are true.
    fn value(&self) -> Result<Value, String> {
        let no_boolean = || format!("{KEY} is no boolean: {}", self.text);
        match self.tag.as_deref() {
            None if !self.plain => return Err(no_boolean()),
            None | Some("bool" | "null") => {}
            Some(_) => return Err(no_boolean()),
        }
        match self.text.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                Ok(Value::Bool(true, self.line))
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
            | "OFF" => Ok(Value::Bool(false, self.line)),
            "" | "~" | "null" | "Null" | "NULL" => Ok(Value::Null),
            _ => Err(no_boolean()),
        }
    }
}

/// Of a mapping what matters here.
#[derive(Debug, Clone, Default)]
struct Mapping {
    kind: Option<Entry>,
    api_version: Option<Entry>,
    protect: Option<Entry>,
}

/// The value of a key.
#[derive(Debug, Clone)]
enum Entry {
    Scalar(Scalar),
    /// A mapping or a sequence.
    Other,
}

impl Mapping {
    /// Go's parser applies a merge where it stands, so that it beats what stands before it.
    fn merge(&mut self, other: &Self) {
        self.kind = other.kind.clone().or(self.kind.take());
        self.api_version = other.api_version.clone().or(self.api_version.take());
        self.protect = other.protect.clone().or(self.protect.take());
    }
}

#[derive(Debug, Clone)]
enum Node {
    Scalar(Scalar),
    Mapping(Mapping),
    /// The mappings in it, which is all that a merge asks of it.
    Sequence(Vec<Mapping>),
}

/// A mapping or sequence that has not ended yet, with the id of its anchor.
enum Open {
    Mapping(Box<Mapping>, Option<Box<Node>>, usize),
    Sequence(Vec<Mapping>, usize),
}

/// Reads the first document, whose top has to be a mapping.
fn read(text: &str) -> Result<Mapping, Refusal> {
    let mut anchors: BTreeMap<usize, Node> = BTreeMap::new();
    let mut stack: Vec<Open> = Vec::new();
    let mut kept = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| refusal(&error))?;
        let node = match event {
            Event::MappingStart(anchor, _) => {
                stack.push(Open::Mapping(Box::default(), None, anchor));
                None
            }
            Event::SequenceStart(anchor, _) => {
                stack.push(Open::Sequence(Vec::new(), anchor));
                None
            }
            Event::MappingEnd | Event::SequenceEnd => stack.pop().map(|open| match open {
                Open::Mapping(mapping, _, anchor) => (Node::Mapping(*mapping), anchor),
                Open::Sequence(mappings, anchor) => (Node::Sequence(mappings), anchor),
            }),
            Event::Scalar(text, style, anchor, tag) => Some((
                Node::Scalar(scalar(&text, style, tag.as_deref(), span)),
                anchor,
            )),
            Event::Alias(anchor) => {
                let node = anchors
                    .get(&anchor)
                    .ok_or("an alias refers to what is not there")?;
                Some((node.clone(), 0))
            }
            Event::DocumentEnd | Event::StreamEnd => break,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => None,
        };
        if stack.len() > DEPTH {
            return Err("it is nested too deeply".into());
        }
        if kept > KEPT {
            return Err(Refusal::ByUs(format!(
                "it has more than {KEPT} anchors and mappings in sequences"
            )));
        }
        let Some((node, anchor)) = node else {
            continue;
        };
        if anchor > 0 {
            kept += 1;
            anchors.insert(anchor, node.clone());
        }
        match stack.last_mut() {
            Some(Open::Mapping(mapping, key, _)) => match key.take() {
                None => *key = Some(Box::new(node)),
                Some(key) => enter(mapping, &key, node)?,
            },
            Some(Open::Sequence(mappings, _)) => {
                if let Node::Mapping(mapping) = node {
                    kept += 1;
                    mappings.push(mapping);
                }
            }
            None => {
                return match node {
                    Node::Mapping(mapping) => Ok(mapping),
                    Node::Scalar(_) | Node::Sequence(_) => Err("it is not a mapping".into()),
                };
            }
        }
    }
    Err("it is empty".into())
}

/// The parser stops at 255 brackets in each other, Go's only at 10,000.
fn refusal(error: &ScanError) -> Refusal {
    let why = error.to_string();
    if error.info() == "recursion limit exceeded" {
        Refusal::ByUs(why)
    } else {
        Refusal::ByKubelet(why)
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Scalar {
    Scalar {
        text: text.chars().take(TEXT).collect(),
        plain: style == ScalarStyle::Plain,
        tag: tag.map(|tag| {
            if tag.is_yaml_core_schema() {
                tag.suffix.clone()
            } else {
                format!("{}{}", tag.handle, tag.suffix)
            }
        }),
        line: span.start.line(),
    }
}

/// Enters a key and its value; of several with the same key the last counts.
fn enter(mapping: &mut Mapping, key: &Node, value: Node) -> Result<(), String> {
    let Node::Scalar(key) = key else {
        return Ok(());
    };
    if key.text == "<<" && key.plain {
        match value {
            Node::Mapping(other) => mapping.merge(&other),
            Node::Sequence(others) => {
                for other in others.iter().rev() {
                    mapping.merge(other);
                }
            }
            Node::Scalar(_) => return Err("a merge wants a mapping".to_string()),
        }
        return Ok(());
    }
    let line = key.line;
    let entry = Some(match value {
        // What is shown is where the key stands, whatever its value refers to.
        Node::Scalar(scalar) => Entry::Scalar(Scalar { line, ..scalar }),
        Node::Mapping(_) | Node::Sequence(_) => Entry::Other,
    });
    match key.text.as_str() {
        "kind" => mapping.kind = entry,
        "apiVersion" => mapping.api_version = entry,
        KEY => mapping.protect = entry,
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

    fn outcome(content: &[u8]) -> Option<Value> {
        parse(content).ok()
    }

    #[test]
    fn values_are_yaml_1_1() {
        let on = Some(Value::Bool(true, 3));
        let off = Some(Value::Bool(false, 3));
        let cases = [
            ("true", on),
            ("True", on),
            ("TRUE", on),
            ("yes", on),
            ("on", on),
            ("y", on),
            ("Y", on),
            ("true # comment", on),
            ("!!bool true", on),
            ("!!bool \"true\"", on),
            ("&a true", on),
            ("false", off),
            ("no", off),
            ("off", off),
            ("N", off),
            ("~", Some(Value::Null)),
            ("null", Some(Value::Null)),
            ("", Some(Value::Null)),
            ("\"true\"", None),
            ("'yes'", None),
            ("t", None),
            ("1", None),
            ("tRUE", None),
            ("!!str true", None),
            ("!other true", None),
            ("[true]", None),
            ("{a: true}", None),
            ("|\n  true", None),
            ("*nowhere", None),
        ];
        for (value, expected) in cases {
            let file = format!("{HEAD}protectKernelDefaults: {value}\n");
            assert_eq!(outcome(file.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn files_are_read_as_go_reads_them() {
        let on = |line| Some(Value::Bool(true, line));
        let off = |line| Some(Value::Bool(false, line));
        let wide = |text: &str, unit: fn(u16) -> [u8; 2]| {
            text.encode_utf16().flat_map(unit).collect::<Vec<_>>()
        };
        let key = "protectKernelDefaults: true\n";
        let body = format!("{HEAD}{key}");
        let nested = (0..1000).fold(String::new(), |text, depth| {
            text + &" ".repeat(depth) + "x:\n"
        });
        let blocks = format!("{body}{nested}");
        let cases: Vec<(&str, Vec<u8>, Option<Value>)> = vec![
            ("absent", HEAD.into(), Some(Value::Absent)),
            ("present", body.clone().into(), on(3)),
            ("empty", "".into(), Some(Value::Absent)),
            ("no kind", key.into(), None),
            ("wrong kind", body.replace("KubeletC", "C").into(), None),
            ("wrong version", body.replace("v1beta1", "v1").into(), None),
            ("key quoted", format!("{HEAD}\"protectKernelDefaults\": true\n").into(), on(3)),
            ("key escaped", format!("{HEAD}\"protectKernel\\u0044efaults\": true\n").into(), on(3)),
            ("key wrongly cased", format!("{HEAD}ProtectKernelDefaults: true\n").into(), Some(Value::Absent)),
            ("key wrongly cased, and right", format!("{body}protectkerneldefaults: false\n").into(), on(3)),
            ("twice", format!("{body}protectKernelDefaults: false\n").into(), off(4)),
            ("in a comment", format!("{HEAD}# {key}").into(), Some(Value::Absent)),
            ("nested", format!("{HEAD}x:\n  {key}").into(), Some(Value::Absent)),
            ("in a string", format!("{HEAD}x: |\n  {key}").into(), Some(Value::Absent)),
            ("second document", format!("{HEAD}---\n{key}").into(), Some(Value::Absent)),
            ("explicit document", format!("---\n{body}...\n").into(), on(4)),
            ("alias", format!("{HEAD}x: &a yes\nprotectKernelDefaults: *a\n").into(), on(4)),
            ("merge", format!("{HEAD}x: &a\n  {key}<<: *a\n").into(), on(4)),
            ("merge before", format!("{HEAD}x: &a\n  {key}<<: *a\nprotectKernelDefaults: no\n").into(), off(6)),
            ("merge of several", format!("{HEAD}x: &a {{protectKernelDefaults: yes}}\ny: &b {{protectKernelDefaults: no}}\n<<: [*a, *b]\n").into(), on(3)),
            ("JSON", br#"{"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", "protectKernelDefaults": true}"#.into(), on(1)),
            ("JSON string", br#"{"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", "protectKernelDefaults": "true"}"#.into(), None),
            ("flow", "{kind: KubeletConfiguration, apiVersion: kubelet.config.k8s.io/v1beta1, protectKernelDefaults: yes}".into(), on(1)),
            ("not a mapping", "[protectKernelDefaults]".into(), None),
            ("a scalar", "protectKernelDefaults".into(), None),
            ("broken", format!("{body}x: [\n").into(), None),
            ("CRLF", body.replace('\n', "\r\n").into(), on(3)),
            ("byte order mark", format!("\u{feff}{body}").into(), on(3)),
            ("UTF-16, little end first", wide(&format!("\u{feff}{body}"), u16::to_le_bytes), on(3)),
            ("UTF-16, big end first", wide(&format!("\u{feff}{body}"), u16::to_be_bytes), on(3)),
            ("not UTF-8", [body.as_bytes(), b"x: \xff\n"].concat(), None),
            ("deep in blocks", blocks.into(), on(3)),
        ];
        for (case, content, expected) in cases {
            assert_eq!(outcome(&content), expected, "{case}");
        }
        let brackets = format!("{body}deep: {}{}\n", "[".repeat(9000), "]".repeat(9000));
        assert!(matches!(parse(brackets.as_bytes()), Err(Refusal::ByUs(_))));
        let anchors = (0..20_000).fold(format!("{body}x:\n"), |text, at| {
            text + &format!("- &a{at} y\n")
        });
        assert!(matches!(parse(anchors.as_bytes()), Err(Refusal::ByUs(_))));
        let aliases = format!("{body}x: &a {{kind: y}}\ny: [{}]\n", "*a,".repeat(20_000));
        assert!(matches!(parse(aliases.as_bytes()), Err(Refusal::ByUs(_))));
    }
}
