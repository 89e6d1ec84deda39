//! Holds what programs read against their own judges, over every fixture tree of `tests/cases`: JSON against the shipped
//! JSON Schema by Python's jsonschema, the metrics by promtool, the sentences that node-problem-detector sorts by Go's
//! regular expressions; and all against the exit code and each other.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::thread;

use serde_json::{Value, json};
use support::{Namespace, Outcome, User, ask, go_run, is_ci, needs, own_uid};

support::tests![
    json_agrees_with_the_exit_code,
    json_keeps_to_its_schema,
    the_schema_takes_each_next_start_and_fix,
    the_schema_refuses_what_the_program_does_not_print,
    the_metrics_say_what_json_says,
    promtool_takes_the_metrics,
    an_image_is_printed_in_each_format,
    node_problem_detector_sorts_what_is_said,
    a_unit_that_collects_gets_the_format_and_kubelets_own_does_not,
];

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

/// Images, options, and the exit code.
const IMAGES: [(&str, &str, u64); 8] = [
    ("54-image", "--root /mnt/image", 78),
    ("54-image", "--root /mnt/image --warn", 0),
    ("54-image", "--root /mnt/empty --strict", 78),
    ("54-image", "--root /mnt/image --modify --persist", 0),
    ("54-image", "--root /mnt/image -- kubelet", 0),
    (
        "54-image",
        "--root /mnt/image -- kubelet --protect-kernel-defaults",
        78,
    ),
    ("55-hostile-image", "--root /mnt/kinds", 74),
    ("55-hostile-image", "--root /mnt/kinds -- kubelet", 0),
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
fn runs() -> Result<&'static [Run], String> {
    static RUNS: OnceLock<Result<Vec<Run>, String>> = OnceLock::new();
    let runs = RUNS.get_or_init(|| {
        // An ordinary user can be root in a namespace of its own only.
        let users = [("user", User::Ordinary), ("root", User::Root)];
        let users = &users[..if own_uid() == 0 { 2 } else { 1 }];
        let mut runs = Vec::new();
        let mut why = None;
        for &(name, user) in users {
            match Namespace::new(&format!("formats-{name}"), user, &[]) {
                Ok(namespace) => runs.extend(run_all(name, &namespace)),
                Err(reason) => why = Some(reason),
            }
        }
        match why {
            Some(why) if runs.is_empty() || is_ci() => Err(why),
            _ => Ok(runs),
        }
    });
    runs.as_deref().map_err(String::clone)
}

fn run_all(name: &str, namespace: &Namespace) -> Vec<Run> {
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
    let cases = Mutex::new(cases().into_iter());
    let next = || cases.lock().unwrap().next();
    let work = || {
        let mut runs = Vec::new();
        while let Some(case) = next() {
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
        runs
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let runs = workers.into_iter().flat_map(|it| it.join().unwrap());
        runs.collect()
    })
}

/// Images, of which there are no values yet: what there is is their next boot, which is the first.
fn images() -> Result<&'static [Run], String> {
    static RUNS: OnceLock<Result<Vec<Run>, String>> = OnceLock::new();
    let runs = RUNS.get_or_init(|| {
        let namespace = Namespace::new("formats-image", User::own(), &[])?;
        let run = |(case, options, exit): (&str, &str, u64)| {
            let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases")).join(case);
            let printed = |format| {
                let command = format!("kubelet-tunables --format {format} {options}");
                let output = namespace.run(&folder, &command);
                String::from_utf8(output.stdout).expect("all formats are UTF-8")
            };
            let text = printed("json");
            Run {
                name: format!("{case}, {options}"),
                exit,
                document: serde_json::from_str(&text).expect(&text),
                metrics: printed("prometheus"),
            }
        };
        Ok(IMAGES.map(run).into())
    });
    runs.as_deref().map_err(String::clone)
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

/// Runs a judge over an input: whether it is content, and what it says.
fn judge(command: &mut Command, input: &[u8]) -> Result<(bool, String), String> {
    let output = ask(command, input)?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok((output.status.success(), said))
}

