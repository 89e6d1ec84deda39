//! Owns what it all comes to: the verdict in words, the way to mend it, and the Status line.

use std::fmt::Write as _;
use std::path::Path;

use log::Level;

use super::Audience;
use super::entry::{Entry, Kind};
use super::origin::{self, NextBoot};
use super::remedy::{self, Remedy};
use crate::boot::Boot;
use crate::check::{Finding, Outcome, Verdict};
use crate::exit::Exit;

/// Characters of a Status line at the most; `systemctl status` cuts what exceeds the terminal.
pub(super) const STATUS_LIMIT: usize = 120;

/// What all findings come to.
#[derive(Debug)]
pub(super) struct Summary {
    level: Level,
    pub(super) verdict: String,
    pub(super) remedies: Vec<Remedy>,
    /// What systemd is to show as the unit's status while kubelet is held back.
    pub(super) status: Option<String>,
}

impl Summary {
    pub(super) fn of(
        verdict: &Verdict,
        next: &[NextBoot],
        boot: &Boot,
        entries: &[Entry],
        ground: Option<&str>,
        audience: Audience,
        root: &Path,
    ) -> Self {
        let tally = Tally::of(&verdict.findings, next);
        let exit = Exit::from(verdict);
        Self {
            level: entries
                .iter()
                .map(|entry| entry.level)
                .min()
                .unwrap_or(Level::Warn),
            verdict: tally.verdict(exit, ground, audience) + &doubt(&tally, next),
            remedies: remedy::of(verdict, next, boot, root),
            status: (exit != Exit::Success).then(|| status(&verdict.findings, &tally, boot)),
        }
    }

    /// The same in one line, as the last of the entries.
    pub(super) fn entry(&self) -> Entry {
        let mut message = format!("{}.", self.verdict);
        for remedy in &self.remedies {
            let _ = write!(message, " {}: `{}`.", remedy.purpose, remedy.command);
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
    overruled: usize,
    /// Right now, but not after the next boot.
    passing: usize,
    /// Nobody knows what the next boot makes of it.
    doubtful: usize,
}

impl Tally {
    fn of(findings: &[Finding], next: &[NextBoot]) -> Self {
        let mut tally = Self {
            all: findings.len(),
            wrong: 0,
            refused: 0,
            unknown: 0,
            corrected: 0,
            overruled: 0,
            passing: 0,
            doubtful: 0,
        };
        for (finding, next) in findings.iter().zip(next) {
            tally.doubtful += usize::from(matches!(next, NextBoot::Unknown(_)));
            match finding.outcome {
                Outcome::AsExpected if matches!(next, NextBoot::Wrong { .. }) => tally.passing += 1,
                Outcome::AsExpected => {}
                Outcome::Mismatch { .. } => tally.wrong += 1,
                Outcome::Unwritable { .. } => tally.refused += 1,
                Outcome::Unreadable(_) => tally.unknown += 1,
                Outcome::Modified { .. } => tally.corrected += 1,
                Outcome::Overruled { .. } => tally.overruled += 1,
            }
        }
        tally
    }

    fn amiss(&self) -> usize {
        self.wrong + self.refused + self.unknown
    }

    /// What the reader wants to know first: whether kubelet starts.
    fn verdict(&self, exit: Exit, ground: Option<&str>, audience: Audience) -> String {
        let (all, corrected) = (self.all, self.corrected);
        let because = ground.map_or(String::new(), |ground| format!(", and {ground}"));
        if self.amiss() > 0 {
            let amiss = self.what_is_amiss();
            return match (audience, exit, ground) {
                (Audience::Person, _, None) => {
                    format!("{amiss}: with protectKernelDefaults on, kubelet does not start here")
                }
                (Audience::Person, ..) => format!("{amiss}{because}: kubelet does not start here"),
                (Audience::Service { .. }, Exit::Success, _) => {
                    format!("kubelet is started all the same (--warn), though {amiss}")
                }
                (Audience::Service { .. }, ..) => {
                    format!("kubelet is not started: {amiss}{because}")
                }
            };
        }
        if self.overruled > 0 {
            let differ = if self.overruled == 1 {
                "differs"
            } else {
                "differ"
            };
            return format!(
                "{} of {all} kernel tunables {differ} from what kubelet needs{because}: kubelet starts, and sets them itself",
                self.overruled
            );
        }
        let (passing, doubtful) = (self.passing, self.doubtful);
        match (corrected, passing, doubtful) {
            (0, 0, 0) => format!(
                "All {all} kernel tunables are as kubelet needs them, and stay so after the next boot"
            ),
            (0, 0, _) => format!("All {all} kernel tunables are as kubelet needs them"),
            (0, _, _) => format!(
                "All {all} kernel tunables are as kubelet needs them, but {passing} will not be after the next boot"
            ),
            (1, _, _) => format!(
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
            (self.refused, "wrong and cannot be changed"),
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

/// What keeps the next boot from being known, to be put behind the verdict.
fn doubt(tally: &Tally, next: &[NextBoot]) -> String {
    let why = next.iter().find_map(|next| match next {
        NextBoot::Unknown(why) => Some(why),
        NextBoot::Right | NextBoot::Wrong { .. } => None,
    });
    why.map_or(String::new(), |why| {
        format!(
            ". What the next boot makes of {} of them is not known: {why}",
            tally.doubtful
        )
    })
}

/// The first thing amiss and how many more there are, in one line of at most [`STATUS_LIMIT`] characters.
fn status(findings: &[Finding], tally: &Tally, boot: &Boot) -> String {
    let first = findings.iter().find_map(|finding| {
        let name = finding.tunable.name;
        let needed = finding.tunable.expected;
        match &finding.outcome {
            Outcome::AsExpected | Outcome::Modified { .. } | Outcome::Overruled { .. } => None,
            Outcome::Mismatch { actual } => {
                let origin = boot.origin(finding.tunable, *actual);
                let source = origin::short_sentence(&origin, *actual)
                    .map_or(String::new(), |source| format!(" ({source})"));
                Some(format!("{name} is {actual}, needs {needed}{source}"))
            }
            Outcome::Unwritable { actual, .. } => Some(format!(
                "{name} is {actual}, needs {needed}, and cannot be changed"
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
