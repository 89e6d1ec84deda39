//! Owns the exit codes: one type, one conversion.

use std::process::ExitCode;

use crate::check::{Behavior, Outcome, Verdict};

/// How the program ends, numbered as sysexits.h and systemd name it; of several the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: kubelet's check will pass, or a mismatch was only to be warned of.
    Success,
    /// 78: a tunable is wrong.
    Config,
    /// 74: of a tunable nothing is known, which is not a pass.
    Io,
    /// 77: a tunable is wrong and could not be changed.
    NoPermission,
    /// 2: bad usage.
    Usage,
}

impl Exit {
    /// All of them, by their numbers.
    pub const ALL: [Self; 5] = [
        Self::Success,
        Self::Usage,
        Self::Io,
        Self::NoPermission,
        Self::Config,
    ];

    /// What systemd calls it in its own log line. Source: systemd.exec(5), "Process Exit Codes".
    pub fn systemd_name(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Usage => "INVALIDARGUMENT",
            Self::Io => "IOERR",
            Self::NoPermission => "NOPERM",
            Self::Config => "CONFIG",
        }
    }

    /// What it says of the tunables, as the help, the README and the man page have it.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "kubelet's check will pass (or --warn, and a value is wrong)",
            Self::Usage => "the command line was not understood",
            Self::Io => "a value could not be read or understood, so nothing is known of it",
            Self::NoPermission => "a value is wrong and could not be changed",
            Self::Config => "a value is wrong",
        }
    }

    /// The number, as `$?` shows it.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Usage => 2,
            Self::Io => 74,
            Self::NoPermission => 77,
            Self::Config => 78,
        }
    }

    fn of(outcome: &Outcome, behavior: Behavior) -> Self {
        match outcome {
            Outcome::AsExpected | Outcome::Modified { .. } | Outcome::Overruled { .. } => {
                Self::Success
            }
            Outcome::Mismatch { .. } if behavior == Behavior::Warn => Self::Success,
            Outcome::Mismatch { .. } => Self::Config,
            Outcome::Unreadable(_) => Self::Io,
            Outcome::Unwritable { .. } => Self::NoPermission,
        }
    }
}

impl From<&Verdict> for Exit {
    fn from(verdict: &Verdict) -> Self {
        verdict
            .findings
            .iter()
            .map(|finding| Self::of(&finding.outcome, verdict.behavior))
            .fold(Self::Success, Self::max)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Finding;
    use crate::sysctl::SysctlError;
    use crate::tunable::TUNABLES;

    fn error() -> SysctlError {
        SysctlError::TooLong {
            path: "/proc/sys/kernel/panic".into(),
        }
    }

    fn verdict(behavior: Behavior, outcomes: Vec<Outcome>) -> Verdict {
        let mut outcomes = outcomes.into_iter();
        Verdict {
            behavior,
            findings: std::array::from_fn(|row| Finding {
                tunable: &TUNABLES[row],
                outcome: outcomes.next().unwrap_or(Outcome::AsExpected),
            }),
        }
    }

    #[test]
    fn each_outcome_has_its_code() {
        let mismatch = || Outcome::Mismatch { actual: 0 };
        let unwritable = || Outcome::Unwritable {
            actual: 0,
            error: error(),
        };
        let unreadable = || Outcome::Unreadable(error());
        let cases = [
            ("all right", Behavior::Error, vec![], 0),
            ("wrong", Behavior::Error, vec![mismatch()], 78),
            ("wrong, warned of", Behavior::Warn, vec![mismatch()], 0),
            (
                "corrected",
                Behavior::Modify,
                vec![Outcome::Modified { from: 0 }],
                0,
            ),
            ("unreadable", Behavior::Error, vec![unreadable()], 74),
            (
                "unreadable, warned of",
                Behavior::Warn,
                vec![unreadable()],
                74,
            ),
            ("unwritable", Behavior::Modify, vec![unwritable()], 77),
            (
                "74 before 78",
                Behavior::Error,
                vec![mismatch(), unreadable(), mismatch()],
                74,
            ),
            (
                "77 before 74",
                Behavior::Modify,
                vec![unreadable(), unwritable(), unreadable()],
                77,
            ),
        ];
        for (case, behavior, outcomes, code) in cases {
            assert_eq!(
                Exit::from(&verdict(behavior, outcomes)).code(),
                code,
                "{case}"
            );
        }
    }

    #[test]
    fn usage_is_claps_own() {
        assert_eq!(Exit::Usage.code(), 2);
    }
}