/// What the schema has against each document.
fn complaints(documents: &[&Value]) -> Result<Vec<Option<String>>, String> {
    let mut python = Command::new("/usr/bin/python3");
    python
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats.py"))
        .arg(SCHEMA);
    let output = ask(&mut python, json!(documents).to_string().as_bytes())?;
    if output.status.code() == Some(3) {
        return Err("python3-jsonschema 4 or newer is not installed".into());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Ok(serde_json::from_slice(&output.stdout).unwrap())
}

fn json_keeps_to_its_schema() -> Outcome {
    let runs = || -> Result<_, String> { Ok(runs()?.iter().chain(images()?)) };
    let documents: Vec<_> = runs()?.map(|run| &run.document).collect();
    for (run, complaint) in runs()?.zip(complaints(&documents)?) {
        assert_eq!(complaint, None, "{}: {}", run.name, run.document);
    }
    Ok(())
}

fn json_agrees_with_the_exit_code() -> Outcome {
    let runs = runs()?;
    let mut outcomes = BTreeSet::new();
    let mut statuses = BTreeSet::new();
    for run in runs {
        let document = &run.document;
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
    Ok(())
}

/// What no fixture has: there no systemd answers.
fn next_start(state: &str, within_seconds: &Value) -> Value {
    json!({ "state": state, "within_seconds": within_seconds })
}

/// A document of a kubelet that would die, with all members that can be there.
fn good() -> Result<Value, String> {
    let mut runs = runs()?.iter();
    let good = runs.find(|run| run.name.contains("09-all-wrong, -- kubelet --protect"));
    Ok(good.unwrap().document.clone())
}

fn the_schema_takes_each_next_start_and_fix() -> Outcome {
    let states = ["running", "starting", "given-up", "stopped"];
    let mut changes: Vec<_> = states
        .map(|state| ("/next_start", next_start(state, &Value::Null)))
        .into();
    changes.extend([
        ("/next_start", next_start("retries", &json!(0.5))),
        ("/next_start", Value::Null),
        ("/fix/command", Value::Null),
        ("/fix", Value::Null),
    ]);
    let mut documents = Vec::new();
    for (place, value) in changes {
        let mut document = good()?;
        *document.pointer_mut(place).unwrap() = value;
        documents.push(document);
    }
    let complaints = complaints(&documents.iter().collect::<Vec<_>>())?;
    for (document, complaint) in documents.iter().zip(complaints) {
        assert_eq!(complaint, None, "{document}");
    }
    Ok(())
}

fn the_schema_refuses_what_the_program_does_not_print() -> Outcome {
    let mut documents = vec![good()?];
    let changes: [(&str, Value); 19] = [
        ("/version", json!(1)),
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
        ("/fix/message", json!("")),
        ("/fix/message", Value::Null),
        ("/fix/command", json!("")),
        ("/fix", json!("kubelet-tunables --modify --persist")),
        ("/next_start", next_start("idle", &Value::Null)),
        ("/next_start", next_start("retries", &Value::Null)),
        ("/next_start", next_start("running", &json!(10))),
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
        "/fix",
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
    let mut image_with_a_value = images()?[0].document.clone();
    image_with_a_value["tunables"][0]["actual"] = json!(1);
    documents.push(image_with_a_value);
    let complaints = complaints(&documents.iter().collect::<Vec<_>>())?;
    assert_eq!(complaints[0], None);
    for (document, complaint) in documents.iter().zip(&complaints).skip(1) {
        assert!(complaint.is_some(), "{document}");
    }
    Ok(())
}

fn the_metrics_say_what_json_says() -> Outcome {
    let runs = runs()?;
    let mut seen = BTreeSet::new();
    for run in runs {
        let (samples, stamp) = samples(&run.metrics);
        let stamp = stamp.unwrap_or_else(|| panic!("{}: no time: {}", run.name, run.metrics));
        assert!(stamp > 1_700_000_000, "{}", run.name);
        if run.document["mode"] != "modify" {
            assert_eq!(samples, expected_samples(&run.document), "{}", run.name);
        }
        seen.insert(samples);
    }
    assert!(seen.len() >= 20, "only {} differ", seen.len());
    Ok(())
}

/// All that differ in CI, elsewhere those that differ in more than values.
fn promtool_takes_the_metrics() -> Outcome {
    needs(&["promtool"])?;
    let mut judged = BTreeSet::new();
    for run in runs()?.iter().chain(images()?) {
        let (mut samples, _) = samples(&run.metrics);
        if !is_ci() {
            let name = |it: &String| it.rsplit_once(' ').unwrap().0.to_string();
            samples = samples.iter().map(name).collect();
        }
        if judged.insert(samples) {
            let mut promtool = Command::new("promtool");
            let promtool = promtool.args(["check", "metrics"]);
            let (is_good, said) = judge(promtool, run.metrics.as_bytes())?;
            assert!(is_good && said.is_empty(), "{}: {said}", run.name);
        }
    }
    println!("{} judged", judged.len());
    Ok(())
}

fn an_image_is_printed_in_each_format() -> Outcome {
    for run in images()? {
        let Run { name, document, .. } = run;
        assert_eq!(document["exit"]["code"], run.exit, "{name}: {document}");
        let (samples, _) = samples(&run.metrics);
        assert_eq!(samples, expected_samples(document), "{name}");
        let is_known = !name.contains("kinds");
        for tunable in document["tunables"].as_array().unwrap() {
            assert!(tunable["actual"].is_null(), "{tunable}");
            assert_eq!(
                tunable["next_boot"]["value"].is_i64(),
                is_known,
                "{tunable}"
            );
        }
    }
    Ok(())
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
    let has_now = !now.is_null() || !document["image"].is_null();
    add("determined", "", &json!(has_now && !later.is_null()));
    samples
}

fn node_problem_detector_sorts_what_is_said() -> Outcome {
    needs(&["go"])?;
    let mut expected = BTreeMap::new();
    for run in runs()? {
        for tunable in run.document["tunables"].as_array().unwrap() {
            let reason = match tunable["outcome"].as_str().unwrap() {
                "right-until-boot" => "NextBootSetsWrongValue",
                "wrong" | "undecided" | "refused" => "KubeletTunableWrong",
                "unreadable" => "KubeletTunableUnreadable",
                _ => "-",
            };
            if let Some(message) = tunable["message"].as_str() {
                expected.insert(message.to_string(), reason);
            }
        }
    }
    // What it all comes to, as the journal has it, and the command that fixes it, which is no reason of its own.
    let namespace = Namespace::new("formats-entries", User::own(), &[])?;
    for (case, command, reason) in [
        ("09-all-wrong", "kubelet-tunables", "KubeletNotStarted"),
        (
            "09-all-wrong",
            "kubelet-tunables --strict",
            "KubeletNotStarted",
        ),
        ("12-missing", "kubelet-tunables", "KubeletNotStarted"),
        ("18-read-only", "kubelet-tunables", "KubeletNotStarted"),
        ("09-all-wrong", "kubelet-tunables --warn", "KubeletMayFail"),
        (
            "09-all-wrong",
            "kubelet-tunables --unit kubelet.service",
            "KubeletMayFail",
        ),
        ("30-forecast", "kubelet-tunables", "-"),
        (
            "09-all-wrong",
            "kubelet-tunables -- kubelet --protect-kernel-defaults=maybe",
            "-",
        ),
        ("09-all-wrong", "kubelet-tunables --modify", "-"),
    ] {
        let case = cases()
            .into_iter()
            .find(|path| path.ends_with(case))
            .unwrap();
        let output = namespace.run(&case, &format!("as-service {command} 2>&1"));
        let said = String::from_utf8(output.stdout).unwrap();
        let mut lines = said.lines().rev().peekable();
        if let Some(fix) =
            lines.next_if(|line| line.ends_with("kubelet-tunables --modify --persist"))
        {
            expected.insert(fix.to_string(), "-");
        }
        let summary = lines
            .next()
            .unwrap_or_else(|| panic!("{command}: nothing said"));
        expected.insert(summary.to_string(), reason);
    }
    let mut go = go_run("tests/node_problem_detector.go");
    go.arg(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/packaging/node-problem-detector/kubelet-tunables-monitor.json"
    ));
    let messages: Vec<_> = expected.keys().map(String::as_str).collect();
    let (is_good, said) = judge(&mut go, (messages.join("\n") + "\n").as_bytes())?;
    assert!(is_good, "{said}");
    let sorted: Vec<_> = said.lines().collect();
    assert_eq!(sorted.len(), expected.len(), "{said}");
    for ((message, reason), sorted) in expected.iter().zip(sorted) {
        assert_eq!(sorted, *reason, "{message}");
    }
    let reasons: BTreeSet<_> = expected.values().collect();
    assert_eq!(reasons.len(), 6, "{reasons:?}");
    Ok(())
}

fn a_unit_that_collects_gets_the_format_and_kubelets_own_does_not() -> Outcome {
    let namespace = Namespace::new("formats-unit", User::own(), &[])?;
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
        said.contains("'--format' works only in a shell, not in a unit"),
        "{said}"
    );
    Ok(())
}
