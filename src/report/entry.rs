//! Owns what is said of one thing: its kind, its level, its sentence and its journal fields.

use log::Level;

use super::origin::{self, NextBoot};
use crate::boot::Boot;
use crate::check::{Behavior, Finding, Outcome};

/// What an entry is about. Each kind has an id of its own, which the journal knows as `MESSAGE_ID` and the message
/// catalog explains (`systemd/kubelet-tunables.catalog`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A tunable is wrong.
    Mismatch,
    /// A tunable was wrong and is corrected.
    Corrected,
    /// Of a tunable nothing is known.
    Unknown,
    /// A tunable is wrong and could not be changed.
    Refused,
    /// A tunable is right now and will be wrong after the next boot.
    Forecast,
    /// A tunable is wrong, and kubelet will overwrite it.
    Overruled,
    /// What it all comes to.
    Summary,
    /// The command line was not understood.
    Usage,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Mismatch,
        Self::Corrected,
        Self::Unknown,
        Self::Refused,
        Self::Forecast,
        Self::Overruled,
        Self::Summary,
        Self::Usage,
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
        }
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
    /// Puts a finding and what the next boot makes of it into words; nothing is said of a tunable that is right and
    /// stays so.
    pub(super) fn of(
        finding: &Finding,
        next: &NextBoot,
        behavior: Behavior,
        boot: &Boot,
    ) -> Option<Self> {
        let tunable = finding.tunable;
        let (name, needed) = (tunable.name, tunable.expected);
        let mut fields = Vec::new();
        let (kind, level, message) = match &finding.outcome {
            Outcome::AsExpected => {
                let NextBoot::Wrong { value, because, .. } = next else {
                    return None;
                };
                fields.push(("SYSCTL_ACTUAL", needed.to_string()));
                let forecast = format!(
                    "{name} is {needed} now, but the next boot sets it to {value} ({because})"
                );
                fields.extend(next_boot_source(next));
                (Kind::Forecast, Level::Warn, forecast)
            }
            Outcome::Mismatch { actual } => {
                let level = if behavior == Behavior::Warn {
                    Level::Warn
                } else {
                    Level::Error
                };
                let origin = boot.origin(tunable, *actual);
                fields.push(("SYSCTL_ACTUAL", actual.to_string()));
                fields.extend(origin::short(&origin).map(|source| ("SYSCTL_SOURCE", source)));
                let origin = origin::sentence(&origin, tunable, *actual);
                (
                    Kind::Mismatch,
                    level,
                    format!("{name} is {actual}, kubelet needs {needed} ({origin})"),
                )
            }
            Outcome::Modified { from } => {
                fields.push(("SYSCTL_ACTUAL", needed.to_string()));
                fields.push(("SYSCTL_PREVIOUS", from.to_string()));
                let lasting = match next {
                    NextBoot::Right => "and stays so after the next boot".to_string(),
                    NextBoot::Wrong { value, because, .. } => {
                        format!("until the next boot sets it to {value} ({because})")
                    }
                    NextBoot::Unknown(why) => {
                        format!("and what the next boot makes of it is not known: {why}")
                    }
                };
                fields.extend(next_boot_source(next));
                (
                    Kind::Corrected,
                    Level::Info,
                    format!("{name} was {from}, is now {needed} as kubelet needs, {lasting}"),
                )
            }
            Outcome::Overruled { actual } => {
                let origin = boot.origin(tunable, *actual);
                fields.push(("SYSCTL_ACTUAL", actual.to_string()));
                fields.extend(origin::short(&origin).map(|source| ("SYSCTL_SOURCE", source)));
                let origin = origin::sentence(&origin, tunable, *actual);
                (
                    Kind::Overruled,
                    Level::Info,
                    format!(
                        "{name} is {actual}, kubelet will set it to {needed} as protectKernelDefaults is off ({origin})"
                    ),
                )
            }
            Outcome::Unreadable(error) => {
                fields.push(("SYSCTL_ERROR", error.to_string()));
                (
                    Kind::Unknown,
                    Level::Error,
                    format!("{name} is not known: {error}"),
                )
            }
            Outcome::Unwritable { actual, error } => {
                let origin = boot.origin(tunable, *actual);
                fields.push(("SYSCTL_ACTUAL", actual.to_string()));
                fields.push(("SYSCTL_ERROR", error.to_string()));
                fields.extend(origin::short(&origin).map(|source| ("SYSCTL_SOURCE", source)));
                (
                    Kind::Refused,
                    Level::Error,
                    format!(
                        "{name} is {actual}, kubelet needs {needed}, and it cannot be changed: {error}"
                    ),
                )
            }
        };
        fields.push(("SYSCTL", name.to_string()));
        fields.push(("SYSCTL_EXPECTED", needed.to_string()));
        if let NextBoot::Wrong { value, .. } = next {
            fields.push(("SYSCTL_NEXT_BOOT", value.to_string()));
        }
        Some(Self {
            kind,
            level,
            message,
            fields,
        })
    }
}

