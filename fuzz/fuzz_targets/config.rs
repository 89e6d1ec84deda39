//! Kubelet's configuration: what must hold of any file, and a naive reader of the simplest ones.
#![no_main]

use std::path::Path;

use kubelet_tunables::kubelet::config::Settings;
use kubelet_tunables::kubelet::{ConfigError, SetBy};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "protectKernelDefaults";

/// protectKernelDefaults and its line, if the file says it.
type Said = Option<(bool, usize)>;

/// Where a file says nothing: kubelet refuses it, or it is not known.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Nothing {
    Refused,
    Unknown,
}

fuzz_target!(|content: &[u8]| {
    let value = said(content);
    // What is refused is refused as a drop-in too, or not known; what is known there is the same.
    let mut settings = Settings::default();
    let as_drop_in = settings.add_drop_in(content, Path::new("/d"));
    match as_drop_in {
        Ok(()) => assert_eq!(Ok(place(settings)), value),
        Err(ConfigError::Refused(_)) => assert!(value.is_err()),
        Err(ConfigError::Unknown(_)) => {}
    }
    let Ok(text) = str::from_utf8(content) else {
        return;
    };
    // A key can hide behind an escape.
    if !text.contains(KEY) && !text.contains('\\') {
        assert!(matches!(value, Err(_) | Ok(None)));
    }
    if let Some(expected) = naive(text) {
        assert_eq!(value, expected);
    }
    let lines = text
        .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
        .count();
    if let Ok(Some((_, line))) = value {
        assert!((1..=lines).contains(&line), "line {line} of {lines}");
    }

    // What begins with a brace is JSON, which knows no comments and one encoding.
    if text.trim_ascii_start().starts_with('{') {
        let blank = format!("\r\n {text}\t\n");
        assert_eq!(said(blank.as_bytes()), one_further(value), "as JSON");
        return;
    }
    // How far behind the first document a character that YAML does not have is seen depends on where it stands.
    let is_text = |character: char| !character.is_control() || "\t\n\r\u{85}".contains(character);
    if !text.chars().all(is_text) || text.contains(['\u{fffe}', '\u{ffff}']) {
        return;
    }

    let commented = format!("{text}\n# {KEY}: true\n");
    assert_eq!(
        said(commented.as_bytes()),
        value,
        "with a comment behind it"
    );
    // A byte order mark has to come first.
    if !text.starts_with('\u{feff}') {
        let commented = format!("# {KEY}: true\n{text}");
        assert_eq!(
            said(commented.as_bytes()),
            one_further(value),
            "with a comment before it"
        );
    }
    if !text.contains('\r') {
        let carriage = text.replace('\n', "\r\n");
        assert_eq!(said(carriage.as_bytes()), value, "with carriage returns");
    }
    if !text.starts_with('\u{feff}') {
        let marked = format!("\u{feff}{text}");
        assert_eq!(said(marked.as_bytes()), value, "with a byte order mark");
    }
});

fn said(content: &[u8]) -> Result<Said, Nothing> {
    let mut settings = Settings::default();
    match settings.add_config(content, Path::new("/c")) {
        Ok(()) => Ok(place(settings)),
        Err(ConfigError::Refused(_)) => Err(Nothing::Refused),
        Err(ConfigError::Unknown(_)) => Err(Nothing::Unknown),
    }
}

fn place(settings: Settings) -> Said {
    settings.protect.map(|(on, set_by)| match set_by {
        SetBy::File { line, .. } => (on, line),
        set_by => panic!("{set_by:?}"),
    })
}

/// The value when the file has one line more before it.
fn one_further(value: Result<Said, Nothing>) -> Result<Said, Nothing> {
    value.map(|said| said.map(|(on, line)| (on, line + 1)))
}

/// Reads files of lines `name: value` with plain names and values alone; none is any other file.
fn naive(text: &str) -> Option<Result<Said, Nothing>> {
    let is_word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'/')
    };
    let (mut version, mut kind, mut value) = (None, None, Some(None));
    for (at, line) in text.lines().enumerate() {
        let (name, word) = line.split_once(": ")?;
        if !is_word(name) || !is_word(&word.replace('.', "/")) {
            return None;
        }
        match name {
            "apiVersion" => version = Some(word),
            "kind" => kind = Some(word),
            KEY => {
                value = match word {
                    "y" | "yes" | "on" | "true" => Some(Some((true, at + 1))),
                    "n" | "no" | "off" | "false" => Some(Some((false, at + 1))),
                    "null" => Some(None),
                    // Their spellings in capitals are left to the unit tests.
                    _ if word.contains(|it: char| it.is_ascii_uppercase()) => return None,
                    _ => None,
                }
            }
            // Gates and spellings are a matter of their own.
            "featureGates" => return None,
            _ if ["kind", "apiversion"].contains(&&*name.to_ascii_lowercase()) => return None,
            _ => {}
        }
    }
    let is_kubelets =
        version == Some("kubelet.config.k8s.io/v1beta1") && kind == Some("KubeletConfiguration");
    Some(value.filter(|_| is_kubelets).ok_or(Nothing::Refused))
}
