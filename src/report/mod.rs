//! Owns the words: a sentence for each finding, one summary, and who gets to read them where.

mod stream;
mod terminal;

use std::fmt::Write as _;
use std::io;

use log::Level;

use crate::check::{Behavior, Finding, Outcome, Verdict};
use crate::exit::Exit;
use crate::sysctl::SysctlError;

pub use stream::Stream;

/// Who reads the report, which decides its form and its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A person or a person's script: the whole picture to stdout, good news too.
    Person,
    /// A service manager: what is wrong and nothing else.
    Service {
        /// Standard error is a stream to the journal.
        journal: bool,
    },
}

impl Audience {
    /// Who started this process.
    ///
    /// `JOURNAL_STREAM` names the stream that systemd connected to the journal and `SYSTEMD_EXEC_PID` the process that
    /// it executed. A shell can inherit both, so both are compared with what this process is. Source: systemd.exec(5).
    pub fn of_this_process() -> Self {
        if systemd_journal_logger::connected_to_journal() {
            Self::Service { journal: true }
        } else if std::env::var("SYSTEMD_EXEC_PID")
            .is_ok_and(|pid| pid == std::process::id().to_string())
        {
            Self::Service { journal: false }
        } else {
            Self::Person
        }
    }
}

/// One thing to be said of one tunable.
#[derive(Debug)]
struct Entry {
    level: Level,
    message: String,
}

/// What it all comes to.
#[derive(Debug)]
struct Summary {
    level: Level,
    verdict: String,
    /// Commands to be typed, each under what it is for.
    remedies: Vec<(&'static str, String)>,
}

impl Summary {
    /// All of it in one line.
    fn line(&self) -> String {
        let mut line = format!("{}.", self.verdict);
        for (purpose, command) in &self.remedies {
            let _ = write!(line, " {purpose}: {command}.");
        }
        line
    }
}

/// What there is to say of a verdict.
#[derive(Debug)]
pub struct Report<'a> {
    verdict: &'a Verdict,
    entries: Vec<Entry>,
    summary: Summary,
}

impl<'a> Report<'a> {
    /// Puts the verdict into words for this audience.
    pub fn new(verdict: &'a Verdict, audience: Audience) -> Self {
        let entries: Vec<_> = verdict
            .findings
            .iter()
            .filter_map(|finding| entry(finding, verdict.behavior))
            .collect();
        let summary = summary(verdict, audience, &entries);
        Self {
            verdict,
            entries,
            summary,
        }
    }

    /// Says it to the audience. Where nobody listens there is nobody to tell, so this does not fail.
    pub fn say(&self, audience: Audience) {
        match audience {
            Audience::Person => {
                let color = Stream::Stdout.shows_color();
                Stream::Stdout.print(&terminal::render(self, color));
            }
            Audience::Service { journal } => {
                if !self.entries.is_empty() {
                    Stream::Stderr.print(&self.lines(journal));
                }
            }
        }
    }

    /// A line an entry and one for the summary; for the journal each begins with its priority (sd-daemon(3)).
    fn lines(&self, journal: bool) -> String {
        let mut lines = String::new();
        let entries = self
            .entries
            .iter()
            .map(|entry| (entry.level, entry.message.clone()));
        for (level, message) in entries.chain([(self.summary.level, self.summary.line())]) {
            if journal {
                let _ = write!(lines, "<{}>", priority(level));
            }
            let _ = writeln!(lines, "{message}");
        }
        lines
    }
}

/// The syslog priority of a level, as `systemd-journal-logger` maps it.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 5,
        Level::Debug => 6,
        Level::Trace => 7,
    }
}

