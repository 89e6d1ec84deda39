//! Reads kubelet's configuration files and puts drop-ins over them, down to protectKernelDefaults and a feature gate.

use std::collections::BTreeMap;
use std::path::Path;

use super::gates::{self, Gates};
use super::{SetBy, json, yaml};

const PROTECT: &str = "protectKernelDefaults";
const GATES: &str = "featureGates";
const KIND: &str = "KubeletConfiguration";
const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";

/// Entries kept of a mapping at the most, of which no more than seven have different keys but for their case.
const ENTRIES: usize = 1000;

/// What files or flags say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// protectKernelDefaults, and where it is said.
    pub protect: Option<(bool, SetBy)>,
    /// Feature gates.
    pub gates: Gates,
    /// A feature gate that kubelets of some versions do not have.
    pub other_gate: Option<String>,
}

/// Why a file says nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Kubelet will not take the file.
    ByKubelet(String),
    /// We cannot read what kubelet perhaps can.
    ByUs(String),
}

impl From<String> for ConfigError {
    fn from(why: String) -> Self {
        Self::ByKubelet(why)
    }
}

impl From<&str> for ConfigError {
    fn from(why: &str) -> Self {
        Self::ByKubelet(why.to_string())
    }
}

/// A value, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Text(String),
    Mapping(Mapping),
    Other,
}

/// A value and the line that it is shown with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) line: usize,
}

/// What matters of a mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mapping {
    /// In the order in which Go takes them: in JSON as they stand, in YAML by their bytes and each once.
    pub(super) entries: Vec<(String, Entry)>,
    /// The first of the other keys.
    pub(super) other: Option<String>,
}

/// Whether a mapping keeps what stands under the key.
pub(super) fn keeps(key: &str) -> bool {
    [PROTECT, GATES, "kind", "apiVersion"]
        .iter()
        .any(|wanted| folds_to(key, wanted))
        || gates::known(key).is_some()
}

/// Whether the keys are the same to Go's encoding/json, which does not mind their case.
fn folds_to(key: &str, wanted: &str) -> bool {
    let fold = |character: char| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => character.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(wanted.chars().map(fold))
}

impl Mapping {
    fn place(&self, key: &str) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|(name, _)| name.as_str().cmp(key))
    }

    /// Whether there is the key, in a mapping whose entries are in the order of their keys.
    pub(super) fn has(&self, key: &str) -> bool {
        self.place(key).is_ok()
    }

    /// Enters a key in the order of the keys' bytes, or replaces its value.
    pub(super) fn set(&mut self, key: &str, entry: Entry) {
        match self.place(key) {
            Ok(at) => self.entries[at].1 = entry,
            Err(at) => self.entries.insert(at, (key.to_string(), entry)),
        }
    }

    /// Remembers that it has a key that is not kept.
    pub(super) fn meet(&mut self, key: &str) {
        self.other.get_or_insert_with(|| key.to_string());
    }

    /// Refuses more entries than a file has that is not made to be slow.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.entries.len() > ENTRIES {
            return Err(ConfigError::ByUs(
                "it repeats its keys too often".to_string(),
            ));
        }
        Ok(())
    }

    /// How much it takes to keep.
    pub(super) fn weight(&self) -> usize {
        let inner = |(_, entry): &(String, Entry)| match &entry.value {
            Value::Mapping(mapping) => 1 + mapping.weight(),
            _ => 1,
        };
        1 + self.entries.iter().map(inner).sum::<usize>()
    }

    /// The same without what is in its mappings, so that they are never deeper than two.
    pub(super) fn without_mappings(mut self) -> Self {
        for (_, entry) in &mut self.entries {
            if matches!(entry.value, Value::Mapping(_)) {
                entry.value = Value::Other;
            }
        }
        self
    }
}

/// A file whose first character is a brace has to be JSON, and any other is YAML. Source: `GuessJSONStream` in
/// `k8s.io/apimachinery/pkg/util/yaml`.
fn read(content: &[u8], refuses_repeated_keys: bool) -> Result<Mapping, ConfigError> {
    if content.is_empty() {
        return Err("it is empty".into());
    }
    if content.trim_ascii_start().starts_with(b"{") {
        json::read(content, refuses_repeated_keys)
    } else {
        yaml::read(content, refuses_repeated_keys)
    }
}

