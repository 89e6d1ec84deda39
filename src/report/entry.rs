//! Makes journal entries of an assessment: the kind, level, sentence and fields of each.

use log::Level;

use super::errors;
use super::fix::Fix;
use super::messages::{self, plain};
use crate::assessment::{Assessment, Diagnostic, NextBoot, Outcome, TunableStatus};
use crate::invocation::Caller;
use crate::verdict::{KubeletBehavior, Severity};

/// The subject of an entry. Each kind has an id of its own, which the journal knows as `MESSAGE_ID` and the message
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
    /// Whether kubelet starts, and why.
    Summary,
    /// The command that fixes it.
    Fix,
    /// The options of the check are not understood.
    Usage,
    /// kubelet will fail before it looks at its tunables.
    NotChecked,
}

impl Kind {
    /// All of them, with their message ids, each made once by `systemd-id128 new`.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Mismatch, "539870b9970b458c9d7417752244d19a"),
        (Self::Corrected, "65180ef5949840e09ec30842e0887d13"),
        (Self::Unknown, "7c1e5969e4df44f58d5a4327310d4225"),
        (Self::Refused, "6deeaea080a943219e4e3388521f7043"),
        (Self::Forecast, "ba18d82616034cf6aa5c4976d3c2f2b3"),
        (Self::Overruled, "37a06e56c94449398c2f9aaff160cdd6"),
        (Self::Summary, "cb435368eee841a889e1e3c57e2c91dd"),
        (Self::Fix, "e03d8a2f5b7c4f1c9a6d2b48f0c7e915"),
        (Self::Usage, "7db50ba7e81e4f2193d2a597d547b172"),
        (Self::NotChecked, "11926fcaf989494482a78ef860c26c40"),
    ];

    /// Returns the message id.
    pub fn message_id(self) -> &'static str {
        let row = Self::ALL.iter().find(|(kind, _)| *kind == self);
        row.map_or("", |(_, id)| id)
    }

    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Right | Outcome::RightUntilBoot => Self::Forecast,
            Outcome::Corrected => Self::Corrected,
            Outcome::Overwritten | Outcome::Ignored => Self::Overruled,
            Outcome::WillBeCorrected | Outcome::Wrong | Outcome::Undecided => Self::Mismatch,
            Outcome::Refused => Self::Refused,
            Outcome::Unreadable => Self::Unknown,
        }
    }
}

/// Journal fields by name.
type Fields = Vec<(&'static str, String)>;

/// One thing to be said.
#[derive(Debug)]
pub struct Entry {
    /// Its subject.
    pub kind: Kind,
    /// How serious it is.
    pub level: Level,
    /// One sentence without a full stop; a summary may have several.
    pub message: String,
    /// Journal fields by name.
    pub fields: Fields,
}

impl Entry {
    /// Makes an entry whose texts cannot move a cursor or break a line.
    fn new(kind: Kind, severity: Severity, message: &str, fields: Fields) -> Self {
        let level = match severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warn,
            Severity::Notice => Level::Info,
        };
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name, plain(&value)));
        Self {
            kind,
            level,
            message: plain(message),
            fields: fields.collect(),
        }
    }

    fn finding(status: &TunableStatus, assessment: &Assessment) -> Option<Self> {
        let message = messages::finding(status, assessment.image.is_some())?;
        let reading = &status.reading;
        let next = match &status.next {
            NextBoot::Wrong { value, origin } => Some((*value, origin)),
            NextBoot::Right | NextBoot::Unknown(_) => None,
        };
        let origin = status.origin.as_ref().or(next.map(|(_, origin)| origin));
        let error = match status.outcome {
            Outcome::Refused | Outcome::Ignored => reading.refused.as_ref(),
            _ => reading.now.as_ref().err(),
        };
        let number = |value: i64| value.to_string();
        let actual = reading.now.as_ref().ok().copied();
        let source = |origin| messages::source(origin).unwrap_or_else(|| "unknown".to_string());
        let fields = [
            ("SYSCTL", Some(reading.tunable.name.to_string())),
            ("SYSCTL_EXPECTED", Some(number(reading.tunable.expected))),
            ("SYSCTL_ACTUAL", actual.map(number)),
            ("SYSCTL_PREVIOUS", reading.was.map(number)),
            ("SYSCTL_SOURCE", origin.map(source)),
            ("SYSCTL_NEXT_BOOT", next.map(|(value, _)| number(value))),
            ("SYSCTL_ERROR", error.map(errors::sysctl_error)),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let severity = status.severity(assessment.mode);
        let kind = Kind::of(status.outcome);
        Some(Self::new(kind, severity, &message, fields.collect()))
    }
}

/// Makes an entry for each finding; what is wrong now stands before what only the next boot makes wrong.
pub(super) fn findings(assessment: &Assessment) -> Vec<Entry> {
    let is_later = |status: &&TunableStatus| status.outcome == Outcome::RightUntilBoot;
    let (later, now): (Vec<_>, Vec<_>) = assessment.tunables.iter().partition(is_later);
    let findings = now.into_iter().chain(later);
    findings
        .filter_map(|status| Entry::finding(status, assessment))
        .collect()
}

/// Makes an entry for each thing that the user should know about the check itself.
pub(super) fn diagnostics(assessment: &Assessment) -> Vec<Entry> {
    let unit = assessment.target.unit.as_deref();
    let entry = |diagnostic: &Diagnostic| {
        let severity = match diagnostic {
            Diagnostic::OptionsIgnored { .. } | Diagnostic::NotPersisted(_) => Severity::Error,
            Diagnostic::NotInUnit(_) => Severity::Warning,
            Diagnostic::OptionInUnit(_) | Diagnostic::Persisted(_) => Severity::Notice,
        };
        let message = messages::diagnostic(diagnostic, unit);
        Entry::new(Kind::Usage, severity, &message, Vec::new())
    };
    assessment.diagnostics.iter().map(entry).collect()
}

/// Makes all entries for the journal; none when all is well. The command that fixes it stands last, at the end of its line.
pub(super) fn all(assessment: &Assessment, caller: Caller) -> Vec<Entry> {
    let mut entries = diagnostics(assessment);
    let mut findings = findings(assessment);
    if assessment.is_not_checked() && assessment.is_not_configured() {
        // A node before it joins has nothing to fix.
        findings.retain(|entry| entry.kind == Kind::Corrected);
        entries.extend(findings);
        return entries;
    }
    let needs_summary = match assessment.behavior {
        // If kubelet starts and sets all values itself, that is said already.
        KubeletBehavior::Sets { .. } => findings.iter().any(|it| it.kind != Kind::Overruled),
        _ => !findings.is_empty(),
    };
    let has_unknown_boot = assessment.unknown_next_boot().is_some();
    let severities = assessment
        .tunables
        .iter()
        .map(|it| it.severity(assessment.mode));
    // That the next boot is not known is worth a warning.
    let least = if has_unknown_boot {
        Severity::Warning
    } else {
        Severity::Notice
    };
    let severity = severities.fold(least, Severity::max);
    entries.extend(findings);
    if needs_summary || has_unknown_boot {
        let kind = if assessment.is_not_checked() {
            Kind::NotChecked
        } else {
            Kind::Summary
        };
        let message = messages::summary(assessment, caller);
        entries.push(Entry::new(kind, severity, &message, Vec::new()));
        if let Some(fix) = Fix::of(assessment, caller) {
            let command = fix.command().unwrap_or_default();
            let message = format!("{} {command}", messages::fix(&fix));
            entries.push(Entry::new(
                Kind::Fix,
                severity,
                message.trim_end(),
                Vec::new(),
            ));
        }
    }
    entries
}
