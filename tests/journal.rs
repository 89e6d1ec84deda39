//! A real journald, whole and broken: what it is sent, with which fields, and what becomes of the report without it.
//!
//! The test runs itself again in a mount namespace with a /run and a /proc/sys of its own.

#![allow(clippy::unused_self, reason = "only a journald that runs can be asked")]

mod support;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use kubelet_tunables::report::Kind;
use kubelet_tunables::tunable::{TUNABLES, Tunable};
use support::{BINARY, not_run, own_uid};

const JOURNALD: &str = "/lib/systemd/systemd-journald";
const SOCKET: &str = "/run/systemd/journal/socket";
/// The bound on a whole run, whatever is broken.
const BOUND: Duration = Duration::from_secs(2);

/// Executes the gate with standard error named as systemd names it; systemd-cat does so only where it is newer than 252.
const AS_SERVICE: &str = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$0\" \"$@\"";

/// What is wrong in the fake /proc/sys, in the order of the table.
const FINDINGS: [&str; 3] = [
    "vm.overcommit_memory is 0, kubelet needs 1 (0 is the kernel's default; no file sets it)",
    "kernel.panic is 0, kubelet needs 10 (0 is the kernel's default; no file sets it)",
    "kernel.panic_on_oops is 0, kubelet needs 1 (0 is the kernel's default; no file sets it)",
];

#[test]
fn whole_and_broken() {
    if std::env::var_os("INSIDE").is_some() {
        return play();
    }
    if own_uid() != 0 {
        return not_run("whole_and_broken", "it needs root");
    }
    for program in [
        JOURNALD,
        "/usr/bin/unshare",
        "/usr/bin/systemd-cat",
        "/usr/bin/journalctl",
    ] {
        if !Path::new(program).exists() {
            return not_run("whole_and_broken", &format!("{program} is not installed"));
        }
    }
    let status = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "whole_and_broken", "--nocapture"])
        .env("INSIDE", "1")
        .env_remove("JOURNAL_STREAM")
        .status()
        .unwrap();
    assert!(status.success(), "inside the namespace: {status}");
}

fn play() {
    mount(&["-t", "tmpfs", "tmpfs", "/run"]);
    fs::create_dir("/run/sysctl").unwrap();
    // What this machine's next boot would do is not of interest.
    for folder in [
        "/etc/sysctl.d",
        "/usr/lib/sysctl.d",
        "/usr/local/lib",
        "/boot",
        "/lib/modules",
    ] {
        if Path::new(folder).is_dir() {
            mount(&["-t", "tmpfs", "tmpfs", folder]);
        }
    }
    fs::write("/run/sysctl/cmdline", "quiet\n").unwrap();
    mount(&["--bind", "/run/sysctl/cmdline", "/proc/cmdline"]);
    for tunable in TUNABLES {
        // File by file, as journald itself needs the rest of /proc/sys.
        fs::write(fake(tunable), "").unwrap();
        mount(&[
            "--bind",
            &fake(tunable),
            &format!("/proc/sys/{}", tunable.name.replace('.', "/")),
        ]);
        set(tunable, tunable.default);
    }
    entries_have_their_fields();
    corrections_are_notices();
    bad_usage_is_one_entry();
    without_the_socket();
    with_a_socket_that_refuses();
    with_a_journald_that_does_not_read();
    with_a_journald_that_stops_in_the_middle();
    with_nothing_left();
    with_a_notify_socket_that_is_not_read();
    the_status_line();
}

fn mount(arguments: &[&str]) {
    let status = Command::new("mount").args(arguments).status().unwrap();
    assert!(status.success(), "mount {arguments:?}");
}

/// The file that is mounted over the tunable's own.
fn fake(tunable: Tunable) -> String {
    format!("/run/sysctl/{}", tunable.name)
}

fn set(tunable: Tunable, value: i64) {
    fs::write(fake(tunable), format!("{value}\n")).unwrap();
}