/// Reads the file of `--config`. The path is only for what is shown.
///
/// # Errors
///
/// Says why kubelet will not take the file, or why we cannot tell.
pub fn parse(content: &[u8], path: &Path) -> Result<Settings, ConfigError> {
    // Kubelet decodes it strictly, and if that fails leniently. Source: `DecodeKubeletConfiguration` in kubernetes'
    // `pkg/kubelet/kubeletconfig/util/codec`.
    let top = read(content, false)?;
    // Kind and version are looked for without regard to case. Source: `SimpleMetaFactory` in `k8s.io/apimachinery`.
    let (mut kind, mut api_version) = ("", "");
    for (key, Entry { value, .. }) in &top.entries {
        let place = if folds_to(key, "kind") {
            &mut kind
        } else if folds_to(key, "apiVersion") {
            &mut api_version
        } else {
            continue;
        };
        match value {
            Value::Null => {}
            Value::Text(text) => *place = text,
            _ => return Err(format!("{key} is no string").into()),
        }
    }
    match (kind, api_version) {
        (KIND, API_VERSION) => {}
        (KIND, "kubelet.config.k8s.io/__internal") => {
            return Err(ConfigError::ByUs(format!(
                "it is written as kubelet keeps a {KIND} for itself"
            )));
        }
        _ => return Err(format!("it is no {KIND} of {API_VERSION}").into()),
    }
    let mut settings = Settings::default();
    for (key, Entry { value, line }) in &top.entries {
        if key == PROTECT {
            settings.protect(value, || SetBy::in_file(path, *line))?;
        } else if key == GATES {
            settings.gates(value)?;
        }
    }
    Ok(settings)
}

impl Settings {
    /// Go leaves a boolean alone when it decodes a null into it.
    fn protect(&mut self, value: &Value, ground: impl Fn() -> SetBy) -> Result<(), ConfigError> {
        match value {
            Value::Null => {}
            Value::Bool(on) => self.protect = Some((*on, ground())),
            Value::Text(text) => return Err(format!("{PROTECT} is no boolean: {text}").into()),
            Value::Mapping(_) | Value::Other => {
                return Err(format!("{PROTECT} is no boolean").into());
            }
        }
        Ok(())
    }

    /// Of several mappings for the same the later are put over the earlier.
    fn gates(&mut self, value: &Value) -> Result<(), ConfigError> {
        match value {
            Value::Null => self.gates.clear(),
            Value::Mapping(mapping) => {
                for (name, entry) in &mapping.entries {
                    match entry.value {
                        Value::Null => self.gates.set(name, false),
                        Value::Bool(on) => self.gates.set(name, on),
                        _ => return Err(format!("{GATES}.{name} is no boolean").into()),
                    }
                }
                self.other_gate = self.other_gate.take().or_else(|| mapping.other.clone());
            }
            _ => return Err(format!("{GATES} is no mapping").into()),
        }
        Ok(())
    }
}

/// The configuration while drop-ins are put over it, as JSON without types.
///
/// Source: `mergeKubeletConfigurations` in kubernetes' `cmd/kubelet/app/server.go`.
#[derive(Debug)]
pub struct DropIns {
    merged: BTreeMap<String, (Value, SetBy)>,
    /// Why it is off where nothing is left.
    off: SetBy,
    other_gate: Option<String>,
}

impl DropIns {
    /// Begins with what flags or the file of `--config` say.
    pub fn over(base: Settings) -> Self {
        let mut merged = BTreeMap::new();
        let mut off = SetBy::Default;
        // Kubelet writes its configuration down as JSON, in which a false one is left out.
        match base.protect {
            Some((true, ground)) => {
                merged.insert(PROTECT.to_string(), (Value::Bool(true), ground));
            }
            Some((false, ground)) => off = ground,
            None => {}
        }
        let mut gates = Mapping::default();
        for (name, on) in base.gates.iter() {
            let value = Value::Bool(on);
            gates.set(name, Entry { value, line: 0 });
        }
        if !gates.entries.is_empty() {
            merged.insert(GATES.to_string(), (Value::Mapping(gates), SetBy::Default));
        }
        Self {
            merged,
            off,
            other_gate: base.other_gate,
        }
    }

