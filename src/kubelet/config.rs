//! Owns kubelet's configuration file: JSON, or YAML 1.1 as Go reads it, down to one key.

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::memmem;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::json::{self, Json};

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
pub enum Value {
    /// Nothing.
    Absent,
    /// It takes back what an earlier file said.
    Null,
    /// The value, and the line it stands in.
    Bool(bool, usize),
}

/// Why there is no value.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
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
pub fn parse(content: &[u8]) -> Result<Value, Refusal> {
    let is_json = is_json(content);
    let text = if is_json {
        String::from_utf8_lossy(content)
    } else {
        decode(content)?
    };
    // A key can hide behind an escape, but not behind an alias: what it refers to stands in the file. Kubelet's internal
    // version has a large P.
    if memmem::find(text.as_bytes(), &KEY.as_bytes()[1..]).is_none() && !text.contains('\\') {
        return Ok(Value::Absent);
    }
    let mut top = Mapping::default();
    if is_json {
        let (mut line, mut counted) = (1, 0);
        json::read(&text, |key, value, end| {
            if matters(key) {
                line += text[counted..end].matches('\n').count();
                counted = end;
                top.entries.push((key.to_string(), Entry { value, line }));
            }
        })?;
    } else {
        top = read(&as_yaml_1_1(&text))?;
    }
    settle(&top)
}

/// A file whose first character is a brace has to be JSON, and any other is YAML. Source: `GuessJSONStream` in
/// `k8s.io/apimachinery/pkg/util/yaml`.
fn is_json(content: &[u8]) -> bool {
    content.trim_ascii_start().starts_with(b"{")
}

/// Whether kubelet, which has an eye for the case in all other keys, takes the key for `kind` or `apiVersion`: Go looks
/// for them with a decoder of its own. Source: `SimpleMetaFactory` in `k8s.io/apimachinery`.
fn is_like(key: &str, wanted: &str) -> bool {
    let fold = |character: char| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => character.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(wanted.chars().map(fold))
}

fn matters(key: &str) -> bool {
    key == KEY || is_like(key, "kind") || is_like(key, "apiVersion")
}

/// Of several entries for the same the last counts, and a null says nothing of what the file is.
fn settle(top: &Mapping) -> Result<Value, Refusal> {
    let mut kind = "";
    let mut api_version = "";
    let mut protect = Value::Absent;
    for (key, Entry { value, line }) in &top.entries {
        match (key == KEY, value) {
            // Behind another value a null takes it back since 1.23 only.
            (true, Json::Null) if protect != Value::Absent => {}
            (true, Json::Null) => protect = Value::Null,
            (true, Json::Bool(value)) => protect = Value::Bool(*value, *line),
            (true, Json::Text(text)) => return Err(format!("{KEY} is no boolean: {text}").into()),
            (true, Json::Other) => return Err(format!("{KEY} is no boolean").into()),
            (false, Json::Null) => {}
            (false, Json::Text(text)) if is_like(key, "kind") => kind = text,
            (false, Json::Text(text)) => api_version = text,
            (false, Json::Bool(_) | Json::Other) => {
                return Err(format!("{key} is no string").into());
            }
        }
    }
    match (kind, api_version) {
        (KIND, API_VERSION) => Ok(protect),
        (KIND, "kubelet.config.k8s.io/__internal") => Err(Refusal::ByUs(format!(
            "it is written as kubelet keeps a {KIND} for itself"
        ))),
        _ => Err(format!("it is no {KIND} of {API_VERSION}").into()),
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

/// In YAML 1.1 three more characters end a line, and to Go's parser a byte order mark inside is a letter.
fn as_yaml_1_1(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let changed = |character| match character {
        '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
        '\u{feff}' => '\u{fffd}',
        _ => character,
    };
    text.chars().map(changed).collect()
}

#[derive(Debug, Clone)]
struct Scalar {
    text: String,
    plain: bool,
    tag: Option<String>,
    line: usize,
}

impl Scalar {
    /// The value by yaml.v2's `resolve`, in which a plain `yes`, `on` and `y` are true; what is neither boolean nor null
    /// stays text.
    fn value(&self) -> Json {
        let text = || Json::Text(self.text.clone());
        match self.tag.as_deref() {
            None if !self.plain => return text(),
            None | Some("bool" | "null") => {}
            Some(_) => return text(),
        }
        match self.text.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                Json::Bool(true)
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
            | "OFF" => Json::Bool(false),
            "" | "~" | "null" | "Null" | "NULL" => Json::Null,
            _ => text(),
        }
    }
}

/// The entries of a mapping that matter here, in the order of their keys' bytes, as Go turns YAML into JSON.
#[derive(Debug, Clone, Default)]
struct Mapping {
    entries: Vec<(String, Entry)>,
}

/// The value of a key, and the line in which the key stands.
#[derive(Debug, Clone)]
struct Entry {
    value: Json,
    line: usize,
}

impl Mapping {
    fn set(&mut self, key: &str, entry: Entry) {
        let place = self
            .entries
            .binary_search_by(|(name, _)| name.as_str().cmp(key));
        match place {
            Ok(at) => self.entries[at].1 = entry,
            Err(at) => self.entries.insert(at, (key.to_string(), entry)),
        }
    }

    /// Go's parser applies a merge where it stands, so that it beats what stands before it.
    fn merge(&mut self, other: &Self) {
        for (key, entry) in &other.entries {
            self.set(key, entry.clone());
        }
    }
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
            Self::Mapping(mapping) => 1 + mapping.entries.len(),
            Self::Sequence(mappings) => mappings
                .iter()
                .fold(1, |weight, mapping| weight + 1 + mapping.entries.len()),
        }
    }
}

