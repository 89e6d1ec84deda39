//! Holds the pages against what the program prints, against the one table, and against the files that are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kubelet_tunables::tunable::TUNABLES;
use kubelet_tunables::verdict::Exit;

const README: &str = include_str!("../README.md");
const CONTRIBUTING: &str = include_str!("../CONTRIBUTING.md");
const FLEET: &str = include_str!("../packaging/README.md");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Reads what the program printed in the suites.
fn transcripts() -> Vec<String> {
    let tests = Path::new(ROOT).join("tests");
    let mut printed = vec![fs::read_to_string(tests.join("systemd/transcript")).unwrap()];
    for case in fs::read_dir(tests.join("cases")).unwrap() {
        printed.push(fs::read_to_string(case.unwrap().path().join("transcript")).unwrap());
    }
    printed
}

/// Lists the rows of the table with this head, each by its cells.
fn table<'a>(page: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let (_, rest) = page.split_once(head).expect(head);
    let rows = rest.lines().skip(2).take_while(|row| row.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

/// Lists what stands between backquotes.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Joins lines and what was folded.
fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn its_transcripts_are_those_of_the_suites() {
    let printed = transcripts();
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
fn the_messages_that_it_explains_are_printed() {
    let printed = transcripts();
    let printed: Vec<_> = printed.iter().map(|text| on_one_line(text)).collect();
    let steps = README
        .split("\n\n")
        .filter(|it| it.starts_with("**2. ") || it.starts_with("**3. "));
    let steps: Vec<_> = steps.map(on_one_line).collect();
    assert_eq!(steps.len(), 2);
    let rows = table(README, "| if the message says | then |");
    assert!(rows.len() > 5, "{rows:?}");
    let explained = rows.iter().flat_map(|row| code(row[0]));
    for message in explained.chain(steps.iter().flat_map(|step| code(step))) {
        assert!(
            printed
                .iter()
                .any(|transcript| transcript.contains(message)),
            "no transcript of tests/cases or tests/systemd holds: {message}"
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
                capitalized(tunable.reason),
                tunable.name
            )),
            "{}",
            tunable.name
        );
    }
}

fn capitalized(text: &str) -> String {
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
fn the_fleets_page_has_the_metrics_that_are_printed() {
    let names = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("kubelet_tunables_"))
            .map(str::to_string)
            .collect()
    };
    let printed = names(&transcripts().concat());
    assert_eq!(names(FLEET), printed);
}

#[test]
fn the_fleets_page_has_ids_of_the_catalog() {
    let catalog = include_str!("../systemd/kubelet-tunables.catalog");
    let mut ids = FLEET.split("MESSAGE_ID=").skip(1).peekable();
    assert!(ids.peek().is_some());
    for id in ids.map(|rest| &rest[..32]) {
        assert!(catalog.contains(&format!("\n-- {id}\n")), "{id}");
    }
}

#[test]
fn the_source_layout_is_that_of_the_source() {
    let listed: BTreeSet<_> = table(CONTRIBUTING, "| file | what it does |")
        .iter()
        .flat_map(|row| code(row[0]))
        .map(|path| path.trim_end_matches('/').to_string())
        .collect();
    let there: BTreeSet<_> = fs::read_dir(Path::new(ROOT).join("src"))
        .unwrap()
        .map(|entry| format!("src/{}", entry.unwrap().file_name().display()))
        .collect();
    assert_eq!(listed, there);
}

#[test]
fn links_between_pages_lead_to_files() {
    for (folder, page) in [
        ("", README),
        ("", CONTRIBUTING),
        ("packaging", FLEET),
        ("tests", include_str!("README.md")),
    ] {
        for rest in page.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap();
            let path = Path::new(ROOT).join(folder).join(target);
            assert!(target.contains("://") || path.exists(), "{target}");
        }
    }
}

#[test]
fn each_crate_has_its_reason() {
    let table = CONTRIBUTING
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