    /// Puts a file over it as a JSON merge patch (RFC 7396).
    ///
    /// # Errors
    ///
    /// Says why kubelet will not take the file, or why we cannot tell.
    pub fn add(&mut self, content: &[u8], path: &Path) -> Result<(), ConfigError> {
        // Untyped, so that kind and version have to be spelt exactly; but they are decoded before, whatever their case.
        let top = read(content, true)?;
        let (mut kind, mut api_version) = (None, None);
        for (key, Entry { value, line }) in top.entries {
            if folds_to(&key, "kind") || folds_to(&key, "apiVersion") {
                match value {
                    Value::Text(text) if key == "kind" => kind = Some(text),
                    Value::Text(text) if key == "apiVersion" => api_version = Some(text),
                    Value::Text(_) | Value::Null => {}
                    _ => return Err(format!("{key} is no string").into()),
                }
                continue;
            }
            if key == PROTECT && value == Value::Null {
                self.off = SetBy::Default;
            }
            let old = self.merged.remove(&key).map(|(value, _)| value);
            if let Some(value) = patched(old, value) {
                let ground = SetBy::in_file(path, line);
                self.merged.insert(key, (value, ground));
            }
        }
        if kind.as_deref() != Some(KIND) || api_version.as_deref() != Some(API_VERSION) {
            return Err(format!("it is no {KIND} of {API_VERSION}").into());
        }
        Ok(())
    }

    /// What comes of it all: now the values have types, and the case of keys does not matter.
    ///
    /// # Errors
    ///
    /// Says why kubelet will not take it.
    pub fn settle(self) -> Result<Settings, ConfigError> {
        let mut settings = Settings {
            protect: Some((false, self.off)),
            other_gate: self.other_gate,
            ..Settings::default()
        };
        for (key, (value, ground)) in &self.merged {
            if folds_to(key, PROTECT) {
                settings.protect(value, || ground.clone())?;
            } else if folds_to(key, GATES) {
                settings.gates(value)?;
            }
        }
        Ok(settings)
    }
}

