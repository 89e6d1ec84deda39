//! Makes journal entries of a look: the kind, level, sentence and fields of each.

use std::fmt::Write as _;

use log::Level;

use super::{Audience, messages, remedy};
use crate::assessment::{Assessment, Diagnostic, Mode, NextBoot, Outcome, Stance, TunableStatus};
use crate::exit::Exit;

/// What an entry is about. Each kind has an id of its own, which the journal knows as `MESSAGE_ID` and the message
/// catalog explains (`systemd/kubelet-tunables.catalog`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A tunable is wrong.
    Mismatch,
    /// A tunable was wrong and is corrected.
    Corrected,
    /// A tunable could not be read or understood.
    Unknown,
    /// A tunable is wrong and cannot be changed.
    Refused,
    /// A tunable is right now and will be wrong after the next boot.
    Forecast,
    /// A tunable is wrong, and kubelet will overwrite it or ignore it.
    Overruled,
    /// What it all comes to.
    Summary,
    /// The options of the check are not understood.
    Usage,
    /// kubelet will fail before it looks at its tunables.
    NotChecked,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Mismatch,
        Self::Corrected,
        Self::Unknown,
        Self::Refused,
        Self::Forecast,
        Self::Overruled,
        Self::Summary,
        Self::Usage,
        Self::NotChecked,
    ];

    /// The message id, made once by `systemd-id128 new`.
    pub const fn message_id(self) -> &'static str {
        match self {
            Self::Mismatch => "539870b9970b458c9d7417752244d19a",
            Self::Corrected => "65180ef5949840e09ec30842e0887d13",
            Self::Unknown => "7c1e5969e4df44f58d5a4327310d4225",
            Self::Refused => "6deeaea080a943219e4e3388521f7043",
            Self::Forecast => "ba18d82616034cf6aa5c4976d3c2f2b3",
            Self::Overruled => "37a06e56c94449398c2f9aaff160cdd6",
            Self::Summary => "cb435368eee841a889e1e3c57e2c91dd",
            Self::Usage => "7db50ba7e81e4f2193d2a597d547b172",
            Self::NotChecked => "11926fcaf989494482a78ef860c26c40",
        }
    }

    fn of(outcome: Outcome) -> Option<Self> {
        Some(match outcome {
            Outcome::Right => return None,
            Outcome::RightUntilBoot => Self::Forecast,
            Outcome::Corrected => Self::Corrected,
            Outcome::Overwritten | Outcome::Ignored => Self::Overruled,
            Outcome::WillBeCorrected | Outcome::Wrong | Outcome::Undecided => Self::Mismatch,
            Outcome::Refused => Self::Refused,
            Outcome::Unreadable => Self::Unknown,
        })
    }
}

/// One thing to be said.
#[derive(Debug)]
pub struct Entry {
    /// What it is about.
    pub kind: Kind,
    /// How bad it is.
    pub level: Level,
    /// One sentence without a full stop; for the summary, several.
    pub message: String,
    /// Journal fields by name.
    pub fields: Vec<(&'static str, String)>,
}

impl Entry {
    fn bare(kind: Kind, level: Level, message: String) -> Self {
        Self {
            kind,
            level,
            message,
            fields: Vec::new(),
        }
    }

    fn note(note: &Diagnostic) -> Self {
        let level = match note {
            Diagnostic::OptionsNotUnderstood { .. } | Diagnostic::NotPersisted(_) => Level::Error,
            Diagnostic::VariableMisspelt(_) | Diagnostic::NotInUnit(_) => Level::Warn,
            Diagnostic::OptionInUnit(_) | Diagnostic::Persisted(_) => Level::Info,
        };
        Self::bare(Kind::Usage, level, messages::note(note))
    }

