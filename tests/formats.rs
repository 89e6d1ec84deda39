//! Holds the formats for programs against their own judges, over every fixture tree of `tests/cases`: JSON against the
//! shipped JSON Schema by Python's jsonschema, the metrics by promtool, and both against the exit code and each other.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use support::{Namespace, User, not_run};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/schema.json");

/// Options that lead to different looks. What follows `--modify` sees the values that it has corrected.
const OPTIONS: [&str; 9] = [
    "",
    "--warn",
    "--strict",
    "-- kubelet --protect-kernel-defaults",
    "-- kubelet",
    "-- kubelet --config=/var/lib/kubelet/config.yaml",
    "-- kubelet --protect-kernel-defaults=maybe",
    "--modify -- kubelet --protect-kernel-defaults",
    "-- kubelet --protect-kernel-defaults",
];

/// What runs with the same options printed in both formats, and how they ended.
#[derive(Debug)]
struct Run {
    name: String,
    exit: u64,
    document: Value,
    metrics: String,
}

/// Every fixture with every set of options, or why that cannot be done here.
fn runs() -> Result<&'static [Run], &'static str> {
    static RUNS: OnceLock<Result<Vec<Run>, String>> = OnceLock::new();
    let runs = RUNS.get_or_init(|| {
        let mut runs = run_all("root", User::Root)?;
        runs.extend(run_all("user", User::Ordinary)?);
        Ok(runs)
    });
    runs.as_deref().map_err(String::as_str)
}

fn run_all(name: &str, user: User) -> Result<Vec<Run>, String> {
    let namespace = Namespace::new(&format!("formats-{name}"), user, &[])?;
    let script = OPTIONS.map(|options| {
        // The metrics are printed before anything is corrected, and after it where nothing is.
        format!(
            "kubelet-tunables --format prometheus {} >/tmp/metrics 2>&1
             kubelet-tunables --format json {options} >/tmp/json 2>&1; echo $?; cat /tmp/json
             echo '\x1e'; cat /tmp/metrics; echo '\x1e'",
            options.replace("--modify", "")
        )
    });
    let script = script.join("\n");
    let mut runs = Vec::new();
    for case in cases() {
        let output = namespace.run(&case, &script);
        let printed = String::from_utf8(output.stdout).expect("all formats are UTF-8");
        let mut parts = printed.split("\x1e\n");
        for options in OPTIONS {
            let name = format!("{name}, {}, {options}", case.file_name().unwrap().display());
            let (exit, document) = parts.next().unwrap().split_once('\n').unwrap();
            runs.push(Run {
                exit: exit.parse().unwrap(),
                document: serde_json::from_str(document)
                    .unwrap_or_else(|error| panic!("{name}: {error}: {document}")),
                metrics: parts.next().unwrap().to_string(),
                name,
            });
        }
    }
    Ok(runs)
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 20, "only {} cases were found", cases.len());
    cases
}