fn entries_have_their_fields() {
    let journald = Journald::start();
    let run = journald.run(&["--warn"]);
    assert_eq!(run.code, 0, "{run:?}");
    let entries = journald.entries();
    let messages: Vec<_> = entries
        .iter()
        .map(|entry| field(entry, "MESSAGE"))
        .collect();
    assert_eq!(
        messages[..3],
        FINDINGS.map(|finding| Some(finding.to_string()))
    );
    assert_eq!(entries.len(), 4, "{messages:?}");
    for (entry, (name, expected)) in entries.iter().zip([
        ("vm.overcommit_memory", "1"),
        ("kernel.panic", "10"),
        ("kernel.panic_on_oops", "1"),
    ]) {
        assert_fields(
            entry,
            &[
                ("SYSCTL", name),
                ("SYSCTL_EXPECTED", expected),
                ("SYSCTL_ACTUAL", "0"),
                ("SYSCTL_SOURCE", "the kernel's default"),
                ("PRIORITY", "4"),
                ("MESSAGE_ID", Kind::Mismatch.message_id()),
            ],
        );
    }
    assert_fields(
        &entries[3],
        &[
            ("PRIORITY", "4"),
            ("MESSAGE_ID", Kind::Summary.message_id()),
        ],
    );
    for entry in &entries {
        assert_fields(
            entry,
            &[
                ("SYSLOG_IDENTIFIER", "kubelet-tunables"),
                ("DOCUMENTATION", "man:kubelet-tunables(8)"),
                ("TARGET", "kubelet"),
            ],
        );
        assert!(!entry.contains("CODE_"), "{entry}");
        // Nothing here runs in a unit.
        assert!(!entry.contains("OBJECT_SYSTEMD_UNIT"), "{entry}");
    }
    assert_eq!(journald.run(&[]).code, 78);
    let priorities: Vec<_> = journald.entries()[4..]
        .iter()
        .map(|entry| field(entry, "PRIORITY"))
        .collect();
    assert_eq!(priorities, vec![Some("3".to_string()); 4]);
}

fn corrections_are_notices() {
    let journald = Journald::start();
    for tunable in TUNABLES {
        set(tunable, tunable.expected);
    }
    set(TUNABLES[2], 3);
    let lasting = TUNABLES
        .map(|tunable| format!("{} = {}\n", tunable.name, tunable.expected))
        .concat();
    fs::write("/etc/sysctl.d/90-kubelet.conf", lasting).unwrap();
    assert_eq!(journald.run(&["--modify"]).code, 0);
    assert_eq!(fs::read_to_string(fake(TUNABLES[2])).unwrap(), "10");
    let entries = journald.entries();
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_fields(
        &entries[0],
        &[
            (
                "MESSAGE",
                "kernel.panic was 3, is now 10 as kubelet needs, and stays so after the next boot",
            ),
            ("MESSAGE_ID", Kind::Corrected.message_id()),
            ("SYSCTL_ACTUAL", "10"),
            ("SYSCTL_PREVIOUS", "3"),
            ("PRIORITY", "5"),
        ],
    );
    // All is well now, and of that not a word.
    assert_eq!(journald.run(&[]).code, 0);
    assert_eq!(journald.entries().len(), 2);
    fs::remove_file("/etc/sysctl.d/90-kubelet.conf").unwrap();
    for tunable in TUNABLES {
        set(tunable, tunable.default);
    }
}

fn bad_usage_is_one_entry() {
    let journald = Journald::start();
    assert_eq!(journald.run(&["--wran"]).code, 2);
    let entries = journald.entries();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_fields(
        &entries[0],
        &[("MESSAGE_ID", Kind::Usage.message_id()), ("PRIORITY", "3")],
    );
}

fn without_the_socket() {
    let journald = Journald::start();
    fs::remove_file(SOCKET).unwrap();
    journald.takes_it_by_stderr("no socket");
}

