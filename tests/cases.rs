//! Runs the real binary over the fixture trees `tests/NN-case`, each with a `transcript` of commands and what they print.
//!
//! Every line of a transcript that begins with `$ ` is run by a shell in the case's own root, in order and in one
//! namespace, so that a command sees what those before it did. `UPDATE=1 cargo test --test cases` writes what was
//! printed into the transcripts; the difference is then yours to read.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use support::{Namespace, User, not_run};

#[test]
fn as_root() {
    play("cases-as-root", User::Root);
}

#[test]
fn as_an_ordinary_user() {
    play("cases-as-an-ordinary-user", User::Ordinary);
}

fn play(name: &str, user: User) {
    let namespace = match Namespace::new(name, user, &[]) {
        Ok(namespace) => namespace,
        Err(why) => return not_run(name, &why),
    };
    let cases = cases();
    assert!(cases.len() >= 20, "only {} cases were found", cases.len());
    let mut failures = String::new();
    for case in &cases {
        let expected = fs::read_to_string(case.join("transcript")).unwrap();
        let printed = perform(&namespace, case, &expected);
        if printed != expected {
            if std::env::var_os("UPDATE").is_some() {
                fs::write(case.join("transcript"), &printed).unwrap();
            }
            let _ = write!(
                failures,
                "\n{}\n--- expected\n{expected}--- printed\n{printed}",
                case.display()
            );
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("transcript").is_file())
        .collect();
    cases.sort();
    cases
}

/// Runs the transcript's commands over a copy of the case and writes down what they print.
fn perform(namespace: &Namespace, case: &Path, transcript: &str) -> String {
    let mut script = String::new();
    for command in transcript
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
    {
        let quoted = command.replace('\'', r"'\''");
        let _ = writeln!(script, "printf '$ %s\\n' '{quoted}'");
        let _ = writeln!(
            script,
            "sh -c '{quoted}' 2>&1 </dev/null || echo \"[exit $?]\""
        );
    }
    let output = namespace.run(case, &script);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}: {}",
        case.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