/// Runs a judge over an input; none where it is not installed, which is said.
fn judge(test: &str, command: &mut Command, input: &[u8]) -> Option<(bool, String)> {
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut judge = match spawned {
        Ok(judge) => judge,
        Err(error) => {
            not_run(
                test,
                &format!("{}: {error}", command.get_program().display()),
            );
            return None;
        }
    };
    judge.stdin.take().unwrap().write_all(input).unwrap();
    let output = judge.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// What the schema has against each document; none where there is no judge.
fn complaints(test: &str, documents: &[&Value]) -> Option<Vec<Option<String>>> {
    let mut python = Command::new("/usr/bin/python3");
    python
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats.py"))
        .arg(SCHEMA);
    let (is_good, said) = judge(test, &mut python, json!(documents).to_string().as_bytes())?;
    if !is_good && said.contains("No module named 'jsonschema'") {
        not_run(test, "python3-jsonschema is not installed");
        return None;
    }
    assert!(is_good, "{said}");
    Some(serde_json::from_str(&said).unwrap())
}

#[test]
fn json_keeps_to_its_schema_and_to_the_exit_code() {
    const TEST: &str = "json_keeps_to_its_schema_and_to_the_exit_code";
    let runs = match runs() {
        Ok(runs) => runs,
        Err(why) => return not_run(TEST, why),
    };
    let documents: Vec<_> = runs.iter().map(|run| &run.document).collect();
    let Some(complaints) = complaints(TEST, &documents) else {
        return;
    };
    let mut outcomes = BTreeSet::new();
    let mut statuses = BTreeSet::new();
    for (run, complaint) in runs.iter().zip(complaints) {
        let document = &run.document;
        assert_eq!(complaint, None, "{}: {document}", run.name);
        assert_eq!(document["exit"]["code"], run.exit, "{}", run.name);
        let (kubelet, mode) = (&document["kubelet"], &document["mode"]);
        // An exit code that stops kubelet and the answer that it starts exclude each other.
        let is_consistent = match &kubelet["will_start"] {
            Value::Bool(true) => run.exit == 0,
            Value::Bool(false) => run.exit != 0 || mode == "warn",
            _ => run.exit == 0 || kubelet["status"] == "no-kubelet",
        };
        assert!(is_consistent, "{}: {document}", run.name);
        statuses.insert(kubelet["status"].as_str().unwrap());
        for tunable in document["tunables"].as_array().unwrap() {
            let outcome = tunable["outcome"].as_str().unwrap();
            outcomes.insert(outcome);
            let is_right = tunable["actual"] == tunable["expected"];
            let says_right = ["right", "right-until-boot", "corrected"].contains(&outcome);
            assert_eq!(is_right, says_right, "{}: {tunable}", run.name);
        }
    }
    // What no fixture brings about is not shown to keep to the schema.
    for outcome in [
        "right",
        "right-until-boot",
        "corrected",
        "overwritten",
        "wrong",
        "refused",
        "unreadable",
    ] {
        assert!(outcomes.contains(outcome), "{outcome}: {outcomes:?}");
    }
    for status in [
        "known",
        "no-kubelet",
        "not-asked",
        "not-configured",
        "fails-first",
    ] {
        assert!(statuses.contains(status), "{status}: {statuses:?}");
    }
}

#[test]
fn the_schema_refuses_what_the_program_does_not_print() {
    const TEST: &str = "the_schema_refuses_what_the_program_does_not_print";
    let runs = match runs() {
        Ok(runs) => runs,
        Err(why) => return not_run(TEST, why),
    };
    let mut named = runs.iter();
    let good = named.find(|run| {
        run.name
            .starts_with("root, 09-all-wrong, -- kubelet --protect")
    });
    let mut documents = vec![good.unwrap().document.clone()];
    let changes: [(&str, Value); 12] = [
        ("/version", json!(2)),
        ("/tunables/0/name", json!("vm.panic_on_oom")),
        ("/tunables/2/expected", json!(11)),
        ("/tunables/2/actual", json!("0")),
        ("/tunables/2/actual", Value::Null),
        ("/tunables/2/outcome", json!("bad")),
        ("/tunables/2/source/kind", json!("flag")),
        ("/tunables/2/source/line", json!(0)),
        ("/tunables/2/next_boot/value", Value::Null),
        ("/kubelet/protect_kernel_defaults", Value::Null),
        ("/kubelet/status", json!("not-known")),
        ("/exit/code", json!(1)),
    ];
    for (place, value) in changes {
        let mut document = documents[0].clone();
        *document.pointer_mut(place).unwrap() = value;
        documents.push(document);
    }
    // Each member is needed, and one that the schema does not describe is not printed.
    for place in [
        "",
        "/kubelet",
        "/tunables/0",
        "/tunables/2/source",
        "/tunables/0/next_boot",
        "/exit",
    ] {
        let members = documents[0].pointer(place).unwrap().as_object().unwrap();
        for member in members.keys().cloned().collect::<Vec<_>>() {
            let mut document = documents[0].clone();
            let object = document.pointer_mut(place).unwrap().as_object_mut();
            object.unwrap().remove(&member);
            documents.push(document);
        }
        let mut document = documents[0].clone();
        let object = document.pointer_mut(place).unwrap().as_object_mut();
        object.unwrap().insert("new".to_string(), Value::Null);
        documents.push(document);
    }
    let Some(complaints) = complaints(TEST, &documents.iter().collect::<Vec<_>>()) else {
        return;
    };
    assert_eq!(complaints[0], None);
    for (document, complaint) in documents.iter().zip(&complaints).skip(1) {
        assert!(complaint.is_some(), "{document}");
    }
}

#[test]
fn the_metrics_are_what_promtool_takes_and_json_says() {
    const TEST: &str = "the_metrics_are_what_promtool_takes_and_json_says";
    let runs = match runs() {
        Ok(runs) => runs,
        Err(why) => return not_run(TEST, why),
    };
    let mut judged = BTreeSet::new();
    for run in runs {
        let (samples, stamp) = samples(&run.metrics);
        let stamp = stamp.unwrap_or_else(|| panic!("{}: no time: {}", run.name, run.metrics));
        assert!(stamp > 1_700_000_000, "{}", run.name);
        if run.document["mode"] != "modify" {
            assert_eq!(samples, expected_samples(&run.document), "{}", run.name);
        }
        if judged.insert(samples) {
            let mut promtool = Command::new("promtool");
            let promtool = promtool.args(["check", "metrics"]);
            let Some((is_good, said)) = judge(TEST, promtool, run.metrics.as_bytes()) else {
                return;
            };
            assert!(is_good && said.is_empty(), "{}: {said}", run.name);
        }
    }
    assert!(judged.len() >= 20, "only {} differ", judged.len());
}

/// The samples of a text without the time of the check, and that time.
fn samples(text: &str) -> (BTreeSet<String>, Option<u64>) {
    let mut stamp = None;
    let mut samples = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("kubelet_tunables_last_check_timestamp_seconds ") {
            Some(time) => stamp = time.parse().ok(),
            None => assert!(samples.insert(line.to_string()), "{line} is there twice"),
        }
    }
    (samples, stamp)
}