fn with_a_socket_that_refuses() {
    let journald = Journald::start();
    fs::remove_file(SOCKET).unwrap();
    drop(UnixDatagram::bind(SOCKET).unwrap());
    journald.takes_it_by_stderr("a socket nobody listens on");
}

fn with_a_journald_that_does_not_read() {
    let journald = Journald::start();
    journald.signal("STOP");
    fill(Path::new(SOCKET), usize::MAX);
    journald.takes_it_by_stderr("a stopped journald with a full queue");
}

fn with_a_journald_that_stops_in_the_middle() {
    let journald = Journald::start();
    journald.signal("STOP");
    let room = fill(Path::new(SOCKET), usize::MAX);
    journald.signal("CONT");
    assert!(sync());
    journald.signal("STOP");
    // The connection takes a place in the queue and the first finding another; the second does not fit.
    fill(Path::new(SOCKET), room - 2);
    let run = journald.run(&[]);
    assert!(run.took < BOUND, "stopped in the middle: {run:?}");
    journald.signal("CONT");
    let entries = journald.entries();
    let with_fields = entries
        .iter()
        .filter(|entry| field(entry, "SYSCTL").is_some())
        .count();
    println!(
        "journald stops in the middle: exit {}, {} ms, {with_fields} of 3 findings as entries",
        run.code,
        run.took.as_millis()
    );
    assert_eq!(run.code, 78);
    assert!(
        (1..3).contains(&with_fields),
        "{with_fields} of 3 findings had fields"
    );
    assert_each_once(&entries, "stopped in the middle");
}

fn with_nothing_left() {
    let mut journald = Journald::start();
    let copy = Path::new("/run/stdout");
    // systemd-cat connects before it executes the program; then journald goes away.
    let mut gate = Command::new("systemd-cat")
        .args([
            "sh",
            "-c",
            &format!("sleep 0.5; exec >/run/stdout; {AS_SERVICE}"),
            BINARY,
        ])
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(250));
    journald.kill();
    let begun = Instant::now();
    let status = gate.wait().unwrap();
    println!(
        "journald is gone: exit {:?}, {} ms",
        status.code(),
        begun.elapsed().as_millis()
    );
    assert!(begun.elapsed() < BOUND);
    assert_eq!(status.code(), Some(78));
    let text = fs::read_to_string(copy).unwrap();
    for finding in FINDINGS {
        assert_eq!(text.matches(finding).count(), 1, "{finding} in {text}");
    }
}

fn with_a_notify_socket_that_is_not_read() {
    let journald = Journald::start();
    let path = Path::new("/run/notify");
    let socket = UnixDatagram::bind(path).unwrap();
    fill(path, usize::MAX);
    let run = journald.run_with_notify_socket(&[], path);
    println!(
        "nobody reads the notify socket: exit {}, {} ms",
        run.code,
        run.took.as_millis()
    );
    assert!(run.took < BOUND, "{run:?}");
    assert_eq!(run.code, 78);
    assert_each_once(&journald.entries(), "a notify socket that is not read");
    drop(socket);
    fs::remove_file(path).unwrap();
    let run = journald.run_with_notify_socket(&[], path);
    assert!(run.took < BOUND, "{run:?}");
    assert_eq!(run.code, 78);
}

fn the_status_line() {
    let journald = Journald::start();
    let path = Path::new("/run/notify-read");
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    assert_eq!(journald.run_with_notify_socket(&[], path).code, 78);
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    let status = str::from_utf8(&buffer[..length]).unwrap().trim_end();
    assert_eq!(
        status,
        "STATUS=kubelet not started: vm.overcommit_memory is 0, needs 1 (0 is the kernel's default), and 2 more"
    );
    // A kubelet that starts has nothing on its Status line.
    socket.set_nonblocking(true).unwrap();
    assert_eq!(journald.run_with_notify_socket(&["--warn"], path).code, 0);
    assert!(socket.recv(&mut buffer).is_err());
}