fn entry(finding: &Finding, behavior: Behavior) -> Option<Entry> {
    let name = finding.tunable.name;
    let needed = finding.tunable.expected;
    let (level, message) = match &finding.outcome {
        Outcome::AsExpected => return None,
        Outcome::Mismatch { actual } => {
            let level = match behavior {
                Behavior::Warn => Level::Warn,
                Behavior::Error | Behavior::Modify => Level::Error,
            };
            (level, format!("{name} is {actual}, kubelet needs {needed}"))
        }
        Outcome::Modified { from } => (
            Level::Info,
            format!("{name} was {from} and is now {needed}, as kubelet needs it"),
        ),
        Outcome::Unreadable(error) => (Level::Error, format!("{name} is not known: {error}")),
        Outcome::Unwritable { actual, error } => (
            Level::Error,
            format!(
                "{name} is {actual}, kubelet needs {needed}, and it could not be changed: {error}"
            ),
        ),
    };
    Some(Entry { level, message })
}

/// How many tunables ended in which way.
#[derive(Debug, Default)]
struct Tally {
    wrong: usize,
    unchangeable: usize,
    unknown: usize,
    corrected: usize,
}

impl Tally {
    fn of(findings: &[Finding]) -> Self {
        let mut tally = Self::default();
        for finding in findings {
            match finding.outcome {
                Outcome::AsExpected => {}
                Outcome::Mismatch { .. } => tally.wrong += 1,
                Outcome::Unwritable { .. } => tally.unchangeable += 1,
                Outcome::Unreadable(_) => tally.unknown += 1,
                Outcome::Modified { .. } => tally.corrected += 1,
            }
        }
        tally
    }

    /// What is not as it should be, such as "2 of 6 kernel tunables are wrong and 1 is not known".
    fn words(&self, of: usize) -> String {
        let be = |count| if count == 1 { "is" } else { "are" };
        let mut parts = Vec::new();
        for (count, what) in [
            (self.wrong, "wrong"),
            (self.unchangeable, "wrong and could not be changed"),
            (self.unknown, "not known"),
        ] {
            if count > 0 {
                let noun = if parts.is_empty() {
                    format!(" of {of} kernel tunables")
                } else {
                    String::new()
                };
                parts.push(format!("{count}{noun} {} {what}", be(count)));
            }
        }
        parts.join(", ")
    }
}

fn summary(verdict: &Verdict, audience: Audience, entries: &[Entry]) -> Summary {
    let of = verdict.findings.len();
    let tally = Tally::of(&verdict.findings);
    let state = tally.words(of);
    let by_hand = audience == Audience::Person;
    let words = if !state.is_empty() {
        match (by_hand, Exit::from(verdict)) {
            (true, _) => {
                format!("{state}: with protectKernelDefaults on, kubelet does not start here")
            }
            (false, Exit::Success) => {
                format!("kubelet is started all the same (--warn), though {state}")
            }
            (false, _) => format!("kubelet is not started: {state}"),
        }
    } else if tally.corrected > 0 {
        let were = if tally.corrected == 1 {
            "was wrong and is"
        } else {
            "were wrong and are"
        };
        format!(
            "{} of {of} kernel tunables {were} corrected: kubelet's check will pass",
            tally.corrected
        )
    } else {
        format!("All {of} kernel tunables are as kubelet needs them")
    };
    Summary {
        level: entries
            .iter()
            .map(|entry| entry.level)
            .min()
            .unwrap_or(Level::Info),
        verdict: words,
        remedies: remedies(verdict, &tally),
    }
}

fn remedies(verdict: &Verdict, tally: &Tally) -> Vec<(&'static str, String)> {
    let mut remedies = Vec::new();
    if tally.wrong > 0 {
        remedies.push(("To mend it now", "kubelet-tunables --modify".into()));
    }
    let refused = verdict
        .findings
        .iter()
        .find_map(|finding| match &finding.outcome {
            Outcome::Unwritable {
                error: SysctlError::Io { source, .. },
                ..
            } => Some(source.kind()),
            _ => None,
        });
    match refused {
        Some(io::ErrorKind::PermissionDenied) => {
            remedies.push((
                "Kernel tunables belong to root",
                "sudo kubelet-tunables --modify".into(),
            ));
        }
        Some(io::ErrorKind::ReadOnlyFilesystem) => {
            remedies.push((
                "/proc/sys is read-only, as in a container; to mend it on the host",
                "kubelet-tunables --modify".into(),
            ));
        }
        _ => {}
    }
    remedies
}
