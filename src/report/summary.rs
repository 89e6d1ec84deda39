//! Owns what it all comes to: the verdict in words, the way to mend it, and the Status line.

use std::fmt::Write as _;
use std::io;

use log::Level;

use super::Audience;
use super::entry::{Entry, Kind};
use crate::check::{Finding, Outcome, Verdict};
use crate::exit::Exit;
use crate::sysctl::SysctlError;

/// Characters of a Status line at the most; `systemctl status` cuts what exceeds the terminal.
pub(super) const STATUS_LIMIT: usize = 120;

/// What all findings come to.
#[derive(Debug)]
pub(super) struct Summary {
    level: Level,
    pub(super) verdict: String,
    /// Commands to be typed, each under what it is for.
    pub(super) remedies: Vec<(&'static str, String)>,
    /// What systemd is to show as the unit's status while kubelet is held back.
    pub(super) status: Option<String>,
}

impl Summary {
    pub(super) fn of(verdict: &Verdict, entries: &[Entry], audience: Audience) -> Self {
        let tally = Tally::of(&verdict.findings);
        let exit = Exit::from(verdict);
        Self {
            level: entries
                .iter()
                .map(|entry| entry.level)
                .min()
                .unwrap_or(Level::Info),
            verdict: tally.verdict(exit, audience),
            remedies: remedies(verdict, &tally),
            status: (exit != Exit::Success).then(|| status(&verdict.findings, &tally)),
        }
    }

    /// The same in one line, as the last of the entries.
    pub(super) fn entry(&self) -> Entry {
        let mut message = format!("{}.", self.verdict);
        for (purpose, command) in &self.remedies {
            let _ = write!(message, " {purpose}: {command}.");
        }
        Entry {
            kind: Kind::Summary,
            level: self.level,
            message,
            fields: Vec::new(),
        }
    }
}

/// How many tunables ended in which way.
#[derive(Debug)]
struct Tally {
    all: usize,
    wrong: usize,
    refused: usize,
    unknown: usize,
    corrected: usize,
}

impl Tally {
    fn of(findings: &[Finding]) -> Self {
        let mut tally = Self {
            all: findings.len(),
            wrong: 0,
            refused: 0,
            unknown: 0,
            corrected: 0,
        };
        for finding in findings {
            match finding.outcome {
                Outcome::AsExpected => {}
                Outcome::Mismatch { .. } => tally.wrong += 1,
                Outcome::Unwritable { .. } => tally.refused += 1,
                Outcome::Unreadable(_) => tally.unknown += 1,
                Outcome::Modified { .. } => tally.corrected += 1,
            }
        }
        tally
    }

    fn amiss(&self) -> usize {
        self.wrong + self.refused + self.unknown
    }

    /// What the reader wants to know first: whether kubelet starts.
    fn verdict(&self, exit: Exit, audience: Audience) -> String {
        let (all, corrected) = (self.all, self.corrected);
        if self.amiss() > 0 {
            let amiss = self.what_is_amiss();
            return match (audience, exit) {
                (Audience::Person, _) => {
                    format!("{amiss}: with protectKernelDefaults on, kubelet does not start here")
                }
                (Audience::Service { .. }, Exit::Success) => {
                    format!("kubelet is started all the same (--warn), though {amiss}")
                }
                (Audience::Service { .. }, _) => format!("kubelet is not started: {amiss}"),
            };
        }
        match corrected {
            0 => format!("All {all} kernel tunables are as kubelet needs them"),
            1 => format!(
                "1 of {all} kernel tunables was wrong and is corrected: kubelet's check will pass"
            ),
            _ => format!(
                "{corrected} of {all} kernel tunables were wrong and are corrected: kubelet's check will pass"
            ),
        }
    }

    /// Such as "2 of 6 kernel tunables are wrong, 1 is not known".
    fn what_is_amiss(&self) -> String {
        let mut words = String::new();
        for (count, what) in [
            (self.wrong, "wrong"),
            (self.refused, "wrong and could not be changed"),
            (self.unknown, "not known"),
        ] {
            if count == 0 {
                continue;
            }
            if words.is_empty() {
                let _ = write!(words, "{count} of {} kernel tunables", self.all);
            } else {
                let _ = write!(words, ", {count}");
            }
            let _ = write!(words, " {} {what}", if count == 1 { "is" } else { "are" });
        }
        words
    }
}

fn remedies(verdict: &Verdict, tally: &Tally) -> Vec<(&'static str, String)> {
    const MODIFY: &str = "kubelet-tunables --modify";
    let mut remedies = Vec::new();
    if tally.wrong > 0 {
        remedies.push(("To mend it now", MODIFY.to_string()));
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
            remedies.push(("Only root may change them", format!("sudo {MODIFY}")));
        }
        Some(io::ErrorKind::ReadOnlyFilesystem) => {
            remedies.push((
                "/proc/sys is read-only, as in a container. To mend it on the host",
                MODIFY.to_string(),
            ));
        }
        _ => {}
    }
    remedies
}

/// The first thing amiss and how many more there are, in one line of at most [`STATUS_LIMIT`] characters.
fn status(findings: &[Finding], tally: &Tally) -> String {
    let first = findings.iter().find_map(|finding| {
        let name = finding.tunable.name;
        let needed = finding.tunable.expected;
        match &finding.outcome {
            Outcome::AsExpected | Outcome::Modified { .. } => None,
            Outcome::Mismatch { actual } => Some(format!("{name} is {actual}, needs {needed}")),
            Outcome::Unwritable { actual, .. } => Some(format!(
                "{name} is {actual}, needs {needed}, and could not be changed"
            )),
            Outcome::Unreadable(_) => Some(format!("{name} could not be read or understood")),
        }
    });
    let others = match tally.amiss() {
        0 | 1 => String::new(),
        amiss => format!(", and {} more", amiss - 1),
    };
    not_started(&first.unwrap_or_default(), &others)
}

/// The Status line of a kubelet that is held back: `reason` is cut where it is too long, `rest` is not.
pub(super) fn not_started(reason: &str, rest: &str) -> String {
    const BEGINNING: &str = "kubelet not started: ";
    let room = STATUS_LIMIT - BEGINNING.len() - rest.chars().count();
    if reason.chars().count() <= room {
        return format!("{BEGINNING}{reason}{rest}");
    }
    let cut: String = reason.chars().take(room - 3).collect();
    format!("{BEGINNING}{cut}...{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_cut_to_its_limit() {
        let short = not_started("kernel.panic is 0, needs 10", ", and 2 more");
        assert_eq!(
            short,
            "kubelet not started: kernel.panic is 0, needs 10, and 2 more"
        );
        let long = not_started(&"\u{e9}".repeat(300), ", and 2 more");
        assert_eq!(long.chars().count(), STATUS_LIMIT);
        assert!(long.ends_with("\u{e9}..., and 2 more"), "{long}");
    }
}
