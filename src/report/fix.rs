//! Finds how to fix it: one command, always of the same form, or none where nothing that is typed here would help.

use std::path::Path;

use crate::assessment::{Assessment, NextBoot, TunableStatus};
use crate::invocation::Caller;
use crate::verdict::State;

/// How to fix all that is wrong now, or after the next boot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fix {
    /// By this command.
    Command(String),
    /// By this command: the values are right, but not after the next boot.
    MakePermanent(String),
    /// By this command, once kubelet's own configuration is fixed.
    CommandAfter(String),
    /// On the host of this container.
    OnHost,
    /// Perhaps on a host: /proc/sys is read-only here.
    ReadOnly,
    /// Perhaps on a host: root is not allowed to change tunables here.
    NotPermitted,
}

impl Fix {
    /// Finds the fix; none if nothing is to be fixed, or the command was just run in vain.
    pub(super) fn of(assessment: &Assessment, caller: Caller) -> Option<Self> {
        if assessment.is_not_checked() && assessment.is_not_configured() {
            return None;
        }
        let is_wrong = |status: &TunableStatus| {
            matches!(status.state, State::Wrong | State::Stuck) && status.effect.needs_fix()
        };
        let is_wrong_later = |status: &TunableStatus| {
            matches!(status.next, NextBoot::Wrong { .. }) && status.effect_after_boot.needs_fix()
        };
        let wrong_now = assessment.count_if(is_wrong) > 0;
        if let Some(image) = &assessment.image {
            let directory = quoted(&image.path);
            return (wrong_now && !assessment.is_fixing)
                .then(|| Self::Command(command(assessment, &format!("--root {directory} "))));
        }
        if let Some(barrier) = barrier(assessment, caller) {
            return Some(barrier);
        }
        // What an ordinary user did in vain, root may do, and what a unit did, a shell.
        let was_tried = assessment.is_fixing && assessment.is_root && caller == Caller::Shell;
        let wrong_later = assessment.count_if(is_wrong_later) > 0;
        let wrong_now = wrong_now && !was_tried;
        (wrong_now || (wrong_later && !assessment.failed_to_persist()))
            .then(|| command(assessment, ""))
            .map(match () {
                () if assessment.is_not_checked() => Self::CommandAfter,
                () if wrong_now => Self::Command,
                () => Self::MakePermanent,
            })
    }

    /// Returns the command, if there is one.
    pub(super) fn command(&self) -> Option<&str> {
        match self {
            Self::Command(command) | Self::MakePermanent(command) | Self::CommandAfter(command) => {
                Some(command)
            }
            Self::OnHost | Self::ReadOnly | Self::NotPermitted => None,
        }
    }
}

/// Finds what keeps the command from helping.
fn barrier(assessment: &Assessment, caller: Caller) -> Option<Fix> {
    let mut stuck = assessment
        .tunables
        .iter()
        .filter(|it| it.effect.needs_fix());
    let refused = stuck.find_map(|status| status.reading.refused.as_ref())?;
    let (is_read_only, is_denied) = (refused.is_read_only(), refused.is_permission_denied());
    match (assessment.is_container, caller) {
        (true, _) if is_read_only || is_denied => Some(Fix::OnHost),
        // Only the unit's own view is read-only: the command works in a shell.
        (_, Caller::Unit { .. }) if is_read_only => None,
        _ if is_read_only => Some(Fix::ReadOnly),
        _ if is_denied && assessment.is_root => Some(Fix::NotPermitted),
        _ => None,
    }
}

fn command(assessment: &Assessment, root: &str) -> String {
    let sudo = if assessment.is_root { "" } else { "sudo " };
    format!("{sudo}kubelet-tunables {root}--modify --persist")
}

/// Quotes a path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(&byte);
    if text.bytes().all(is_plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (path, word) in [
            ("/mnt/image-1.0", "/mnt/image-1.0"),
            ("/mnt/my image", "'/mnt/my image'"),
            ("it's;rm", r"'it'\''s;rm'"),
            ("~/x", "'~/x'"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
