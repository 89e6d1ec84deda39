//! Owns the words: a sentence for each finding, one summary, and the way they take to whoever reads them.

mod entry;
pub mod journal;
mod origin;
mod remedy;
mod service;
mod stream;
mod summary;
mod terminal;
mod unit;

use std::path::Path;

use log::Level;

use crate::boot::Boot;
use crate::check::{Behavior, Verdict};
use origin::NextBoot;
use summary::Summary;

pub use entry::{Entry, Kind};
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

/// What there is to say of a verdict.
#[derive(Debug)]
pub struct Report<'a> {
    verdict: &'a Verdict,
    next: Vec<NextBoot>,
    audience: Audience,
    entries: Vec<Entry>,
    summary: Summary,
}

impl<'a> Report<'a> {
    /// Puts the verdict and what the next boot will make of it into words for this audience; `root` is where /etc is. A
    /// service manager is told nothing when all is well.
    ///
    /// The `ground` says what kubelet was told, such as "protectKernelDefaults is true in /var/lib/kubelet/config.yaml:14".
    pub fn of(
        verdict: &'a Verdict,
        boot: &Boot,
        ground: Option<&str>,
        audience: Audience,
        root: &Path,
    ) -> Option<Self> {
        let next: Vec<_> = verdict
            .findings
            .iter()
            .map(|finding| match verdict.behavior {
                // Whatever the boot sets, kubelet sets it right when it starts.
                Behavior::AsKubelet => NextBoot::Right,
                _ => NextBoot::of(finding.tunable, boot),
            })
            .collect();
        let entries: Vec<_> = verdict
            .findings
            .iter()
            .zip(&next)
            .filter_map(|(finding, next)| Entry::of(finding, next, verdict.behavior, boot))
            .collect();
        let is_doubtful = |next: &NextBoot| matches!(next, NextBoot::Unknown(_));
        let all_is_well = entries.is_empty() && !next.iter().any(is_doubtful);
        if all_is_well && audience != Audience::Person {
            return None;
        }
        // It can name a file, or quote one.
        let ground = ground.map(origin::plain);
        let summary = Summary::of(
            verdict,
            &next,
            boot,
            &entries,
            ground.as_deref(),
            audience,
            root,
        );
        Some(Self {
            verdict,
            next,
            audience,
            entries,
            summary,
        })
    }

    /// Says it to the audience; `root` is where /proc is. Where nobody listens there is nobody to tell, so this does not
    /// fail.
    pub fn say(self, root: &Path) {
        match self.audience {
            Audience::Person => {
                let color = Stream::Stdout.shows_color();
                Stream::Stdout.print(&terminal::render(&self, color));
            }
            Audience::Service { journal } => {
                let mut entries = self.entries;
                // A kubelet that starts and sees to everything needs no more words.
                if !entries.iter().all(|entry| entry.kind == Kind::Overruled) {
                    entries.push(self.summary.entry());
                }
                service::say(entries, self.summary.status, journal, root);
            }
        }
    }
}

/// Tells a person that kubelet will fail by itself; in the journal kubelet's own message is the one to be read.
pub fn say_kubelet_fails(why: &str, audience: Audience) {
    if audience == Audience::Person {
        Stream::Stdout.print(&format!(
            "kubelet will fail by itself before it looks at its kernel tunables:\n{}\n",
            origin::plain(why)
        ));
    }
}

/// Tells a service manager in one entry why the command line was not understood, in clap's own words.
pub fn say_usage(complaint: &str, journal: bool, root: &Path) {
    let reason = complaint.lines().next().unwrap_or_default();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    let reason = format!("kubelet-tunables does not understand its command line: {reason}");
    let entry = Entry {
        kind: Kind::Usage,
        level: Level::Error,
        message: format!(
            "kubelet is not started: {reason}. Look at KUBELET_TUNABLES_ARGS; what is allowed there: kubelet-tunables --help."
        ),
        fields: Vec::new(),
    };
    let status = summary::not_started(&reason, "");
    service::say(vec![entry], Some(status), journal, root);
}
