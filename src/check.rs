//! Reads the six tunables, finds which are wrong and whether they can be changed, and corrects them when asked.

use crate::sysctl::{ProcSys, SysctlError};
use crate::tunable::{TUNABLES, Tunable};

/// What was found of one tunable.
#[derive(Debug)]
pub struct Reading {
    /// The row of the table.
    pub tunable: &'static Tunable,
    /// The value that it has now.
    pub now: Result<i64, SysctlError>,
    /// The value that it had before it was corrected.
    pub was: Option<i64>,
    /// Why a wrong value cannot be changed.
    pub refused: Option<SysctlError>,
}

impl Reading {
    /// The value, where it is not the one that kubelet needs.
    pub fn wrong(&self) -> Option<i64> {
        match self.now {
            Ok(now) if now != self.tunable.expected => Some(now),
            _ => None,
        }
    }

    /// Whether it has the value that kubelet needs.
    pub fn is_right(&self) -> bool {
        matches!(self.now, Ok(now) if now == self.tunable.expected)
    }
}

/// One finding for each row of the table, in its order.
pub type Readings = [Reading; TUNABLES.len()];

/// Looks at all six, and at whether a wrong one could be changed; changes nothing.
pub fn check(proc_sys: &ProcSys) -> Readings {
    TUNABLES.each_ref().map(|tunable| {
        let mut finding = Reading {
            tunable,
            now: proc_sys.read(tunable.name),
            was: None,
            refused: None,
        };
        if finding.wrong().is_some() {
            finding.refused = proc_sys.could_write(tunable.name).err();
        }
        finding
    })
}

/// Corrects those that are wrong.
pub fn correct(proc_sys: &ProcSys, findings: &mut Readings) {
    for finding in findings {
        let Tunable { name, expected, .. } = *finding.tunable;
        let Some(wrong) = finding.wrong() else {
            continue;
        };
        finding.refused = proc_sys.write(name, expected).err();
        if finding.refused.is_some() {
            continue;
        }
        finding.now = proc_sys.read(name);
        finding.was = Some(wrong);
        if finding.wrong().is_some() {
            finding.refused = Some(SysctlError::not_taken(proc_sys, name, expected));
        }
    }
}