/// A mapping or sequence that has not ended yet, with the id of its anchor and what was decoded before it.
enum Open {
    Mapping(Box<Mapping>, Option<Box<Node>>, usize, u32),
    Sequence(Vec<Mapping>, usize, u32),
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

/// Reads the first document, whose top has to be a mapping.
fn read(text: &str) -> Result<Mapping, Refusal> {
    let mut anchors: BTreeMap<usize, (Node, u32)> = BTreeMap::new();
    let mut stack: Vec<Open> = Vec::new();
    let mut kept = 0;
    let mut decoded = Decoded::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| refusal(&error))?;
        if stack.len() > DEPTH {
            return Err("it is nested too deeply".into());
        }
        let before = decoded.all;
        if matches!(
            event,
            Event::MappingStart(..)
                | Event::SequenceStart(..)
                | Event::Scalar(..)
                | Event::Alias(_)
        ) {
            decoded.all = decoded.all.saturating_add(1);
        }
        let (node, anchor, before) = match event {
            Event::MappingStart(anchor, _) => {
                stack.push(Open::Mapping(Box::default(), None, anchor, before));
                continue;
            }
            Event::SequenceStart(anchor, _) => {
                stack.push(Open::Sequence(Vec::new(), anchor, before));
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => match stack.pop() {
                Some(Open::Mapping(mapping, _, anchor, before)) => {
                    (Node::Mapping(*mapping), anchor, before)
                }
                Some(Open::Sequence(mappings, anchor, before)) => {
                    (Node::Sequence(mappings), anchor, before)
                }
                None => continue,
            },
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = scalar(&text, style, tag.as_deref(), span);
                (Node::Scalar(scalar), anchor, before)
            }
            Event::Alias(anchor) => {
                let (node, size) = anchors
                    .get(&anchor)
                    .ok_or("an alias refers to what is not there")?;
                decoded.alias(*size);
                if decoded.is_excessive() {
                    return Err("it has more by aliases than kubelet takes".into());
                }
                (node.clone(), 0, before)
            }
            Event::DocumentEnd | Event::StreamEnd => break,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
        };
        if kept > KEPT {
            return Err(Refusal::ByUs(format!(
                "it has more than {KEPT} anchors and mappings in sequences"
            )));
        }
        if anchor > 0 {
            kept += node.weight();
            anchors.insert(anchor, (node.clone(), decoded.all - before));
        }
        match stack.last_mut() {
            Some(Open::Mapping(mapping, key, ..)) => match key.take() {
                None => *key = Some(Box::new(node)),
                Some(key) => enter(mapping, &key, node)?,
            },
            Some(Open::Sequence(mappings, ..)) => {
                if let Node::Mapping(mapping) = node {
                    kept += 1 + mapping.entries.len();
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

/// What Go's parser says too is kubelet's; but ours minds more, such as a bracket that closes or a text that begins no
/// further in than its key, a comment close to a bracket, or the 256th bracket, where Go's takes 10,000.
fn refusal(error: &ScanError) -> Refusal {
    let why = error.to_string();
    let info = error.info();
    if info.starts_with("while ")
        || info.starts_with("did not find expected ")
        || info.ends_with(" not allowed in this context")
    {
        Refusal::ByKubelet(why)
    } else {
        Refusal::ByUs(why)
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
        return Err("a key is a mapping or a sequence".to_string());
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
    if key.value() == Json::Null {
        return Err("a key is null".to_string());
    }
    if matters(&key.text) {
        let value = match value {
            Node::Scalar(scalar) => scalar.value(),
            Node::Mapping(_) | Node::Sequence(_) => Json::Other,
        };
        // What is shown is where the key stands, whatever its value refers to.
        let line = key.line;
        mapping.set(&key.text, Entry { value, line });
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
            ("flow", "--- {kind: KubeletConfiguration, apiVersion: kubelet.config.k8s.io/v1beta1, protectKernelDefaults: yes}".into(), on(1)),
            ("flow at the start", "{kind: KubeletConfiguration, apiVersion: kubelet.config.k8s.io/v1beta1, protectKernelDefaults: yes}".into(), None),
            ("JSON with tabs", b"\n{\n\t\"kind\": \"KubeletConfiguration\",\n\t\"apiVersion\": \"kubelet.config.k8s.io/v1beta1\",\n\t\"protectKernelDefaults\": true\n}\n".into(), on(5)),
            ("JSON, not UTF-8", b"{\"kind\": \"KubeletConfiguration\", \"apiVersion\": \"kubelet.config.k8s.io/v1beta1\", \"x\": \"\xff\", \"protectKernelDefaults\": true}".into(), on(1)),
            ("JSON, twice", br#"{"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", "protectKernelDefaults": true, "protectKernelDefaults": null}"#.into(), on(1)),
            ("JSON, kinds in order", br#"{"kind": "KubeletConfiguration", "Kind": "x", "kind": null, "apiVersion": "kubelet.config.k8s.io/v1beta1", "protectKernelDefaults": true}"#.into(), None),
            ("JSON, a comma too many", br#"{"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", "protectKernelDefaults": true,}"#.into(), None),
            ("kind wrongly cased", body.replace("kind", "KIND").replace("apiV", "APIv").into(), on(3)),
            ("kinds by their bytes", format!("{body}Kind: x\n").into(), on(3)),
            ("a kind by Unicode's cases", format!("{body}\u{212a}ind: x\n").into(), None),
            ("a version by Unicode's cases", format!("{body}apiVer\u{17f}ion: x\n").into(), None),
            ("versions by their bytes", format!("{body}apiversion: x\n").into(), None),
            ("a kind that is null", format!("Kind: KubeletConfiguration\n{}", body.replace("KubeletC", "~ # C")).into(), on(4)),
            ("a kind that is no string", format!("{body}Kind: [x]\n").into(), None),
            ("null for a key", format!("{body}x: {{~: 1}}\n").into(), None),
            ("nothing for a key", format!("{body}: 1\n").into(), None),
            ("a sequence for a key", format!("{body}? [x]\n: 1\n").into(), None),
            ("a bomb", format!("{body}a: &a [{}]\nb: &b [{}]\nc: [{}]\n", "x,".repeat(100), "*a,".repeat(100), "*b,".repeat(100)).into(), None),
            ("many aliases", format!("{body}a: &a [{}]\nb: [{}]\n", "x,".repeat(20), "*a,".repeat(90)).into(), on(3)),
            ("few aliases behind many nodes", format!("{body}x: [{}]\na: &a z\nb: [{}]\n", "y,".repeat(2000), "*a,".repeat(200)).into(), on(3)),
            ("lines that end by YAML 1.1", format!("{HEAD}x: 1\u{85}y: 2\u{2028}{key}").into(), on(5)),
            ("a byte order mark inside", format!("{body}\u{feff}x: {{y\u{feff}: 1}}\n").into(), on(3)),
            ("a byte order mark in a comment", format!("{HEAD}# \u{feff}\n{key}").into(), on(4)),
            ("a byte order mark in the key", format!("{HEAD}\u{feff}{key}").into(), Some(Value::Absent)),
            ("not a mapping", "[protectKernelDefaults]".into(), None),
            ("a scalar", "protectKernelDefaults".into(), None),
            ("broken", format!("{body}x: [\n").into(), None),
            ("CRLF", body.replace('\n', "\r\n").into(), on(3)),
            ("byte order mark", format!("\u{feff}{body}").into(), on(3)),
            ("UTF-16, little end first", wide(&format!("\u{feff}{body}"), u16::to_le_bytes), on(3)),
            ("UTF-16, big end first", wide(&format!("\u{feff}{body}"), u16::to_be_bytes), on(3)),
            ("not UTF-8", [body.as_bytes(), b"x: \xff\n"].concat(), None),
            ("deep in blocks", blocks.into(), on(3)),
            ("as deep as Go goes", format!("{body}x:\n{}1\n", "- ".repeat(DEPTH - 1)).into(), on(3)),
            ("deeper than Go goes", format!("{body}x:\n{}1\n", "- ".repeat(DEPTH)).into(), None),
        ];
        for (case, content, expected) in cases {
            assert_eq!(outcome(&content), expected, "{case}");
        }
    }

    #[test]
    fn tells_what_kubelet_refuses_from_what_we_cannot_read() {
        let body = format!("{HEAD}protectKernelDefaults: true\n");
        for broken in [
            format!("{body}x: [\n"),
            format!("{body}x: y: z\n"),
            format!("%YAML 1.1\n{body}"),
        ] {
            assert!(
                matches!(parse(broken.as_bytes()), Err(Refusal::ByKubelet(_))),
                "{broken}"
            );
        }
        for outside in [
            "x:\n  y: {z: 1\n}\n",
            "x:\n>-\n  y: 1\nz: 1\n",
            "x: [# y\n]\n",
        ] {
            let file = format!("{body}{outside}");
            assert!(
                matches!(parse(file.as_bytes()), Err(Refusal::ByUs(_))),
                "{outside}"
            );
        }
        let internal = body
            .replace("v1beta1", "__internal")
            .replace("protect", "Protect");
        assert!(matches!(parse(internal.as_bytes()), Err(Refusal::ByUs(_))));
        let brackets = format!("{body}deep: {}{}\n", "[".repeat(9000), "]".repeat(9000));
        assert!(matches!(parse(brackets.as_bytes()), Err(Refusal::ByUs(_))));
        let anchors = (0..20_000).fold(format!("{body}x:\n"), |text, at| {
            text + &format!("- &a{at} y\n")
        });
        assert!(matches!(parse(anchors.as_bytes()), Err(Refusal::ByUs(_))));
        let aliases = format!("{body}x: &a {{kind: y}}\ny: [{}]\n", "*a,".repeat(20_000));
        assert!(matches!(parse(aliases.as_bytes()), Err(Refusal::ByUs(_))));
    }

    #[test]
    fn reads_a_large_file_once() {
        // Counting the lines anew for each key would take half an hour here.
        let key = "\"protectKernelDefaults\": true,\n";
        let file = format!("{{{}\"x\": 1}}", key.repeat((1 << 20) / key.len()));
        assert!(parse(file.as_bytes()).is_err());
    }

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
        let body = format!("kind: {KIND}\napiVersion: {API_VERSION}\n{KEY}: true\n");
        let anchors = |count, node: &str| {
            let list = (0..count).fold(String::from("x:\n"), |text, at| {
                text + &format!("- &a{at} {node}\n")
            });
            parse(format!("{body}{list}").as_bytes())
        };
        let limit = u32::try_from(KEPT).unwrap();
        for (node, weight) in [
            ("y", 1),
            ("[]", 1),
            ("{kind: y}", 4),
            ("[{kind: y}, {kind: y}]", 9),
        ] {
            // Mappings in a sequence are kept with it, too.
            assert!(anchors(limit / weight, node).is_ok(), "{node}");
            assert!(
                matches!(anchors(limit / weight + 1, node), Err(Refusal::ByUs(_))),
                "{node}"
            );
        }
    }
}