/// Who sets what the next boot makes wrong, as the field that names the culprit.
fn next_boot_source(next: &NextBoot) -> Option<(&'static str, String)> {
    match next {
        NextBoot::Wrong { source, .. } => Some(("SYSCTL_SOURCE", source.clone()?)),
        NextBoot::Right | NextBoot::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::sysctl::SysctlError;
    use crate::tunable::TUNABLES;

    const CATALOG: &str = include_str!("../../systemd/kubelet-tunables.catalog");
    const README: &str = include_str!("../../README.md");

    /// The catalog's entries by id.
    fn catalog() -> BTreeMap<&'static str, &'static str> {
        CATALOG
            .split("\n-- ")
            .skip(1)
            .map(|entry| entry.split_once('\n').expect("a text under the id"))
            .collect()
    }

    /// An entry of each kind that speaks of a tunable.
    fn entries() -> Vec<Entry> {
        let error = || SysctlError::TooLong {
            path: "/proc/sys/kernel/panic".into(),
        };
        [
            Outcome::AsExpected,
            Outcome::Mismatch { actual: 0 },
            Outcome::Modified { from: 0 },
            Outcome::Overruled { actual: 0 },
            Outcome::Unreadable(error()),
            Outcome::Unwritable {
                actual: 0,
                error: error(),
            },
        ]
        .into_iter()
        .map(|outcome| {
            let tunable = &TUNABLES[2];
            let boot = Boot::new(Path::new("/nonexistent"));
            let next = NextBoot::Wrong {
                value: 0,
                because: "the kernel's default; no file sets it".to_string(),
                source: Some("the kernel's default".to_string()),
            };
            let finding = Finding { tunable, outcome };
            Entry::of(&finding, &next, Behavior::Error, &boot).expect("something to say")
        })
        .collect()
    }

    #[test]
    fn each_kind_has_its_catalog_entry_and_the_reverse() {
        let mut explained: Vec<_> = catalog().into_keys().collect();
        let mut said = Kind::ALL.map(Kind::message_id).to_vec();
        explained.sort_unstable();
        said.sort_unstable();
        assert_eq!(explained, said);
        for (id, text) in catalog() {
            for line in [
                "Subject: ",
                "Defined-By: kubelet-tunables",
                "Documentation: man:kubelet-tunables(8)",
            ] {
                assert!(text.contains(line), "{id}: {line}");
            }
        }
    }

    #[test]
    fn the_catalog_names_no_field_that_the_entry_lacks() {
        let catalog = catalog();
        for entry in entries() {
            let text = catalog[entry.kind.message_id()];
            for name in text.split('@').skip(1).step_by(2) {
                assert!(
                    entry.fields.iter().any(|(field, _)| *field == name),
                    "{:?} has no field {name}",
                    entry.kind
                );
            }
        }
        for kind in [Kind::Summary, Kind::Usage] {
            assert!(!catalog[kind.message_id()].contains('@'), "{kind:?}");
        }
    }

    #[test]
    fn each_entry_has_what_the_next_boot_makes_wrong() {
        for entry in entries() {
            let next: Vec<_> = entry
                .fields
                .iter()
                .filter(|(field, _)| *field == "SYSCTL_NEXT_BOOT")
                .map(|(_, value)| value.as_str())
                .collect();
            assert_eq!(next, ["0"], "{:?}", entry.kind);
        }
    }

    #[test]
    fn the_readme_lists_each_message_id() {
        for kind in Kind::ALL {
            let id = format!("| `{}` |", kind.message_id());
            assert!(README.contains(&id), "{kind:?}: {id}");
        }
    }
}
