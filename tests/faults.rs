//! A table of faults (`tests/faults/table`), each made anew for a real run of the binary: how it ends, what it says and
//! where, that nothing is lost, and that it never passes a kubelet that would die.

mod support;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kubelet_tunables::tunable::TUNABLES;
use rustix::io::Errno;
use support::machine::{AWAIT_TRACE, Machine, Run, WHO};
use support::{is_in_time, own_uid, test};

const TABLE: &str = include_str!("faults/table");
/// What a run may take, whatever is broken.
const BOUND: Duration = Duration::from_secs(2);
/// What the table's faults are made with.
const PROGRAMS: [&str; 15] = [
    "grep", "timeout", "stat", "mount", "umount", "mkfifo", "mkdir", "chmod", "sleep", "head",
    "ln", "env", "unshare", "tr", "uname",
];

/// What a row says whose fault did not come about.
const NOT_MADE: &str = "the fault was not made";

/// What is wrong on the machine: of each the report has to speak, and once.
const WRONG: [&str; 3] = [
    "vm.overcommit_memory",
    "kernel.panic",
    "kernel.panic_on_oops",
];

/// `inject CALL:... [PATH]` has strace do that to the check's calls, on that path. Rust's own start calls poll(2), for which
/// arm64 and riscv64 have only `ppoll`: `$poll` is that call, and `$own` the number of our first `ppoll`.
const INJECT: &str = r#"
case $(uname -m) in aarch64 | riscv64) poll=ppoll own=2 ;; *) poll=poll own=1 ;; esac
trace= prefix=
inject() { trace="$trace -e inject=$1"; [ $# -lt 2 ] || trace="$trace -P $2"; }
"#;

fn main() -> ExitCode {
    let machine = Arc::new(OnceLock::new());
    let tests = rows(TABLE).into_iter().map(|row| {
        let machine = Arc::clone(&machine);
        test(row.name.clone(), move || {
            let machine = machine
                .get_or_init(|| Machine::new("faults", &PROGRAMS))
                .as_ref()
                .map_err(String::clone)?;
            if row.is_traced() {
                machine.has_strace()?;
            }
            if row.needs_root() && own_uid() != 0 {
                return Err("it needs root".into());
            }
            let run = machine.run(&row.script());
            let mut troubles = row.judge(&run);
            // What strace adds to a run is not the check's.
            let bound = BOUND + Duration::from_secs(row.is_traced().into());
            let plain = || drop(machine.run(&row.plain().script()));
            if !is_in_time(run.took, bound, plain) {
                troubles.push(format!("it took {:?}", run.took));
            }
            let troubles = troubles.join("\n");
            assert!(troubles.is_empty(), "{row:#?}\n{run:#?}\n{troubles}");
            Ok(())
        })
    });
    support::main(tests.collect())
}

/// One made fault and what is expected of it.
#[derive(Debug)]
struct Row {
    name: String,
    /// `hand`, `service` (with nothing but a stream) or `unit` (with the journal and the Status line).
    who: String,
    /// Shell that makes the fault.
    fault: String,
    arguments: String,
    /// What would become of kubelet: it `dies` of its tunables, `starts`, or `fails` by itself first; `unknown`.
    kubelet: String,
    exit: i32,
    /// The stream that has the sentence, or `anywhere`; `nobody` where none can be reached, empty where nothing is to be
    /// said.
    place: String,
    /// What one sentence there has to hold, in this order, with ` ... ` between two parts.
    sentence: String,
}

/// Reads the table; `for E in ...` repeats the rows up to `end` for each word, `$WORDS` being what is said of an errno.
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
                let name = format!("{heading}: line {} {errno}", number + 1);
                let mut line = line.replace("$E", errno);
                if line.contains("$WORDS") {
                    line = line.replace("$WORDS", &words(errno));
                }
                rows.push(Row::parse(name.trim_end(), &line));
            }
        }
    }
    rows
}

/// How the C library words the errno; Rust adds its number.
fn words(name: &str) -> String {
    let errno = ERRNOS
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("no errno {name}"))
        .1;
    let words = std::io::Error::from(errno).to_string();
    let (words, _) = words.split_once(" (os error ").unwrap();
    words.to_string()
}

