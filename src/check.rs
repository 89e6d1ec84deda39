//! Owns the judgement: the one loop over the table, and what it found.

use crate::sysctl::{ProcSys, SysctlError};
use crate::tunable::{TUNABLES, Tunable};

/// What is done about a tunable that is not as kubelet needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behavior {
    /// A mismatch is an error.
    Error,
    /// A mismatch is a warning.
    Warn,
    /// A mismatch is corrected.
    Modify,
    /// Kubelet will correct a mismatch itself, if it can.
    AsKubelet,
}

/// What was found of one tunable.
#[derive(Debug)]
pub enum Outcome {
    /// It has the value that kubelet needs.
    AsExpected,
    /// It has another value.
    Mismatch {
        /// The value it has.
        actual: i64,
    },
    /// It has another value, which kubelet will overwrite.
    Overruled {
        /// The value it has.
        actual: i64,
    },
    /// It had another value and now has the one that kubelet needs.
    Modified {
        /// The value it had.
        from: i64,
    },
    /// It could not be read or understood, so nothing is known of it.
    Unreadable(SysctlError),
    /// It has another value, and that could not be changed.
    Unwritable {
        /// The value it has.
        actual: i64,
        /// Why it could not be changed.
        error: SysctlError,
    },
}

/// One tunable and what was found of it.
#[derive(Debug)]
pub struct Finding {
    /// The row of the table.
    pub tunable: &'static Tunable,
    /// What was found.
    pub outcome: Outcome,
}

/// What was found of all six, and under which behaviour.
#[derive(Debug)]
pub struct Verdict {
    /// How a mismatch was to be treated.
    pub behavior: Behavior,
    /// One finding for each row of the table, in its order.
    pub findings: [Finding; TUNABLES.len()],
}

/// Looks at all six tunables, and with [`Behavior::Modify`] corrects those that differ.
pub fn check(proc_sys: &ProcSys, behavior: Behavior) -> Verdict {
    Verdict {
        behavior,
        findings: std::array::from_fn(|row| {
            let tunable = &TUNABLES[row];
            let outcome = match proc_sys.read(tunable.name) {
                Err(error) => Outcome::Unreadable(error),
                Ok(actual) if actual == tunable.expected => Outcome::AsExpected,
                Ok(actual) => match behavior {
                    Behavior::Error | Behavior::Warn => Outcome::Mismatch { actual },
                    Behavior::Modify => modify(proc_sys, tunable, actual),
                    Behavior::AsKubelet => match proc_sys.could_write(tunable.name) {
                        Ok(()) => Outcome::Overruled { actual },
                        Err(error) => Outcome::Unwritable { actual, error },
                    },
                },
            };
            Finding { tunable, outcome }
        }),
    }
}

fn modify(proc_sys: &ProcSys, tunable: &Tunable, from: i64) -> Outcome {
    if let Err(error) = proc_sys.write(tunable.name, tunable.expected) {
        return Outcome::Unwritable {
            actual: from,
            error,
        };
    }
    match proc_sys.read(tunable.name) {
        Err(error) => Outcome::Unreadable(error),
        Ok(now) if now == tunable.expected => Outcome::Modified { from },
        Ok(actual) => Outcome::Unwritable {
            actual,
            error: SysctlError::not_taken(proc_sys, tunable.name, tunable.expected),
        },
    }
}
