//! Kubelet's arguments: what must hold of any line, and a model of the lines that hold flags of known effect only.
//!
//! The input is the words after the program, a line each.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use kubelet_tunables::kubelet::SetBy;
use kubelet_tunables::kubelet::config::Settings;
use kubelet_tunables::kubelet::flags::Arguments;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let words: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
    let parsed = parse(&words);
    if let Some(expected) = model(&words) {
        let parsed = parsed.as_ref().ok();
        let parsed = parsed.map(|it| (&it.flags, &it.config, &it.config_dir));
        let expected = expected.as_ref().ok();
        assert_eq!(
            parsed,
            expected.map(|it| (&it.flags, &it.config, &it.config_dir))
        );
    }
    let Ok(arguments) = parsed else {
        return;
    };

    // Nothing is made up.
    let protect = [&arguments.flags.protect, &arguments.initial.protect];
    let shown = protect
        .into_iter()
        .flatten()
        .map(|(_, set_by)| match set_by {
            SetBy::Flag(shown) => shown,
            set_by => panic!("{set_by:?}"),
        });
    let shown = shown.chain(&arguments.dynamic).chain(&arguments.run_once);
    for shown in shown {
        assert!(
            words
                .iter()
                .any(|word| String::from_utf8_lossy(word) == *shown)
        );
    }
    for path in [&arguments.config, &arguments.config_dir]
        .into_iter()
        .flatten()
    {
        let path = path.as_bytes();
        let is_value = |word: &&[u8]| *word == path || word.ends_with(&[b"=", path].concat());
        assert!(!path.is_empty() && words.iter().any(is_value));
    }

    // The last flag counts, unless what stands before it ends all flags; with a file, kubelet reads its words again in
    // another way.
    if arguments.config.is_some() || arguments.config_dir.is_some() {
        return;
    }
    assert_eq!(arguments.initial, Settings::default());
    for (word, on) in [
        (&b"--protect-kernel-defaults"[..], true),
        (b"--protect-kernel-defaults=F", false),
    ] {
        let line = [&words[..], &[word]].concat();
        let flag = SetBy::Flag(String::from_utf8_lossy(word).into_owned());
        match parse(&line) {
            Ok(more) => {
                assert_eq!(more.flags.protect, Some((on, flag)));
                assert_eq!((more.config, more.config_dir), (None, None));
            }
            Err(_) => assert!(words.contains(&&b"--"[..])),
        }
    }
});

fn parse(words: &[&[u8]]) -> Result<Arguments, String> {
    let line: Vec<OsString> = [&[&b"kubelet"[..]], words]
        .concat()
        .iter()
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect();
    Arguments::parse(&line)
}

/// Kubelet refuses the line.
struct Refused;

/// What kubelet makes of the line; none where it holds a word that this does not know.
fn model(words: &[&[u8]]) -> Option<Result<Arguments, Refused>> {
    let mut arguments = Arguments::default();
    let mut help = false;
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        let Ok(text) = str::from_utf8(word) else {
            return None;
        };
        let shown = match text.strip_prefix("--") {
            Some(name) => format!("--{}", name.replace('_', "-")),
            None => text.to_string(),
        };
        let shown = shown.as_str();
        if let Some(value) = shown.strip_prefix("--protect-kernel-defaults") {
            let on = match value {
                "" | "=1" | "=t" | "=T" | "=true" | "=True" | "=TRUE" => true,
                "=0" | "=f" | "=F" | "=false" | "=False" | "=FALSE" => false,
                _ if value.starts_with('=') => return Some(Err(Refused)),
                _ => return None,
            };
            arguments.flags.protect = Some((on, SetBy::Flag(text.to_string())));
            continue;
        }
        let (name, value) = match shown.find('=') {
            Some(at) => (&shown[..at], Some(&word[at + 1..])),
            None => (shown, None),
        };
        match (name, value) {
            ("--config" | "--config-dir", value) => {
                let value = match value {
                    Some(value) => value,
                    None => match words.next() {
                        Some(value) => value,
                        None => return Some(Err(Refused)),
                    },
                };
                let path = (!value.is_empty()).then(|| OsString::from_vec(value.to_vec()));
                if name == "--config" {
                    arguments.config = path;
                } else {
                    arguments.config_dir = path;
                }
            }
            ("--kubeconfig" | "--node-ip", Some(_)) => {}
            ("--kubeconfig" | "--node-ip", None) => match words.next() {
                Some(value) if !value.starts_with(b"-") => {}
                _ => return None,
            },
            ("--help" | "-h", None) => help = true,
            ("" | "-", None) => return Some(Err(Refused)),
            ("--", None) => {
                let is_last = words.next().is_none();
                return Some((is_last && !help).then_some(arguments).ok_or(Refused));
            }
            _ if !shown.starts_with('-') => return Some(Err(Refused)),
            _ => return None,
        }
    }
    Some((!help).then_some(arguments).ok_or(Refused))
}
