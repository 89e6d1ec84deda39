//! Decides the exit code.

use std::process::ExitCode;

use crate::assessment::{Assessment, Mode, Outcome, TargetInfo};

/// How the program ends, numbered as sysexits.h and systemd name it; of several the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: nothing known keeps kubelet from starting, or --warn was given.
    Success,
    /// 78: a tunable is wrong.
    Config,
    /// 74: a tunable could not be read or understood, which is not a pass.
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
            Self::Success => "no wrong value is known to stop kubelet (or --warn)",
            Self::Usage => "bad usage (in a shell only)",
            Self::Io => "a value could not be read, even with --warn",
            Self::NoPermission => "a wrong value cannot be changed (or made permanent)",
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

    /// The exit code of a look: non-zero if kubelet is known to fail because of a tunable, or if `--strict` or `--persist`
    /// ask for more.
    pub fn of(look: &Assessment) -> Self {
        if look.failed_to_persist() {
            return Self::NoPermission;
        }
        Self::of_tunables(look)
    }

    /// The same, whether the values could be made permanent or not.
    pub(crate) fn of_tunables(look: &Assessment) -> Self {
        if look.is_not_checked() {
            return Self::Success;
        }
        look.sights
            .iter()
            .map(|sight| Self::of_one(sight.outcome, look))
            .fold(Self::Success, Self::max)
    }

    fn of_one(outcome: Outcome, look: &Assessment) -> Self {
        match outcome {
            // What is started may be no kubelet, or one that does not see this /proc/sys.
            Outcome::Unreadable
                if matches!(look.told, TargetInfo::NotKnown(_)) && look.mode != Mode::Strict =>
            {
                Self::Success
            }
            Outcome::Unreadable => Self::Io,
            Outcome::Wrong | Outcome::Refused if look.mode == Mode::Warn => Self::Success,
            Outcome::Wrong => Self::Config,
            Outcome::Refused => Self::NoPermission,
            Outcome::Right
            | Outcome::RightUntilBoot
            | Outcome::Corrected
            | Outcome::WillBeCorrected
            | Outcome::Overwritten
            | Outcome::Ignored
            | Outcome::Undecided => Self::Success,
        }
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

    #[test]
    fn of_several_the_greatest_counts() {
        assert!(Exit::NoPermission > Exit::Io);
        assert!(Exit::Io > Exit::Config);
        assert!(Exit::Config > Exit::Success);
    }

    #[test]
    fn usage_is_claps_own() {
        assert_eq!(Exit::Usage.code(), 2);
    }
}
