//! Holds the README against what the program prints and against the one table, and the table of crates against the lock file.

use std::fs;
use std::path::Path;

use kubelet_tunables::exit::Exit;
use kubelet_tunables::tunable::TUNABLES;

const README: &str = include_str!("../README.md");

#[test]
fn its_transcripts_are_those_of_the_suites() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut printed = vec![fs::read_to_string(tests.join("systemd/transcript")).unwrap()];
    for case in fs::read_dir(tests.join("cases")).unwrap() {
        printed.push(fs::read_to_string(case.unwrap().path().join("transcript")).unwrap());
    }
    let blocks: Vec<_> = README
        .split("```console\n")
        .skip(1)
        .map(|rest| rest.split_once("```").expect("the block has an end").0)
        .collect();
    assert!(!blocks.is_empty(), "the README has no transcript");
    for block in blocks {
        assert!(
            printed.iter().any(|transcript| transcript.contains(block)),
            "no transcript of tests/cases or tests/systemd holds:\n{block}"
        );
    }
}

#[test]
fn its_table_is_the_table() {
    for tunable in TUNABLES {
        let row = format!(
            "| `{}` | {} | {} | {} |",
            tunable.name, tunable.expected, tunable.default, tunable.reason
        );
        assert!(README.contains(&row), "{row}");
    }
}

#[test]
fn the_sysctl_d_file_is_the_table() {
    let shipped = include_str!("../systemd/90-kubelet.conf");
    let lines: Vec<_> = shipped
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let table = TUNABLES.map(|tunable| format!("{} = {}", tunable.name, tunable.expected));
    assert_eq!(lines, table);
    for tunable in TUNABLES {
        assert!(
            shipped.contains(&format!(
                "# {}\n{} =",
                capitalised(tunable.reason),
                tunable.name
            )),
            "{}",
            tunable.name
        );
    }
}

fn capitalised(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    format!("{}{rest}.", first.to_uppercase())
}

#[test]
fn it_names_each_exit_code() {
    for exit in Exit::ALL {
        let row = format!(
            "\n| {} | {} | {} |",
            exit.code(),
            exit.systemd_name(),
            exit.meaning().replace("--warn", "`--warn`")
        );
        assert!(README.contains(&row), "{row}");
    }
}

#[test]
fn each_crate_has_its_reason() {
    let table = include_str!("../CONTRIBUTING.md")
        .split_once("## Dependencies")
        .expect("a chapter")
        .1;
    let lock = include_str!("../Cargo.lock");
    let names = lock.lines().filter_map(|line| {
        line.strip_prefix("name = \"")
            .and_then(|name| name.strip_suffix('"'))
    });
    for name in names.filter(|name| *name != "kubelet-tunables") {
        assert!(table.contains(&format!("`{name}`")), "{name}");
    }
}