impl Row {
    fn parse(name: &str, text: &str) -> Self {
        let columns: Vec<_> = text
            .splitn(7, " | ")
            .map(str::trim)
            .map(|column| if column == "-" { "" } else { column }.to_string())
            .collect();
        let [who, fault, arguments, kubelet, exit, place, sentence] = columns
            .try_into()
            .unwrap_or_else(|columns| panic!("{name}: seven columns, not {columns:?}"));
        let row = Self {
            exit: exit.parse().unwrap_or_else(|_| panic!("{name}: {exit}")),
            name: name.to_string(),
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
            ["dies", "starts", "fails", "unknown"].contains(&row.kubelet.as_str()),
            "{row:?}"
        );
        assert!(
            row.kubelet != "dies" || row.exit != 0,
            "it passes a kubelet that dies: {row:?}"
        );
        assert!(
            !["fails", "unknown"].contains(&row.kubelet.as_str()) || row.exit == 0,
            "it holds a kubelet that need not die of its tunables: {row:?}"
        );
        row
    }

    fn is_traced(&self) -> bool {
        self.fault.contains("inject ")
    }

    /// Whether root in a user namespace is not enough: there is one user, and no other /proc can be mounted. A kubelet that
    /// cannot write the six fails on the machine only.
    fn needs_root(&self) -> bool {
        let is_unprotected = self.arguments == "$unprotected" && self.exit == 77;
        is_unprotected || self.fault.contains("--reuid=") || self.fault.contains("mount -t proc")
    }

    /// A run as this one, but with nothing to wait for.
    fn plain(&self) -> Self {
        let trace = "trace='-e trace=all'";
        Self {
            name: self.name.clone(),
            who: "hand".into(),
            fault: if self.is_traced() { trace } else { "" }.into(),
            arguments: "--help".into(),
            kubelet: "starts".into(),
            exit: 0,
            place: "stdout".into(),
            sentence: String::new(),
        }
    }

    fn script(&self) -> String {
        format!(
            "cat >/tmp/check <<'CHECK'
who={}{WHO}{INJECT}{}
exec $prefix ${{trace:+/bin/strace -D -f -q -o /tmp/trace $trace}} /bin/kubelet-tunables {}
CHECK
timeout --signal=KILL 120 sh /tmp/check && code=0 || code=$?
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
            sentences(place)
                .iter()
                .any(|sentence| holds(sentence, &self.sentence)),
            format!("expected on {}: {}", self.place, self.sentence),
        );
        let fixes = heard.matches("kubelet-tunables --modify --persist").count();
        expect(fixes <= 1, format!("the fix is said {fixes} times"));
        let is_judged = [74, 77, 78].contains(&self.exit);
        // A kubelet that fails by itself, or may not be one, hides nothing that is wrong.
        if is_judged || ["fails", "unknown"].contains(&self.kubelet.as_str()) {
            let heard = sentences(&heard);
            for name in WRONG {
                let count = heard.iter().filter(|it| is_about(it, name)).count();
                expect(
                    count == 1,
                    format!("{name} is spoken of {count} times, not once"),
                );
            }
        }
        troubles
    }
}

/// The sentences of what was said, each in one line. A terminal's lines are wrapped: there one begins after an empty line
/// or with a tunable. The journal's protocol has a zero before each value.
fn sentences(said: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    for value in said.split('\0') {
        sentences.push(String::new());
        for line in value.lines() {
            let begins = line.starts_with('<')
                || line.is_empty()
                || TUNABLES.iter().any(|it| line.starts_with(it.name));
            match sentences.last_mut() {
                Some(last) if !begins && !last.is_empty() => {
                    last.push(' ');
                    last.push_str(line.trim_start());
                }
                _ => sentences.push(line.to_string()),
            }
        }
    }
    sentences
}

/// Whether the parts stand in the sentence, in this order.
fn holds(sentence: &str, parts: &str) -> bool {
    let mut rest = sentence;
    parts.split(" ... ").all(|part| {
        rest.split_once(part)
            .map(|(_, behind)| rest = behind)
            .is_some()
    })
}

/// Whether the sentence, and no row of a table or value of a field, begins with the tunable's name.
fn is_about(sentence: &str, name: &str) -> bool {
    sentence
        .trim_start_matches(|it: char| "<>".contains(it) || it.is_ascii_digit())
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix(' '))
        .is_some_and(|rest| rest.starts_with(|it: char| it.is_ascii_lowercase()))
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
