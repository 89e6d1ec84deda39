//! Reads kubelet's configuration files and puts drop-ins over them.

use std::path::Path;

use super::value::{
    ConfigError, Entry, GATES, IN_USER_NAMESPACE, Mapping, PROTECT, SetBy, Value, folds_to,
    refused, unknown,
};
use super::{json, yaml};

const KIND: &str = "KubeletConfiguration";
const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";
/// Characters shown of a wrong value at the most.
const SHOWN: usize = 40;

/// The settings that files or flags make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// protectKernelDefaults, and what sets it.
    pub protect: Option<(bool, SetBy)>,
    /// The feature gate `KubeletInUserNamespace`.
    pub in_user_namespace: Option<bool>,
}

impl Settings {
    /// Puts the file of `--config` over it. The path is only for what is shown.
    ///
    /// # Errors
    ///
    /// Says why kubelet will not take the file, or why we cannot tell.
    pub fn add_config(&mut self, content: &[u8], path: &Path) -> Result<(), ConfigError> {
        let top = read_config(content);
        let added = top.and_then(|top| self.add(&top, path));
        added.map_err(|error| error.in_file(path))
    }

    /// Puts a drop-in over it.
    ///
    /// # Errors
    ///
    /// Those of [`Settings::add_config`].
    pub fn add_drop_in(&mut self, content: &[u8], path: &Path) -> Result<(), ConfigError> {
        let top = read_drop_in(content);
        let added = top.and_then(|top| self.add(&top, path));
        added.map_err(|error| error.in_file(path))
    }

    /// Puts what a file sets over what is set.
    fn add(&mut self, top: &Mapping, path: &Path) -> Result<(), ConfigError> {
        if let Some(entry) = top.entries.get(PROTECT)
            && let Some(on) = boolean(PROTECT, entry)?
        {
            let (path, line) = (path.to_path_buf(), entry.line);
            self.protect = Some((on, SetBy::File { path, line }));
        }
        let Some(Entry { value, line }) = top.entries.get(GATES) else {
            return Ok(());
        };
        match value {
            Value::Null => Ok(()),
            Value::Mapping(gates) => {
                if let Some(entry) = gates.entries.get(IN_USER_NAMESPACE) {
                    let on = boolean(IN_USER_NAMESPACE, entry)?;
                    // A null is false in a map.
                    self.in_user_namespace = Some(on.unwrap_or(false));
                }
                Ok(())
            }
            _ => Err(refused(format!("{GATES} must be a mapping")).on_line(*line)),
        }
    }
}

/// Reads a file as `--config` has it.
///
/// Kubelet decodes it strictly, and if that fails leniently: of a key that is repeated the last counts. Source:
/// `DecodeKubeletConfiguration` in kubernetes' `pkg/kubelet/kubeletconfig/util/codec`.
fn read_config(content: &[u8]) -> Result<Mapping, ConfigError> {
    let top = read(content)?;
    if is_json(content) {
        // There a null that comes last changes nothing, and mappings are merged.
        refuse_repeated(&top)?;
    }
    match (text(&top, "kind")?, text(&top, "apiVersion")?) {
        (KIND, API_VERSION) => Ok(top),
        (KIND, "kubelet.config.k8s.io/__internal") => Err(unknown(format!(
            "it is a {KIND} as kubelet keeps it for itself"
        ))),
        _ => Err(refused(format!("it is not a {KIND} of {API_VERSION}"))),
    }
}

/// Reads a file as a drop-in, if every version of kubelet reads it in the same way.
///
/// From 1.32 on a drop-in is a JSON merge patch without types. Source: `mergeKubeletConfigurations` in kubernetes'
/// `cmd/kubelet/app/server.go`.
fn read_drop_in(content: &[u8]) -> Result<Mapping, ConfigError> {
    let top = read(content)?;
    for name in ["kind", "apiVersion"] {
        if !top.entries.keys().any(|key| folds_to(key, name)) {
            return Err(refused(format!("it has no {name}")));
        }
    }
    refuse_repeated(&top)?;
    for (key, entry) in &top.entries {
        let is_plain = match (key.as_str(), &entry.value) {
            ("kind", Value::Text(text)) => text == KIND,
            ("apiVersion", Value::Text(text)) => text == API_VERSION,
            (PROTECT, Value::Bool(_)) | (IN_USER_NAMESPACE, _) => true,
            (GATES, Value::Mapping(gates)) => {
                let gate = gates.entries.get(IN_USER_NAMESPACE);
                gate.is_none_or(|gate| matches!(gate.value, Value::Bool(_)))
            }
            _ => false,
        };
        if !is_plain {
            let why = match boolean(key, entry) {
                Err(ConfigError::Refused(reason)) if key == PROTECT => reason.why,
                _ => format!("kubelet versions read this {key} differently"),
            };
            return Err(unknown(why).on_line(entry.line));
        }
    }
    Ok(top)
}

fn read(content: &[u8]) -> Result<Mapping, ConfigError> {
    match content {
        [] => Err(refused("it is empty")),
        _ if is_json(content) => json::read(content),
        _ => yaml::read(content),
    }
}

/// Returns true if it has to be JSON, false if it is YAML. Source: `GuessJSONStream` in `k8s.io/apimachinery/pkg/util/yaml`.
fn is_json(content: &[u8]) -> bool {
    content.trim_ascii_start().starts_with(b"{")
}

/// Returns the text under a key whatever its case, and nothing where there is none.
///
/// Source: `SimpleMetaFactory` in `k8s.io/apimachinery`.
fn text<'a>(top: &'a Mapping, name: &str) -> Result<&'a str, ConfigError> {
    let spelled = |(key, _): &(&String, &Entry)| folds_to(key, name);
    let mut entries = top.entries.iter().filter(spelled);
    let Some((key, Entry { value, line })) = entries.next() else {
        return Ok("");
    };
    if let Some((other, Entry { line, .. })) = entries.next() {
        return Err(unknown(format!("it has both {key} and {other}")).on_line(*line));
    }
    match value {
        Value::Null => Ok(""),
        Value::Text(text) => Ok(text),
        _ => Err(refused(format!("{key} must be a string")).on_line(*line)),
    }
}

/// Reads a boolean; none is a null, which Go leaves out when it decodes.
fn boolean(name: &str, entry: &Entry) -> Result<Option<bool>, ConfigError> {
    let instead = match &entry.value {
        Value::Null => return Ok(None),
        Value::Bool(on) => return Ok(Some(*on)),
        Value::Text(text) => {
            let shown: String = text.chars().take(SHOWN).collect();
            format!(", not \"{shown}\"")
        }
        _ => String::new(),
    };
    let why = format!("{name} must be true or false{instead}");
    Err(refused(why).on_line(entry.line))
}

fn refuse_repeated(top: &Mapping) -> Result<(), ConfigError> {
    match &top.repeated {
        None => Ok(()),
        Some((key, line)) => Err(unknown(format!("it has {key} twice")).on_line(*line)),
    }
}

#[cfg(test)]
mod tests;
