//! Holds the modules of `src` to one direction: each imports only what is listed for it, and that stands before it. Only
//! `main` is above them all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module, with the modules that it may import. The three readers do not know each other, and nothing knows `report`.
const MODULES: [(&str, &[&str]); 13] = [
    ("tunable", &[]),
    ("verdict", &[]),
    ("files", &[]),
    ("sysctl", &["files", "tunable"]),
    ("systemd", &["files"]),
    ("kubelet", &["files"]),
    ("boot", &["files", "tunable"]),
    ("persist", &["boot", "files", "tunable"]),
    ("target", &["files", "kubelet", "systemd", "verdict"]),
    ("cli", &["tunable", "verdict"]),
    (
        "assessment",
        &[
            "boot", "files", "kubelet", "persist", "sysctl", "systemd", "target", "tunable",
            "verdict",
        ],
    ),
    (
        "invocation",
        &["assessment", "cli", "files", "systemd", "target", "verdict"],
    ),
    (
        "report",
        &[
            "assessment",
            "boot",
            "cli",
            "files",
            "invocation",
            "kubelet",
            "persist",
            "sysctl",
            "systemd",
            "target",
            "tunable",
            "verdict",
        ],
    ),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Lists the files of the module, those of its tests included.
fn files(path: &Path, files: &mut Vec<PathBuf>) {
    if let Ok(folder) = fs::read_dir(path) {
        for entry in folder {
            self::files(&entry.unwrap().path(), files);
        }
    } else {
        files.push(path.to_path_buf());
    }
}

/// Lists the modules that the text names by `crate::` or, as those of the floor above it, by `super::`.
fn imports(text: &str) -> BTreeSet<&str> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let is_module = |name: &&str| MODULES.iter().any(|(module, _)| module == name);
    code.flat_map(|line| {
        let by_crate = line.split("crate::").skip(1);
        by_crate.chain(line.split("super::").skip(1)).map(|rest| {
            let end = rest.find(|it: char| !it.is_ascii_lowercase() && it != '_');
            &rest[..end.unwrap_or(rest.len())]
        })
    })
    .filter(is_module)
    .collect()
}

#[test]
fn each_module_imports_only_what_stands_before_it() {
    for (at, (module, allowed)) in MODULES.iter().enumerate() {
        for other in *allowed {
            let is_before = MODULES[..at].iter().any(|(before, _)| before == other);
            assert!(
                is_before,
                "{module} may import {other}, which stands behind it"
            );
        }
        let mut found = Vec::new();
        let path = source().join(module);
        let path = if path.is_dir() {
            path
        } else {
            path.with_extension("rs")
        };
        files(&path, &mut found);
        let mut unused: BTreeSet<_> = allowed.iter().copied().collect();
        for file in found {
            let text = fs::read_to_string(&file).unwrap();
            assert!(
                !text.contains("crate::{"),
                "{}: import a module at a time",
                file.display()
            );
            for import in imports(&text) {
                unused.remove(import);
                let is_allowed = import == *module || allowed.contains(&import);
                assert!(is_allowed, "{} imports {import}", file.display());
            }
        }
        assert!(unused.is_empty(), "{module} imports no {unused:?}");
    }
}

#[test]
fn each_module_of_the_source_has_its_row() {
    let listed: BTreeSet<_> = MODULES
        .iter()
        .map(|(name, _)| (*name).to_string())
        .collect();
    let there: BTreeSet<_> = fs::read_dir(source())
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .display()
                .to_string()
        })
        .filter(|name| name != "main" && name != "lib")
        .collect();
    assert_eq!(listed, there);
}

#[test]
fn an_import_is_seen() {
    let text = "use crate::boot::Boot;\n//! [`crate::report`]\n    let x = super::files::file::read(crate::cli::Format);\n";
    assert_eq!(imports(text), BTreeSet::from(["boot", "files", "cli"]));
}