/// A value with another over it; none where nothing is left.
fn patched(old: Option<Value>, new: Value) -> Option<Value> {
    match (old, new) {
        (_, Value::Null) => None,
        (old, Value::Mapping(patch)) => {
            let mut mapping = match old {
                Some(Value::Mapping(mapping)) => mapping,
                _ => Mapping::default(),
            };
            for (key, entry) in patch.entries {
                mapping.entries.retain(|(name, _)| *name != key);
                if entry.value != Value::Null {
                    mapping.set(&key, entry);
                }
            }
            mapping.other = mapping.other.or(patch.other);
            Some(Value::Mapping(mapping))
        }
        (_, new) => Some(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

    /// protectKernelDefaults and its line, if the file says it.
    type Said = Option<(bool, usize)>;

    fn said(settings: Settings) -> Said {
        settings.protect.map(|(on, ground)| match ground {
            SetBy::File { line, .. } => (on, line),
            SetBy::Default | SetBy::Flag(_) => (on, 0),
        })
    }

    fn outcome(content: &[u8]) -> Option<Said> {
        parse(content, Path::new("/c")).ok().map(said)
    }

    #[test]
    fn values_are_yaml_1_1() {
        let on = Some(Some((true, 3)));
        let off = Some(Some((false, 3)));
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
            ("~", Some(None)),
            ("null", Some(None)),
            ("", Some(None)),
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
        let on = |line| Some(Some((true, line)));
        let off = |line| Some(Some((false, line)));
        let wide = |text: &str, unit: fn(u16) -> [u8; 2]| {
            text.encode_utf16().flat_map(unit).collect::<Vec<_>>()
        };
        let key = "protectKernelDefaults: true\n";
        let body = format!("{HEAD}{key}");
        let nested = (0..1000).fold(String::new(), |text, depth| {
            text + &" ".repeat(depth) + "x:\n"
        });
        let blocks = format!("{body}{nested}");
        let cases: Vec<(&str, Vec<u8>, Option<Said>)> = vec![
            ("absent", HEAD.into(), Some(None)),
            ("present", body.clone().into(), on(3)),
            ("empty", "".into(), None),
            ("no kind", key.into(), None),
            ("wrong kind", body.replace("KubeletC", "C").into(), None),
            ("wrong version", body.replace("v1beta1", "v1").into(), None),
            ("key quoted", format!("{HEAD}\"protectKernelDefaults\": true\n").into(), on(3)),
            ("key escaped", format!("{HEAD}\"protectKernel\\u0044efaults\": true\n").into(), on(3)),
            ("key wrongly cased", format!("{HEAD}ProtectKernelDefaults: true\n").into(), Some(None)),
            ("key wrongly cased, and right", format!("{body}protectkerneldefaults: false\n").into(), on(3)),
            ("twice", format!("{body}protectKernelDefaults: false\n").into(), off(4)),
            ("in a comment", format!("{HEAD}# {key}").into(), Some(None)),
            ("nested", format!("{HEAD}x:\n  {key}").into(), Some(None)),
            ("in a string", format!("{HEAD}x: |\n  {key}").into(), Some(None)),
            ("second document", format!("{HEAD}---\n{key}").into(), Some(None)),
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
            ("a tab behind a colon", format!("{HEAD}protectKernelDefaults:\ttrue\nmaxPods:\t110\n").into(), on(3)),
            ("a list that goes on in column 0", format!("{body}x: [a,\nb]\n").into(), on(3)),
            ("a list that is indented by a tab", format!("{body}x: [\n\ta\n]\n").into(), on(3)),
            ("a mapping that closes in column 0", format!("{body}x: {{\n}}\n").into(), on(3)),
            ("a comment behind a bracket", format!("{body}x: [# y\n]\n").into(), on(3)),
            ("no colon", format!("{body}maxPods 110\n").into(), None),
            ("a word behind a quoted one", format!("{body}x: \"x\" y\n").into(), None),
            ("a block that is indented by a tab", format!("{body}x:\n\ty: 1\n").into(), None),
            ("a literal without an end", format!("{body}x: |\n  y").into(), on(3)),
            ("an escape without an end", format!("{body}x: \"\\").into(), None),
            ("a text that is no tag", format!("{body}x: \"Hello!, world\"\n").into(), on(3)),
            ("what is wrong behind the first document", [body.as_bytes(), b"---\n", &b"x\n".repeat(400), b"\xff"].concat(), on(3)),
            ("lines that end by YAML 1.1", format!("{HEAD}x: 1\u{85}y: 2\u{2028}{key}").into(), on(5)),
            ("a byte order mark inside", format!("{body}\u{feff}x: {{y\u{feff}: 1}}\n").into(), on(3)),
            ("a byte order mark in a comment", format!("{HEAD}# \u{feff}\n{key}").into(), on(4)),
            ("a byte order mark in the key", format!("{HEAD}\u{feff}{key}").into(), Some(None)),
            ("not a mapping", "[protectKernelDefaults]".into(), None),
            ("a scalar", "protectKernelDefaults".into(), None),
            ("broken", format!("{body}x: [\n").into(), None),
            ("CRLF", body.replace('\n', "\r\n").into(), on(3)),
            ("byte order mark", format!("\u{feff}{body}").into(), on(3)),
            ("UTF-16, little end first", wide(&format!("\u{feff}{body}"), u16::to_le_bytes), on(3)),
            ("UTF-16, big end first", wide(&format!("\u{feff}{body}"), u16::to_be_bytes), on(3)),
            ("not UTF-8", [body.as_bytes(), b"x: \xff\n"].concat(), None),
            ("deep in blocks", blocks.into(), on(3)),
            ("as deep as Go goes", format!("{body}x:\n{}1\n", "- ".repeat(yaml::DEPTH - 1)).into(), on(3)),
            ("deeper than Go goes", format!("{body}x:\n{}1\n", "- ".repeat(yaml::DEPTH)).into(), None),
        ];
        for (case, content, expected) in cases {
            assert_eq!(outcome(&content), expected, "{case}");
        }
    }

    #[test]
    fn tells_what_kubelet_refuses_from_what_we_cannot_read() {
        let body = format!("{HEAD}protectKernelDefaults: true\n");
        let many = |count, piece: &str| {
            (0..count).fold(String::new(), |text, at| {
                text + &piece.replace('@', &at.to_string())
            })
        };
        for broken in [
            format!("{body}x: [\n"),
            format!("{body}x: y: z\n"),
            format!("%YAML 1.1\n{body}"),
        ] {
            let refusal = parse(broken.as_bytes(), Path::new("/c"));
            assert!(
                matches!(refusal, Err(ConfigError::ByKubelet(_))),
                "{broken:.200} {refusal:?}"
            );
        }
        for ours in [
            body.replace("v1beta1", "__internal")
                .replace("protect", "Protect"),
            format!("{body}x: [y:,]\n"),
            format!("{body}x: [!!str, y]\n"),
            format!("{body}x: [!<tag:yaml.org,2002:str>, y]\n"),
            format!("{body}{}: y\n", "\u{e9}".repeat(600)),
            format!("{body}!!binary eA==: y\n"),
            format!("{body}x: {}{}\n", "[".repeat(5000), "1,".repeat(10_000)),
            format!("{}---\n{body}", many(1001, "%TAG !@! y\r")),
            format!("{body}x:\n{}", many(20_000, "- &a@ y\n")),
            format!("{body}x: &a {{kind: y}}\ny: [{}]\n", "*a,".repeat(20_000)),
            format!("{{{}\"x\": 1}}", "\"kind\": \"x\",".repeat(2000)),
        ] {
            let refusal = parse(ours.as_bytes(), Path::new("/c"));
            assert!(
                matches!(refusal, Err(ConfigError::ByUs(_))),
                "{ours:.200} {refusal:?}"
            );
        }
    }

    #[test]
    fn reads_a_large_file_once() {
        // Counting the lines anew for each key would take half an hour here.
        let key = "\"protectKernelDefaults\": true,\n";
        let file = format!("{{{}\"x\": 1}}", key.repeat((1 << 20) / key.len()));
        assert!(parse(file.as_bytes(), Path::new("/c")).is_err());
    }

    #[test]
    fn reads_feature_gates() {
        for (text, expected) in [
            ("", None),
            ("featureGates: {KubeletInUserNamespace: on}", Some(true)),
            (
                "featureGates:\n  KubeletInUserNamespace: false\n  AllAlpha: true",
                Some(false),
            ),
            ("featureGates: {KubeletInUserNamespace: ~}", Some(false)),
            ("featureGates: ~", None),
            ("FeatureGates: {KubeletInUserNamespace: true}", None),
            (
                "x: &a {AllAlpha: true, AllBeta: true}\nfeatureGates: *a",
                Some(true),
            ),
            ("x: &a {featureGates: {AllAlpha: true}}\n<<: *a", Some(true)),
            (
                "x: &a {AllAlpha: true}\nfeatureGates: {<<: *a, y: true}",
                Some(true),
            ),
        ] {
            let file = format!("{HEAD}{text}\n");
            let settings = parse(file.as_bytes(), Path::new("/c")).unwrap();
            assert_eq!(settings.gates.in_user_namespace(), expected, "{text}");
            assert_eq!(
                settings.other_gate.is_some(),
                text.contains("y: true"),
                "{text}"
            );
        }
        for text in [
            "[x]",
            "x",
            "{KubeletInUserNamespace: \"true\"}",
            "{AllBeta: {featureGates: {}}}",
        ] {
            let file = format!("{HEAD}featureGates: {text}\n");
            assert_eq!(outcome(file.as_bytes()), None, "{text}");
        }
        let json = r#"{"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "featureGates": {"AllAlpha": true}, "featureGates": {"AllBeta": true}}"#;
        let settings = parse(json.as_bytes(), Path::new("/c")).unwrap();
        assert_eq!(settings.gates.in_user_namespace(), Some(true));
    }

    fn merged(base: &str, drop_ins: &[&str]) -> Option<Said> {
        let base = parse(format!("{HEAD}{base}").as_bytes(), Path::new("/c")).unwrap();
        let mut merged = DropIns::over(base);
        for text in drop_ins {
            merged
                .add(format!("{HEAD}{text}\n").as_bytes(), Path::new("/d"))
                .ok()?;
        }
        merged.settle().ok().map(said)
    }

    #[test]
    fn drop_ins_are_merged_without_types() {
        let on = "protectKernelDefaults: true";
        let off = "protectKernelDefaults: false";
        for (base, drop_ins, expected) in [
            (on, &[][..], Some(Some((true, 3)))),
            (off, &[], Some(Some((false, 3)))),
            ("", &[], Some(Some((false, 0)))),
            (
                "",
                &["x: 1\nprotectKernelDefaults: true"],
                Some(Some((true, 4))),
            ),
            (on, &[off], Some(Some((false, 3)))),
            (on, &["protectKernelDefaults: null"], Some(Some((false, 0)))),
            (
                off,
                &["protectKernelDefaults: null"],
                Some(Some((false, 0))),
            ),
            (off, &["ProtectKernelDefaults: true"], Some(Some((true, 3)))),
            (on, &["ProtectKernelDefaults: false"], Some(Some((true, 3)))),
            (
                on,
                &["protectkerneldefaults: false"],
                Some(Some((false, 3))),
            ),
            (
                "",
                &["protectKernelDefaults: \"true\"", on],
                Some(Some((true, 3))),
            ),
            ("", &["protectKernelDefaults: \"true\""], None),
            (
                "",
                &[
                    "protectKernelDefaults: {x: 1}",
                    "protectKernelDefaults: {x: null}",
                ],
                None,
            ),
            (on, &["kind: KubeletConfiguration"], None),
            (on, &["x: {a: 1, \"a\": 2}"], None),
            (on, &["x: {1: 1, \"1\": 2}"], Some(Some((true, 3)))),
            (
                "",
                &["y: &a {protectKernelDefaults: true}\n<<: *a"],
                Some(Some((true, 3))),
            ),
            (
                on,
                &["y: &a {protectKernelDefaults: true}\n<<: *a\nprotectKernelDefaults: no"],
                None,
            ),
            (on, &["Kind: [x]"], None),
            (on, &["Kind: x\napiversion: x"], Some(Some((true, 3)))),
            (on, &["---"], Some(Some((true, 3)))),
        ] {
            assert_eq!(merged(base, drop_ins), expected, "{base} {drop_ins:?}");
        }
        let mut none = DropIns::over(Settings::default());
        for text in [
            "",
            "---\n",
            "{}",
            "apiVersion: kubelet.config.k8s.io/v1beta1\nKind: KubeletConfiguration\n",
            "kind: KubeletConfiguration\n",
            "{\"kind\": \"KubeletConfiguration\", \"apiVersion\": \"kubelet.config.k8s.io/v1beta1\", \"x\": {\"y\": [{\"a\": 1, \"a\": 1}]}}",
        ] {
            let refusal = none.add(text.as_bytes(), Path::new("/d"));
            assert!(matches!(refusal, Err(ConfigError::ByKubelet(_))), "{text}");
        }
    }

    #[test]
    fn drop_ins_merge_gates_one_by_one() {
        for (base, drop_ins, expected) in [
            (
                "featureGates: {KubeletInUserNamespace: true}",
                &[][..],
                Some(true),
            ),
            (
                "featureGates: {KubeletInUserNamespace: true}",
                &["featureGates: {AllBeta: true}"],
                Some(true),
            ),
            (
                "featureGates: {KubeletInUserNamespace: true}",
                &["featureGates: {KubeletInUserNamespace: null}"],
                None,
            ),
            (
                "featureGates: {KubeletInUserNamespace: true}",
                &["featureGates: null"],
                None,
            ),
            (
                "featureGates: {KubeletInUserNamespace: true}",
                &["featureGates: {KubeletInUserNamespace: false}"],
                Some(false),
            ),
            (
                "featureGates: {AllAlpha: true}",
                &["featuregates: {AllAlpha: false, AllBeta: false}"],
                Some(false),
            ),
            (
                "featureGates: {AllAlpha: true}",
                &["featureGates: x", "featureGates: {AllBeta: false}"],
                Some(false),
            ),
        ] {
            let base = parse(format!("{HEAD}{base}\n").as_bytes(), Path::new("/c")).unwrap();
            let mut merged = DropIns::over(base);
            for text in drop_ins {
                merged
                    .add(format!("{HEAD}{text}\n").as_bytes(), Path::new("/d"))
                    .unwrap();
            }
            let gates = merged.settle().unwrap().gates;
            assert_eq!(gates.in_user_namespace(), expected, "{drop_ins:?}");
        }
    }
}
