//! Reads kubelet's configuration files and puts drop-ins over them, down to protectKernelDefaults and a feature gate.

use std::collections::BTreeMap;
use std::path::Path;

use super::gates::{self, Gates};
use super::{Ground, json, yaml};

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
    pub protect: Option<(bool, Ground)>,
    /// Feature gates.
    pub gates: Gates,
    /// A feature gate that kubelets of some versions do not have.
    pub other_gate: Option<String>,
}

/// Why a file says nothing.
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
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.entries.len() > ENTRIES {
            return Err(Refusal::ByUs("it repeats its keys too often".to_string()));
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
fn read(content: &[u8], refuses_repeated_keys: bool) -> Result<Mapping, Refusal> {
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
pub fn parse(content: &[u8], path: &Path) -> Result<Settings, Refusal> {
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
            return Err(Refusal::ByUs(format!(
                "it is written as kubelet keeps a {KIND} for itself"
            )));
        }
        _ => return Err(format!("it is no {KIND} of {API_VERSION}").into()),
    }
    let mut settings = Settings::default();
    for (key, Entry { value, line }) in &top.entries {
        if key == PROTECT {
            settings.protect(value, || Ground::in_file(path, *line))?;
        } else if key == GATES {
            settings.gates(value)?;
        }
    }
    Ok(settings)
}

impl Settings {
    /// Go leaves a boolean alone when it decodes a null into it.
    fn protect(&mut self, value: &Value, ground: impl Fn() -> Ground) -> Result<(), Refusal> {
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
    fn gates(&mut self, value: &Value) -> Result<(), Refusal> {
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
    merged: BTreeMap<String, (Value, Ground)>,
    /// Why it is off where nothing is left.
    off: Ground,
    other_gate: Option<String>,
}

impl DropIns {
    /// Begins with what flags or the file of `--config` say.
    pub fn over(base: Settings) -> Self {
        let mut merged = BTreeMap::new();
        let mut off = Ground::Default;
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
            merged.insert(GATES.to_string(), (Value::Mapping(gates), Ground::Default));
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
    pub fn add(&mut self, content: &[u8], path: &Path) -> Result<(), Refusal> {
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
                self.off = Ground::Default;
            }
            let old = self.merged.remove(&key).map(|(value, _)| value);
            if let Some(value) = patched(old, value) {
                let ground = Ground::in_file(path, line);
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
    pub fn settle(self) -> Result<Settings, Refusal> {
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
