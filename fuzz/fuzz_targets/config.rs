//! Kubelet's configuration: what must hold of any file, and a naive reader of the simplest ones.
#![no_main]

use std::path::Path;

use kubelet_tunables::kubelet::SetBy;
use kubelet_tunables::kubelet::config::{DropIns, Settings, parse};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "protectKernelDefaults";

/// protectKernelDefaults and its line, if the file says it.
type Said = Option<(bool, usize)>;

fuzz_target!(|content: &[u8]| {
    let value = said(content);
    let mut drop_ins = DropIns::over(Settings::default());
    if drop_ins.add(content, Path::new("/d")).is_ok() {
        let _ = drop_ins.settle();
    }
    let Ok(text) = str::from_utf8(content) else {
        return;
    };
    // A key can hide behind an escape.
    if !text.contains(KEY) && !text.contains('\\') {
        assert!(matches!(value, None | Some(None)));
    }
    if let Some(expected) = naive(text) {
        assert_eq!(value, expected.ok());
    }
    let lines = text
        .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
        .count();
    if let Some(Some((_, line))) = value {
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
        let wide: Vec<u8> = format!("\u{feff}{text}")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(said(&wide), value, "as UTF-16");
    }
});

fn said(content: &[u8]) -> Option<Said> {
    let settings = parse(content, Path::new("/c")).ok()?;
    Some(settings.protect.map(|(on, ground)| match ground {
        SetBy::File { line, .. } => (on, line),
        ground => panic!("{ground:?}"),
    }))
}

/// The value when the file has one line more before it.
fn one_further(value: Option<Said>) -> Option<Said> {
    value.map(|said| said.map(|(on, line)| (on, line + 1)))
}

/// Kubelet refuses the file.
struct Refused;

/// Reads files of lines `name: value` with plain names and values alone; none is any other file.
fn naive(text: &str) -> Option<Result<Said, Refused>> {
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
    Some(value.filter(|_| is_kubelets).ok_or(Refused))
}
