//! Finds the way to fix it: for each purpose one command that fits who did it, or none where it has to be done elsewhere.

use std::fmt::Write as _;
use std::io;

use rustix::process::geteuid;

use super::image;
use crate::assessment::{Assessment, Mode, NextBoot, Outcome};
use crate::sysctl::SysctlError;

/// What is to be done, and the command that does it.
#[derive(Debug)]
pub(super) struct Remedy {
    pub(super) purpose: &'static str,
    /// None where nothing that can be typed here would help.
    pub(super) command: Option<String>,
}

/// What fixes all that is wrong now, or will be after the next boot.
pub(super) fn of(look: &Assessment) -> Vec<Remedy> {
    if look.is_not_checked() {
        return Vec::new();
    }
    let is_root = geteuid().is_root();
    if let Some(image) = &look.image {
        let is_wrong = look.count(Outcome::Wrong) + look.count(Outcome::Undecided) > 0;
        return (is_wrong && look.mode != Mode::Modify)
            .then(|| Remedy {
                purpose: "To fix it",
                command: Some(format!(
                    "{}{}",
                    if is_root { "" } else { "sudo " },
                    image::remedy(image)
                )),
            })
            .into_iter()
            .collect();
    }
    let refused = look
        .sights
        .iter()
        .filter(|sight| sight.outcome.is_amiss())
        .find_map(|sight| match &sight.finding.refused {
            Some(SysctlError::Io { source, .. }) => Some(source.kind()),
            _ => None,
        });
    match refused {
        Some(io::ErrorKind::ReadOnlyFilesystem) => {
            return vec![Remedy {
                purpose: "/proc/sys is read-only here, as in a container or under ProtectKernelTunables=. Fix it on the host",
                command: None,
            }];
        }
        Some(io::ErrorKind::PermissionDenied) if is_root => {
            return vec![Remedy {
                purpose: "root may not change kernel tunables here, as in a container. Fix it on the host",
                command: None,
            }];
        }
        _ => {}
    }
    let wrong_now =
        look.count(Outcome::Wrong) + look.count(Outcome::Undecided) + look.count(Outcome::Refused);
    let is_wrong_later = look.sights.iter().any(|sight| match sight.outcome {
        Outcome::Wrong | Outcome::Undecided | Outcome::RightUntilBoot | Outcome::Corrected => {
            matches!(sight.next, NextBoot::Wrong { .. })
        }
        _ => false,
    });
    let command = |options: &str| {
        let sudo = if is_root { "" } else { "sudo " };
        let mut command = format!("{sudo}kubelet-tunables {options}");
        if let (Some(unit), true) = (&look.unit, look.may_give_up && wrong_now > 0) {
            let unit = unit.strip_suffix(".service").unwrap_or(unit);
            // Of what a unit's name may have, this alone means something to a shell.
            let quote = if unit.contains('\\') { "'" } else { "" };
            let _ = write!(command, " && {sudo}systemctl restart {quote}{unit}{quote}");
        }
        Some(command)
    };
    let mut remedies = Vec::new();
    if wrong_now > 0 && (look.mode != Mode::Modify || !is_root) {
        remedies.push(Remedy {
            purpose: if is_wrong_later {
                "To fix it now (until reboot)"
            } else {
                "To fix it"
            },
            command: command("--modify"),
        });
    }
    // What was just done in vain is no remedy.
    if is_wrong_later && !look.failed_to_persist() {
        remedies.push(Remedy {
            purpose: "To fix it permanently",
            command: command("--modify --persist"),
        });
    }
    remedies
}