/// Sends to the socket until it would block, at most `limit` times, and says how often.
fn fill(path: &Path, limit: usize) -> usize {
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while sent < limit && sender.send_to(b"MESSAGE=x\n", path).is_ok() {
        sent += 1;
    }
    sent
}

fn assert_fields(entry: &str, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(
            field(entry, name).as_deref(),
            Some(*value),
            "{name} in {entry}"
        );
    }
}

fn assert_each_once(entries: &[String], case: &str) {
    for finding in FINDINGS.into_iter().chain(["kubelet is not started: "]) {
        let found = entries
            .iter()
            .filter(|entry| {
                field(entry, "MESSAGE").is_some_and(|message| message.starts_with(finding))
            })
            .count();
        assert_eq!(found, 1, "{case}: \"{finding}\" in {entries:#?}");
    }
}

/// The value of a text field in a line of `journalctl -o json`; none of ours holds a quotation mark.
fn field(entry: &str, name: &str) -> Option<String> {
    let (_, rest) = entry.split_once(&format!("\"{name}\":\""))?;
    Some(rest.split_once('"')?.0.to_string())
}

#[derive(Debug)]
struct Run {
    code: i32,
    took: Duration,
}

struct Journald(Child);

impl Journald {
    fn start() -> Self {
        let _ = fs::remove_dir_all("/run/log");
        fs::create_dir_all("/run/log/journal").unwrap();
        let _ = fs::remove_dir_all("/run/systemd");
        fs::create_dir_all("/run/systemd/journal").unwrap();
        let journald = Command::new(JOURNALD)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while !sync() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "journald does not come up"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Self(journald)
    }

    /// Runs the gate with its standard streams connected to the journal.
    fn run(&self, arguments: &[&str]) -> Run {
        self.run_with_notify_socket(arguments, Path::new(""))
    }

    fn run_with_notify_socket(&self, arguments: &[&str], notify_socket: &Path) -> Run {
        let mut command = Command::new("systemd-cat");
        command
            .args([
                "--identifier=kubelet-tunables",
                "sh",
                "-c",
                AS_SERVICE,
                BINARY,
            ])
            .args(arguments)
            .env_remove("NOTIFY_SOCKET");
        if notify_socket != Path::new("") {
            command.env("NOTIFY_SOCKET", notify_socket);
        }
        let begun = Instant::now();
        let status = command.status().unwrap();
        Run {
            code: status.code().expect("not killed by a signal"),
            took: begun.elapsed(),
        }
    }

    /// The report has to come by the stream that is standard error, whole, once, and in time.
    fn takes_it_by_stderr(&self, case: &str) {
        let run = self.run(&[]);
        self.signal("CONT");
        println!("{case}: exit {}, {} ms", run.code, run.took.as_millis());
        assert!(run.took < BOUND, "{case}: {run:?}");
        assert_eq!(run.code, 78, "{case}");
        let entries = self.entries();
        assert_each_once(&entries, case);
        for entry in entries
            .iter()
            .filter(|entry| entry.contains("kubelet needs"))
        {
            assert_fields(entry, &[("PRIORITY", "3"), ("_TRANSPORT", "stdout")]);
        }
    }

    /// All that the gate ever said to this journald, a line of JSON each.
    fn entries(&self) -> Vec<String> {
        assert!(sync());
        let output = journalctl(&["-o", "json"]);
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter(|entry| {
                let identifier = field(entry, "SYSLOG_IDENTIFIER");
                identifier.as_deref() == Some("kubelet-tunables")
            })
            .map(str::to_string)
            .collect()
    }

    fn signal(&self, signal: &str) {
        let kill = Command::new("kill")
            .args([&format!("-{signal}"), &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(kill.success(), "kill -{signal}");
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until journald has read all that was sent to it.
fn sync() -> bool {
    Command::new("journalctl")
        .arg("--sync")
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

fn journalctl(arguments: &[&str]) -> Output {
    let output = Command::new("journalctl")
        .args(["--directory=/run/log/journal", "--quiet"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
