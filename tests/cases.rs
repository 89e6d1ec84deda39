//! Runs the real binary over the fixture trees `tests/cases/NN-name`, each with a `transcript` of commands and what they
//! print.
//!
//! A case is `tests/base`, on which all is right, with the case's own files over it; then its `setup`, which a shell runs
//! from outside in the root of the case, makes what is wrong: `echo 0 >proc/sys/kernel/panic`. `$case/right.conf` is a file
//! for a sysctl.d that sets all right.
//!
//! Every line of a transcript that begins with `$ ` is run by a shell in the case's own root, in order and in one
//! namespace, so that a command sees what those before it did. `cargo test --test cases 09` runs one case.
//! `UPDATE=1 cargo test --test cases` writes what was printed into the transcripts and fails where that is new; the
//! difference is then yours to read.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};

use support::{Namespace, Outcome, User, ask, test};

fn main() -> ExitCode {
    let cases = cases();
    assert!(cases.len() >= 20, "only {} cases were found", cases.len());
    let mut tests = Vec::new();
    for (name, user) in [("root", User::Root), ("user", User::Ordinary)] {
        // All cases of a user share the programs, which are copied for the first.
        let namespace = Arc::new(OnceLock::new());
        for case in &cases {
            let (namespace, case) = (Arc::clone(&namespace), case.clone());
            let number = case.file_name().unwrap().to_str().unwrap();
            tests.push(test(format!("{name}::{number}"), move || {
                let namespace =
                    namespace.get_or_init(|| Namespace::new(&format!("cases-{name}"), user, &[]));
                play(namespace.as_ref().map_err(String::clone)?, &case)
            }));
        }
    }
    support::main(tests)
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    cases
}

fn play(namespace: &Namespace, case: &Path) -> Outcome {
    let transcript = case.join("transcript");
    let expected = fs::read_to_string(&transcript)
        .unwrap_or_else(|error| panic!("{}: {error}", transcript.display()));
    assert!(!expected.is_empty(), "{} is empty", transcript.display());
    for entry in fs::read_dir(case).unwrap() {
        let path = entry.unwrap().path();
        let is_read = path.is_dir() || path.ends_with("setup") || path == transcript;
        assert!(is_read, "nothing reads {}", path.display());
    }
    if expected.lines().any(|it| it == "$ fix" || it == "$ reboot") {
        namespace.has("systemd-sysctl")?;
    }
    let printed = perform(namespace, case, &expected);
    if printed != expected {
        let difference = difference(&transcript, &printed);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&transcript, &printed).unwrap();
        }
        panic!("it printed otherwise:\n{difference}");
    }
    Ok(())
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
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The lines in which what was printed differs from the kept transcript.
fn difference(transcript: &Path, printed: &str) -> String {
    let mut diff = Command::new("diff");
    diff.arg("--unified").args([transcript, Path::new("-")]);
    match ask(&mut diff, printed.as_bytes()) {
        Ok(output) => String::from_utf8(output.stdout).unwrap(),
        Err(why) => format!("({why})\n{printed}"),
    }
}
