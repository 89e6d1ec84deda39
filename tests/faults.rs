//! A table of faults (`tests/faults/table`), each made anew for a real run of the binary: how it ends, what it says and
//! where, that nothing is lost, and that it never passes a kubelet that would die.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::io::Errno;
use support::machine::{AWAIT_TRACE, Machine, Run, WHO};
use support::not_run;

const TABLE: &str = include_str!("faults/table");
/// Seconds that a run may take, whatever is broken; what takes longer is killed.
const BOUND: u32 = 2;
/// Rows that are run at a time.
const WORKERS: usize = 2;
/// What the table's faults are made with.
const PROGRAMS: [&str; 16] = [
    "strace", "grep", "timeout", "stat", "mount", "umount", "mkfifo", "mkdir", "chmod", "sleep",
    "head", "ln", "env", "unshare", "tr", "uname",
];

/// What a row says whose fault did not come about.
const NOT_MADE: &str = "the fault was not made";

/// What is wrong on the machine: of each the report has to speak, and once.
const WRONG: [&str; 3] = [
    "vm.overcommit_memory",
    "kernel.panic",
    "kernel.panic_on_oops",
];

/// `inject CALL:... [PATH]` has strace do that to the gate's calls, on that path. Rust's own start calls poll(2), for which
/// arm64 and riscv64 have only `ppoll`: `$poll` is that call, and `$own` the number of our first `ppoll`.
const INJECT: &str = r#"
case $(uname -m) in aarch64 | riscv64) poll=ppoll own=2 ;; *) poll=poll own=1 ;; esac
trace= prefix=
inject() { trace="$trace -e inject=$1"; [ $# -lt 2 ] || trace="$trace -P $2"; }
"#;

#[test]
fn each_row_ends_as_expected() {
    let machines: Result<Vec<_>, _> = (0..WORKERS)
        .map(|worker| Machine::new(&format!("faults-{worker}"), &PROGRAMS))
        .collect();
    let machines = match machines {
        Ok(machines) => machines,
        Err(why) => return not_run("each_row_ends_as_expected", &why),
    };
    // ROWS=text runs only those whose name has the text.
    let only = std::env::var("ROWS").unwrap_or_default();
    let rows: Vec<_> = rows(TABLE)
        .into_iter()
        .filter(|row| row.name().contains(&only))
        .collect();
    assert!(!rows.is_empty(), "no row has {only} in its name");
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for machine in machines {
            let (rows, next, failed) = (&rows, &next, &failed);
            scope.spawn(move || {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let run = unwrapped(machine.run(&row.script()));
                    let troubles = row.judge(&run).join("\n  ");
                    if !troubles.is_empty() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        println!("{}\n  {troubles}\n  seen: {run:?}\n", row.name());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    let count = rows.len();
    println!("faults: {count} rows, {} as expected", count - failed);
    assert_eq!(failed, 0, "rows of tests/faults/table that ended otherwise");
}

/// One made fault and what is expected of it.
#[derive(Debug)]
struct Row {
    heading: String,
    line: usize,
    /// `hand`, `service` (with nothing but a stream) or `unit` (with the journal and the Status line).
    who: String,
    /// Shell that makes the fault.
    fault: String,
    arguments: String,
    /// What would become of kubelet: it `dies` of its tunables, `starts`, or `fails` by itself first.
    kubelet: String,
    exit: i32,
    /// The stream that has the sentence, or `anywhere`; `nobody` where none can be reached, empty where nothing is to be
    /// said.
    place: String,
    sentence: String,
}

/// Reads the table; `for E in ...` repeats the rows up to `end` for each word, `$WORDS` being what Rust says of an errno.
fn rows(table: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut heading = String::new();
    let mut errnos = vec![""];
    for (number, line) in table.lines().enumerate() {
        if let Some(text) = line.strip_prefix("## ") {
            heading = text.to_string();
        } else if let Some(list) = line.strip_prefix("for E in ") {
            errnos = list.split_whitespace().collect();
        } else if line == "end" {
            errnos = vec![""];
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            for errno in &errnos {
                let line = match *errno {
                    "" => line.to_string(),
                    name if line.contains("$WORDS") => {
                        line.replace("$E", name).replace("$WORDS", &words(name))
                    }
                    name => line.replace("$E", name),
                };
                rows.push(Row::parse(&heading, number + 1, &line));
            }
        }
    }
    rows
}

/// How Rust words the errno.
fn words(name: &str) -> String {
    let errno = ERRNOS
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("no errno {name}"))
        .1;
    std::io::Error::from(errno).to_string()
}

impl Row {
    fn parse(heading: &str, line: usize, text: &str) -> Self {
        let columns: Vec<_> = text
            .splitn(7, " | ")
            .map(str::trim)
            .map(|column| if column == "-" { "" } else { column }.to_string())
            .collect();
        let [who, fault, arguments, kubelet, exit, place, sentence] = columns
            .try_into()
            .unwrap_or_else(|columns| panic!("line {line}: seven columns, not {columns:?}"));
        let row = Self {
            heading: heading.to_string(),
            line,
            exit: exit
                .parse()
                .unwrap_or_else(|_| panic!("line {line}: exit {exit}")),
            who,
            fault,
            arguments,
            kubelet,
            place,
            sentence,
        };
        assert!(
            ["hand", "service", "unit"].contains(&row.who.as_str()),
            "{row:?}"
        );
        assert!(
            ["dies", "starts", "fails"].contains(&row.kubelet.as_str()),
            "{row:?}"
        );
        assert!(
            row.kubelet != "dies" || row.exit != 0,
            "it passes a kubelet that dies: {row:?}"
        );
        row
    }

    fn name(&self) -> String {
        format!(
            "line {}: {}: {}: {}; {}",
            self.line, self.heading, self.who, self.fault, self.arguments
        )
    }

    fn script(&self) -> String {
        // What strace adds to a run is not the gate's.
        let bound = BOUND + u32::from(self.fault.contains("inject "));
        format!(
            "cat >/tmp/gate <<'GATE'
who={}{WHO}{INJECT}{}
exec $prefix ${{trace:+/bin/strace -D -f -q -o /tmp/trace $trace}} /bin/kubelet-tunables {}
GATE
timeout --signal=KILL {bound} sh /tmp/gate && code=0 || code=$?
[ ! -e /tmp/trace ] || {{
    {AWAIT_TRACE}
    grep -q 'INJECTED\\|DELAYED\\|--- SIG\\|+++ killed\\|<unfinished' /tmp/trace || echo '{NOT_MADE}'
}}
exit $code
",
            self.who, self.fault, self.arguments
        )
    }

    /// All that is not as expected.
    fn judge(&self, run: &Run) -> Vec<String> {
        let mut troubles = Vec::new();
        let mut expect = |holds: bool, trouble: String| {
            if !holds {
                troubles.push(trouble);
            }
        };
        expect(
            run.exit == self.exit,
            format!("exit {}, expected {}", run.exit, self.exit),
        );
        let heard = [&run.stdout, &run.stderr, &run.journal]
            .map(String::as_str)
            .join("\n");
        expect(!heard.contains("panicked"), "panicked".to_string());
        expect(!heard.contains(NOT_MADE), NOT_MADE.to_string());
        let place = match self.place.as_str() {
            "stdout" => &run.stdout,
            "stderr" => &run.stderr,
            "journal" => &run.journal,
            "status" => &run.status,
            "anywhere" => &heard,
            "" | "nobody" => {
                expect(heard.trim().is_empty(), "something was said".to_string());
                return troubles;
            }
            other => panic!("{other}: no such place"),
        };
        expect(
            place.contains(&self.sentence),
            format!("expected on {}: {}", self.place, self.sentence),
        );
        let judged = !self.sentence.starts_with("error: ");
        if judged && [74, 77, 78].contains(&self.exit) {
            for name in WRONG {
                let count = heard.matches(&format!("{name} is ")).count()
                    + heard.matches(&format!("{name} was ")).count();
                expect(
                    count == 1,
                    format!("{name} is spoken of {count} times, not once"),
                );
            }
        }
        troubles
    }
}

/// A terminal's lines are wrapped; sentences are compared as they are in one line.
fn unwrapped(run: Run) -> Run {
    let unwrap = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    Run {
        exit: run.exit,
        stdout: unwrap(run.stdout),
        stderr: unwrap(run.stderr),
        journal: unwrap(run.journal),
        status: unwrap(run.status),
    }
}

/// Those that the system calls of the table can give (open(2), read(2), write(2), getdents(2), stat(2), socket(2), send(2)).
const ERRNOS: &[(&str, Errno)] = &[
    ("EACCES", Errno::ACCESS),
    ("EAFNOSUPPORT", Errno::AFNOSUPPORT),
    ("EAGAIN", Errno::AGAIN),
    ("EBADF", Errno::BADF),
    ("EBUSY", Errno::BUSY),
    ("ECONNREFUSED", Errno::CONNREFUSED),
    ("ECONNRESET", Errno::CONNRESET),
    ("EDESTADDRREQ", Errno::DESTADDRREQ),
    ("EDQUOT", Errno::DQUOT),
    ("EFAULT", Errno::FAULT),
    ("EFBIG", Errno::FBIG),
    ("EINTR", Errno::INTR),
    ("EINVAL", Errno::INVAL),
    ("EIO", Errno::IO),
    ("EISDIR", Errno::ISDIR),
    ("ELOOP", Errno::LOOP),
    ("EMFILE", Errno::MFILE),
    ("EMSGSIZE", Errno::MSGSIZE),
    ("ENAMETOOLONG", Errno::NAMETOOLONG),
    ("ENFILE", Errno::NFILE),
    ("ENOBUFS", Errno::NOBUFS),
    ("ENODEV", Errno::NODEV),
    ("ENOENT", Errno::NOENT),
    ("ENOMEM", Errno::NOMEM),
    ("ENOSPC", Errno::NOSPC),
    ("ENOSYS", Errno::NOSYS),
    ("ENOTCONN", Errno::NOTCONN),
    ("ENOTDIR", Errno::NOTDIR),
    ("ENOTSOCK", Errno::NOTSOCK),
    ("ENXIO", Errno::NXIO),
    ("EOPNOTSUPP", Errno::OPNOTSUPP),
    ("EOVERFLOW", Errno::OVERFLOW),
    ("EPERM", Errno::PERM),
    ("EPIPE", Errno::PIPE),
    ("EPROTONOSUPPORT", Errno::PROTONOSUPPORT),
    ("EPROTOTYPE", Errno::PROTOTYPE),
    ("ERANGE", Errno::RANGE),
    ("EROFS", Errno::ROFS),
    ("ESTALE", Errno::STALE),
    ("ETIMEDOUT", Errno::TIMEDOUT),
    ("ETXTBSY", Errno::TXTBSY),
];
