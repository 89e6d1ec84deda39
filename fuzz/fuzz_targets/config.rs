//! Kubelet's configuration: what must hold of any file, and a naive reader of the simplest ones.
#![no_main]

use kubelet_tunables::kubelet::config::{Value, parse};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "protectKernelDefaults";

fuzz_target!(|content: &[u8]| {
    let value = parse(content).ok();
    let Ok(text) = str::from_utf8(content) else {
        return;
    };
    // Kubelet has a key of its own with a large P, which is looked at too.
    if !text.contains(&KEY[1..]) && !text.contains('\\') {
        assert_eq!(value, Some(Value::Absent));
        return;
    }
    if let Some(expected) = naive(text) {
        assert_eq!(value, expected.ok());
    }
    let lines = text
        .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
        .count();
    if let Some(Value::Bool(_, line)) = value {
        assert!((1..=lines).contains(&line), "line {line} of {lines}");
    }

    // What begins with a brace is JSON, which knows no comments and one encoding.
    if text.trim_ascii_start().starts_with('{') {
        let blank = format!("\r\n {text}\t\n");
        assert_eq!(parse(blank.as_bytes()).ok(), one_further(value), "as JSON");
        return;
    }

    let commented = format!("{text}\n# {KEY}: true\n");
    assert_eq!(
        parse(commented.as_bytes()).ok(),
        value,
        "with a comment behind it"
    );
    // A byte order mark has to come first.
    if !text.starts_with('\u{feff}') {
        let commented = format!("# {KEY}: true\n{text}");
        assert_eq!(
            parse(commented.as_bytes()).ok(),
            one_further(value),
            "with a comment before it"
        );
    }
    if !text.contains('\r') {
        let carriage = text.replace('\n', "\r\n");
        assert_eq!(
            parse(carriage.as_bytes()).ok(),
            value,
            "with carriage returns"
        );
    }
    if !text.starts_with('\u{feff}') {
        let wide: Vec<u8> = format!("\u{feff}{text}")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(parse(&wide).ok(), value, "as UTF-16");
    }
});

/// The value when the file has one line more before it.
fn one_further(value: Option<Value>) -> Option<Value> {
    match value {
        Some(Value::Bool(value, line)) => Some(Value::Bool(value, line + 1)),
        other => other,
    }
}

/// Kubelet refuses the file.
struct Refused;

/// Reads files of lines `name: value` with plain names and values alone; none is any other file.
fn naive(text: &str) -> Option<Result<Value, Refused>> {
    let is_word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'/')
    };
    let (mut version, mut kind, mut value) = (None, None, Some(Value::Absent));
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
                    "y" | "yes" | "on" | "true" => Some(Value::Bool(true, at + 1)),
                    "n" | "no" | "off" | "false" => Some(Value::Bool(false, at + 1)),
                    "null" => Some(Value::Null),
                    // Their spellings in capitals are left to the unit tests.
                    _ if word.contains(|it: char| it.is_ascii_uppercase()) => return None,
                    _ => None,
                }
            }
            // Their spellings are a matter of their own.
            _ if ["kind", "apiversion"].contains(&&*name.to_ascii_lowercase()) => return None,
            _ => {}
        }
    }
    let is_kubelets =
        version == Some("kubelet.config.k8s.io/v1beta1") && kind == Some("KubeletConfiguration");
    Some(value.filter(|_| is_kubelets).ok_or(Refused))
}
