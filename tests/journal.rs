//! A real journald, whole and broken: what it is sent, with which fields, and what becomes of the report without it.
//!
//! Each test runs this program again in namespaces with a /run and a /proc/sys of its own.

#![allow(clippy::unused_self, reason = "only a journald that runs can be asked")]

mod support;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use kubelet_tunables::report::Kind;
use kubelet_tunables::tunable::{TUNABLES, Tunable};
use rustix::process::{Pid, Signal, kill_process};
use support::{BINARY, Outcome, is_in_time, needs, own_uid, test};

const JOURNALD: &str = "/lib/systemd/systemd-journald";
const SOCKET: &str = "/run/systemd/journal/socket";
/// The bound on a whole run, whatever is broken, on a machine that is not busy.
const BOUND: Duration = Duration::from_secs(2);

/// Executes the check with standard error named as systemd names it; systemd-cat does so only where it is newer than 252.
const AS_SERVICE: &str = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$0\" \"$@\"";

/// What is wrong in the fake /proc/sys, in the order of the table.
const WRONG: [Tunable; 3] = [TUNABLES[0], TUNABLES[2], TUNABLES[3]];

/// The last entry, and the command that ends it.
const FIX: &str = "To fix it, run: kubelet-tunables --modify --persist";
const COMMAND: &str = "kubelet-tunables --modify --persist";

/// Datagrams that the kernel queues for a socket (`net.unix.max_dgram_qlen`): its own default, and what systemd sets at boot.
/// Of the latter number one sender's buffer holds about half.
const QUEUES: [&str; 2] = ["10", "512"];

/// A test's name and what it does inside the namespaces.
type Scenario = (&'static str, fn());

const SCENARIOS: [Scenario; 7] = [
    ("entries_have_their_fields", entries_have_their_fields),
    ("corrections_are_notices", corrections_are_notices),
    (
        "bad_options_are_an_entry_and_judged_as_none",
        bad_options_are_an_entry_and_judged_as_none,
    ),
    ("without_the_socket", without_the_socket),
    ("with_a_socket_that_refuses", with_a_socket_that_refuses),
    ("with_nothing_left", with_nothing_left),
    ("the_status_line", the_status_line),
];

/// Those that fill a queue; each is run with each of `QUEUES`.
const FULL: [Scenario; 3] = [
    (
        "with_a_journald_that_does_not_read",
        with_a_journald_that_does_not_read,
    ),
    (
        "with_a_journald_that_stops_in_the_middle",
        with_a_journald_that_stops_in_the_middle,
    ),
    (
        "with_a_notify_socket_that_is_not_read",
        with_a_notify_socket_that_is_not_read,
    ),
];

fn main() -> ExitCode {
    if let Ok(name) = std::env::var("INSIDE") {
        play(&name);
        return ExitCode::SUCCESS;
    }
    let mut tests: Vec<_> = SCENARIOS
        .map(|(name, _)| test(name, move || enter(name, QUEUES[0])))
        .into();
    for queue in QUEUES {
        for (name, _) in FULL {
            tests.push(test(format!("{name}::{queue}"), move || enter(name, queue)));
        }
    }
    support::main(tests)
}

/// Runs the scenario in namespaces of its own; in that of the network the length of the queues is a matter of its own.
fn enter(name: &str, queue: &str) -> Outcome {
    if own_uid() != 0 {
        return Err("it needs root".into());
    }
    if !Path::new(JOURNALD).exists() {
        return Err("systemd-journald is not installed".into());
    }
    needs(&["unshare", "mount", "systemd-cat", "journalctl"])?;
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--net"])
        .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
        .args([
            "sh",
            "-c",
            "echo \"$0\" >/proc/sys/net/unix/max_dgram_qlen && exec \"$@\"",
        ])
        .arg(queue)
        .arg(std::env::current_exe().unwrap())
        .env("INSIDE", name)
        // The check would warn of a name so near to its own.
        .env_remove("KUBELET_TUNABLES_LAB")
        .env_remove("JOURNAL_STREAM")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

fn play(name: &str) {
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
    let scenario = SCENARIOS.iter().chain(&FULL).find(|it| it.0 == name);
    scenario.expect("a scenario of this name").1();
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
    assert_eq!(entries.len(), WRONG.len() + 2, "{entries:#?}");
    for (entry, tunable) in entries.iter().zip(WRONG) {
        assert!(is_about(entry, tunable), "{entry}");
        assert_fields(
            entry,
            &[
                ("SYSCTL", tunable.name),
                ("SYSCTL_EXPECTED", &tunable.expected.to_string()),
                ("SYSCTL_ACTUAL", "0"),
                ("SYSCTL_SOURCE", "the kernel's default"),
                ("PRIORITY", "4"),
                ("MESSAGE_ID", Kind::Mismatch.message_id()),
            ],
        );
    }
    for (entry, kind) in entries[3..].iter().zip([Kind::Summary, Kind::Fix]) {
        let fields = [("PRIORITY", "4"), ("MESSAGE_ID", kind.message_id())];
        assert_fields(entry, &fields);
    }
    assert_fields(&entries[4], &[("MESSAGE", FIX)]);
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
    let priorities: Vec<_> = journald.entries()[5..]
        .iter()
        .map(|entry| field(entry, "PRIORITY"))
        .collect();
    assert_eq!(priorities, vec![Some("3".to_string()); 5]);
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
            ("SYSCTL", "kernel.panic"),
            ("MESSAGE_ID", Kind::Corrected.message_id()),
            ("SYSCTL_ACTUAL", "10"),
            ("SYSCTL_PREVIOUS", "3"),
            ("PRIORITY", "5"),
        ],
    );
    // All is well now, and of that not a word.
    assert_eq!(journald.run(&[]).code, 0);
    assert_eq!(journald.entries().len(), 2);
}