    fn finding(sight: &TunableStatus, look: &Assessment) -> Option<Self> {
        let kind = Kind::of(sight.outcome)?;
        let message = messages::finding(sight, look.image.is_some())?;
        let tunable = sight.finding.tunable;
        let mut fields = vec![
            ("SYSCTL", tunable.name.to_string()),
            ("SYSCTL_EXPECTED", tunable.expected.to_string()),
        ];
        let mut add = |name, value: Option<String>| {
            fields.extend(value.map(|value| (name, value)));
        };
        let number = |value: i64| value.to_string();
        add(
            "SYSCTL_ACTUAL",
            sight.finding.now.as_ref().ok().copied().map(number),
        );
        add("SYSCTL_PREVIOUS", sight.finding.was.map(number));
        let next = match &sight.next {
            NextBoot::Wrong { value, origin } => Some((value, origin)),
            NextBoot::Right | NextBoot::Unknown(_) => None,
        };
        let next_origin = next.map(|(_, origin)| origin);
        let origin = sight.origin.as_ref().or(next_origin);
        add("SYSCTL_SOURCE", origin.and_then(messages::source));
        add("SYSCTL_NEXT_BOOT", next.map(|(value, _)| number(*value)));
        let error = match (&sight.finding.now, sight.outcome) {
            (Err(error), _) => Some(error),
            (Ok(_), Outcome::Refused | Outcome::Ignored) => sight.finding.refused.as_ref(),
            _ => None,
        };
        add("SYSCTL_ERROR", error.map(messages::sysctl_error));
        Some(Self {
            kind,
            level: level(sight.outcome, look),
            message,
            fields,
        })
    }

    /// What it all comes to, and how to fix it, in one line.
    fn summary(look: &Assessment, level: Level, audience: Audience) -> Self {
        let mut message = format!("{}.", messages::summary(look, audience));
        for remedy in remedy::of(look) {
            let _ = match remedy.command {
                Some(command) => write!(message, " {}: `{command}`.", remedy.purpose),
                None => write!(message, " {}.", remedy.purpose),
            };
        }
        Self::bare(Kind::Summary, level, message)
    }
}

/// What makes kubelet fail is an error, unless kubelet is started anyway.
fn level(outcome: Outcome, look: &Assessment) -> Level {
    match outcome {
        Outcome::Wrong | Outcome::Refused if look.mode == Mode::Warn => Level::Warn,
        Outcome::Unreadable if Exit::of_tunables(look) == Exit::Success => Level::Warn,
        Outcome::Wrong | Outcome::Refused | Outcome::Unreadable => Level::Error,
        Outcome::RightUntilBoot | Outcome::Undecided => Level::Warn,
        Outcome::Right
        | Outcome::Corrected
        | Outcome::WillBeCorrected
        | Outcome::Overwritten
        | Outcome::Ignored => Level::Info,
    }
}

/// An entry for each finding; what is wrong now stands before what only the next boot makes wrong.
pub(super) fn findings(look: &Assessment) -> Vec<Entry> {
    let (later, now): (Vec<_>, Vec<_>) = look
        .sights
        .iter()
        .partition(|sight| sight.outcome == Outcome::RightUntilBoot);
    now.into_iter()
        .chain(later)
        .filter_map(|sight| Entry::finding(sight, look))
        .collect()
}

/// What its user should know of the check itself.
pub(super) fn notes(look: &Assessment) -> Vec<Entry> {
    look.notes.iter().map(Entry::note).collect()
}

/// All that a service manager is told; nothing when all is well.
pub(super) fn all(look: &Assessment, audience: Audience) -> Vec<Entry> {
    let mut entries = notes(look);
    if look.is_not_checked() {
        entries.extend(not_checked(look, audience));
        return entries;
    }
    let findings = findings(look);
    let needs_summary = match look.told.stance() {
        // A kubelet that starts and sees to everything needs no more words.
        Stance::Overwrites => findings.iter().any(|entry| entry.kind != Kind::Overruled),
        _ => !findings.is_empty(),
    };
    if needs_summary || look.doubt().is_some() {
        let level = findings.iter().map(|entry| entry.level).min();
        let summary = Entry::summary(look, level.unwrap_or(Level::Warn), audience);
        entries.extend(findings);
        entries.push(summary);
    } else {
        entries.extend(findings);
    }
    entries
}

/// That nothing is checked, and why; and what was corrected nevertheless.
fn not_checked(look: &Assessment, audience: Audience) -> Vec<Entry> {
    let mut entries = findings(look);
    entries.retain(|entry| entry.kind == Kind::Corrected);
    if look.amiss() > 0 && !look.is_not_configured() {
        let message = messages::summary(look, audience);
        entries.push(Entry::bare(Kind::NotChecked, Level::Info, message));
    }
    entries
}