fn expected_samples(document: &Value) -> BTreeSet<String> {
    let mut samples = BTreeSet::new();
    let mut add = |name: &str, labels: &str, value: &Value| {
        let value = value
            .as_bool()
            .map_or(value.clone(), |it| json!(u8::from(it)));
        if !value.is_null() {
            samples.insert(format!("kubelet_tunables_{name}{labels} {value}"));
        }
    };
    for tunable in document["tunables"].as_array().unwrap() {
        let labels = format!("{{sysctl={}}}", tunable["name"]);
        add("expected", &labels, &tunable["expected"]);
        add("actual", &labels, &tunable["actual"]);
        add("next_boot", &labels, &tunable["next_boot"]["value"]);
    }
    let kubelet = &document["kubelet"];
    let (now, later) = (
        &kubelet["will_start"],
        &kubelet["will_start_after_next_boot"],
    );
    add("kubelet_would_start", "", now);
    add("kubelet_would_start_after_next_boot", "", later);
    add("determined", "", &json!(!now.is_null() && !later.is_null()));
    samples
}

#[test]
fn a_unit_that_collects_gets_the_format_and_kubelets_own_does_not() {
    const TEST: &str = "a_unit_that_collects_gets_the_format_and_kubelets_own_does_not";
    let namespace = match Namespace::new("formats-unit", User::Root, &[]) {
        Ok(namespace) => namespace,
        Err(why) => return not_run(TEST, &why),
    };
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/09-all-wrong");
    let run = |command: &str| {
        let output = namespace.run(&case, &format!("{command}; echo \"[exit $?]\""));
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let by_hand = run("kubelet-tunables --format json -- kubelet --protect-kernel-defaults");
    let by_unit =
        run("as-service kubelet-tunables --format json -- kubelet --protect-kernel-defaults");
    assert_eq!(by_unit, by_hand);
    assert!(by_hand.0.starts_with('{') && by_hand.0.ends_with("[exit 78]\n"));
    // Without a control group of its own, a process of a service is taken for the check in the unit it names.
    let (stdout, stderr) = run("as-service kubelet-tunables --unit kubelet.service --format json");
    assert!(!stdout.contains('{'), "{stdout}");
    let said = stdout + &stderr;
    assert!(
        said.contains("the option '--format' is for a shell"),
        "{said}"
    );
}