fn bad_options_are_an_entry_and_judged_as_none() {
    let journald = Journald::start();
    assert_eq!(journald.run(&["--wran"]).code, 78);
    let entries = journald.entries();
    assert_eq!(entries.len(), WRONG.len() + 3, "{entries:?}");
    assert_fields(
        &entries[0],
        &[("MESSAGE_ID", Kind::Usage.message_id()), ("PRIORITY", "3")],
    );
    assert!(is_about(&entries[1], WRONG[0]), "{entries:?}");
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
    journald.signal(Signal::STOP);
    fill(Path::new(SOCKET), usize::MAX);
    journald.takes_it_by_stderr("a stopped journald with a full queue");
}

fn with_a_journald_that_stops_in_the_middle() {
    let journald = Journald::start();
    journald.signal(Signal::STOP);
    let room = fill(Path::new(SOCKET), usize::MAX);
    journald.signal(Signal::CONT);
    assert!(sync());
    journald.signal(Signal::STOP);
    // The connection takes a place in the queue and the first finding another; the second does not fit.
    fill(Path::new(SOCKET), room - 2);
    let run = journald.run(&[]);
    assert_in_time(run.took, "stopped in the middle");
    journald.signal(Signal::CONT);
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
    let mut check = Command::new("systemd-cat")
        .args([
            "sh",
            "-c",
            &format!(
                ": >/run/connected; until [ -e /run/gone ]; do sleep 0.01; done
                 exec >/run/stdout; {AS_SERVICE}"
            ),
            BINARY,
        ])
        .spawn()
        .unwrap();
    while !Path::new("/run/connected").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    journald.kill();
    fs::write("/run/gone", "").unwrap();
    let begun = Instant::now();
    let status = check.wait().unwrap();
    let took = begun.elapsed();
    println!(
        "journald is gone: exit {:?}, {} ms",
        status.code(),
        took.as_millis()
    );
    assert_in_time(took, "journald is gone");
    assert_eq!(status.code(), Some(78));
    let text = fs::read_to_string(copy).unwrap();
    for tunable in WRONG {
        let finding = format!("{} is 0", tunable.name);
        assert_eq!(text.matches(&finding).count(), 1, "{finding} in {text}");
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
    assert_in_time(run.took, "a notify socket that is not read");
    assert_eq!(run.code, 78);
    assert_each_once(&journald.entries(), "a notify socket that is not read");
    drop(socket);
    fs::remove_file(path).unwrap();
    let run = journald.run_with_notify_socket(&[], path);
    assert_in_time(run.took, "no notify socket");
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
    let status = str::from_utf8(&buffer[..length]).unwrap();
    assert!(status.starts_with("STATUS="), "{status}");
    assert!(status.contains("vm.overcommit_memory is 0"), "{status}");
    let end = format!("; run: {COMMAND}");
    assert!(status.trim_end().ends_with(&end), "{status}");
    // A kubelet that starts has nothing on its Status line.
    socket.set_nonblocking(true).unwrap();
    assert_eq!(journald.run_with_notify_socket(&["--warn"], path).code, 0);
    assert!(socket.recv(&mut buffer).is_err());
}

/// Sends to the socket until it would block, at most `limit` times, and says how often.
///
/// A sender also blocks when its own buffer is full, which is before the longer queue is: then another goes on.
fn fill(path: &Path, limit: usize) -> usize {
    let mut sent = 0;
    loop {
        let before = sent;
        let sender = UnixDatagram::unbound().unwrap();
        sender.set_nonblocking(true).unwrap();
        while sent < limit && sender.send_to(b"MESSAGE=x\n", path).is_ok() {
            sent += 1;
        }
        if sent == before {
            return sent;
        }
    }
}

fn assert_in_time(took: Duration, case: &str) {
    let plain = || {
        let mut command = Command::new("sh");
        command.args(["-c", AS_SERVICE, BINARY, "--help"]);
        assert!(command.output().unwrap().status.success());
    };
    assert!(is_in_time(took, BOUND, plain), "{case}: {took:?}");
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

/// The report is there whole and once: what is wrong, one summary, and the command that fixes it.
fn assert_each_once(entries: &[String], case: &str) {
    for tunable in WRONG {
        let found = entries.iter().filter(|it| is_about(it, tunable)).count();
        assert_eq!(found, 1, "{case}: {} in {entries:#?}", tunable.name);
    }
    let errors = entries
        .iter()
        .filter(|entry| field(entry, "PRIORITY").as_deref() == Some("3"))
        .count();
    assert_eq!(errors, WRONG.len() + 2, "{case}: {entries:#?}");
    let said_the_fix = |it: &&String| field(it, "MESSAGE").as_deref() == Some(FIX);
    let fixes = entries.iter().filter(said_the_fix).count();
    assert_eq!(fixes, 1, "{case}: {entries:#?}");
}

fn is_about(entry: &str, tunable: Tunable) -> bool {
    let finding = format!("{} is 0", tunable.name);
    field(entry, "MESSAGE").is_some_and(|message| message.starts_with(&finding))
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
                begun.elapsed() < Duration::from_secs(120),
                "journald does not come up"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Self(journald)
    }

    /// Runs the check with its standard streams connected to the journal.
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
        self.signal(Signal::CONT);
        println!("{case}: exit {}, {} ms", run.code, run.took.as_millis());
        assert_in_time(run.took, case);
        assert_eq!(run.code, 78, "{case}");
        let entries = self.entries();
        assert_each_once(&entries, case);
        for tunable in WRONG {
            let entry = entries.iter().find(|it| is_about(it, tunable)).unwrap();
            assert_fields(entry, &[("PRIORITY", "3"), ("_TRANSPORT", "stdout")]);
        }
    }

    /// All that the check ever said to this journald, a line of JSON each.
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

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
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
