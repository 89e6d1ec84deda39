//! Finds what set a tunable, as far as the files tell.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::setting::{Effect, Place};
use super::suspect::SYSCTL_CONF;
use super::sysctl_d::Assignment;
use super::{Boot, FILE_LIMIT, ReadError, When};
use crate::tunable::{Tunable, kernel_parse};

/// The setter of a tunable, as far as the files tell.
#[derive(Debug)]
pub enum Origin<'a> {
    /// A line of sysctl.d.
    File(&'a Assignment),
    /// The kernel started with it.
    Kernel {
        /// The parameter of the kernel command line that set it; without one it is the kernel's own default.
        parameter: Option<String>,
        /// A line that sets another value.
        unapplied: Option<Unapplied<'a>>,
    },
    /// Neither the kernel nor a file: it was changed since boot.
    SinceBoot {
        /// A line that sets another value.
        unapplied: Option<&'a Assignment>,
        /// The parameter of the kernel command line that set it otherwise; without one the kernel's own default differs.
        parameter: Option<String>,
    },
    /// A file that might have set it could not be read.
    Unknown(&'a ReadError),
}

/// A line that has no effect on a tunable, which is as the kernel started with it.
#[derive(Debug)]
pub struct Unapplied<'a> {
    /// The line.
    pub line: &'a Assignment,
    /// Why it may have no effect.
    pub why: WhyUnapplied,
}

/// Why a line has no effect on a tunable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyUnapplied {
    /// The kernel refuses its text.
    Refused,
    /// Its file was written since the boot, so it was hardly applied then.
    FileIsNewer,
    /// Its file was there at boot: the value was changed back since, or the line was not applied.
    FileIsOlder,
    /// The times of its file do not tell.
    Unclear,
    /// Its file is /etc/sysctl.conf, which systemd-sysctl does not read.
    NotRead,
}

impl Boot {
    /// Finds what made the tunable the `actual` that it is now, or what makes it the one that the next boot sets.
    pub fn origin(&self, tunable: &Tunable, actual: i64, when: When) -> Origin<'_> {
        let (mut unreadable, mut applied, mut refused) = (None, None, None);
        // What the kernel starts with.
        let (mut start, mut parameter) = (tunable.default, None);
        for setting in self.settings(tunable, when).rev() {
            match (setting.effect, setting.place) {
                (Effect::Sets(value), Place::Line(line)) => {
                    if applied.is_none() && value == actual {
                        return Origin::File(&line.assignment);
                    }
                    applied = applied.or(Some(&line.assignment));
                }
                (Effect::Refused, Place::Line(line)) => {
                    refused = refused.or(Some(&line.assignment));
                }
                (Effect::Unread(problem), _) => unreadable = unreadable.or(Some(problem)),
                (Effect::Sets(value), place) => {
                    let is_parameter = matches!(place, Place::CommandLine { .. });
                    parameter = is_parameter.then(|| setting.text().into_owned());
                    start = value;
                    break;
                }
                _ => {}
            }
        }
        if let Some(problem) = unreadable {
            return Origin::Unknown(problem);
        }
        let unapplied = applied.or(refused);
        if start != actual {
            return Origin::SinceBoot {
                unapplied,
                parameter,
            };
        }
        let unapplied = unapplied.map(|line| {
            let why = self.why_unapplied(tunable, line);
            Unapplied { line, why }
        });
        Origin::Kernel {
            parameter,
            unapplied: unapplied.or_else(|| self.in_sysctl_conf(tunable, actual)),
        }
    }

    /// Finds a line of the file that sysctl(8) reads and systemd-sysctl does not, if it sets another value.
    fn in_sysctl_conf(&self, tunable: &Tunable, actual: i64) -> Option<Unapplied<'_>> {
        let line = self.other_line(SYSCTL_CONF, tunable)?;
        let why = WhyUnapplied::NotRead;
        (kernel_parse(tunable, &line.text) != Some(actual)).then_some(Unapplied { line, why })
    }

    fn why_unapplied(&self, tunable: &Tunable, line: &Assignment) -> WhyUnapplied {
        if kernel_parse(tunable, &line.text).is_none() {
            return WhyUnapplied::Refused;
        }
        let file = self.root.open(&line.path).and_then(|file| file.metadata());
        let stamps = file.ok().and_then(|file| {
            let stamp = |seconds: i64| Some(Duration::from_secs(u64::try_from(seconds).ok()?));
            Some((stamp(file.mtime())?, stamp(file.ctime())?))
        });
        match (stamps, self.booted_at()) {
            (Some((modified, changed)), Some(booted)) => age(modified, changed, booted),
            _ => WhyUnapplied::Unclear,
        }
    }

    /// Returns when the machine was booted, since the epoch. Source: `proc_uptime(5)`.
    fn booted_at(&self) -> Option<Duration> {
        let mut text = Vec::new();
        self.root.read("proc/uptime", FILE_LIMIT, &mut text).ok()?;
        let seconds = text.split(|&byte| byte == b'.').next()?;
        let up = str::from_utf8(seconds).ok()?.parse().ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        now.checked_sub(Duration::from_secs(up))
    }
}

/// Compares the times of a file, of its content and of its inode, with the boot. A package or `cp -p` brings old content
/// at a late time.
fn age(modified: Duration, changed: Duration, booted: Duration) -> WhyUnapplied {
    /// The clock may have been set in the first minute after the boot.
    const MARGIN: Duration = Duration::from_secs(60);
    if modified > booted + MARGIN {
        WhyUnapplied::FileIsNewer
    } else if changed + MARGIN < booted {
        WhyUnapplied::FileIsOlder
    } else {
        WhyUnapplied::Unclear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamps_of_a_file_tell_whether_it_was_there_at_boot() {
        let at = Duration::from_secs;
        for (modified, changed, why) in [
            (2000, 2000, WhyUnapplied::FileIsNewer),
            (500, 500, WhyUnapplied::FileIsOlder),
            (500, 2000, WhyUnapplied::Unclear),
            (1030, 1030, WhyUnapplied::Unclear),
            (980, 980, WhyUnapplied::Unclear),
        ] {
            let booted = at(1000);
            assert_eq!(
                age(at(modified), at(changed), booted),
                why,
                "{modified} {changed}"
            );
        }
    }
}
