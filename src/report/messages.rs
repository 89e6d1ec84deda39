//! Builds the sentences of findings and summaries; `errors` has the reasons in them.

use std::fmt::Write as _;

use super::errors::{not_known, persist_error, sysctl_error, unit_error, unread, without_number};
use super::fix::Fix;
use crate::assessment::{Assessment, Diagnostic, Image, NextBoot, Outcome, TunableStatus};
use crate::boot::{Assignment, Origin, ReadError, Suspect, Unapplied, WhyUnapplied};
use crate::invocation::Caller;
use crate::kubelet::{Protection, SetBy};
use crate::persist::Persisted;
use crate::sysctl::SysctlError;
use crate::systemd::NextStart;
use crate::target::TargetInfo;
use crate::verdict::{Effect, Exit, KubeletBehavior, Mode};

/// Characters of a Status line at most; `systemctl status` cuts what exceeds the terminal.
const STATUS_LIMIT: usize = 120;

/// Says what is known of one tunable; none if it is right and stays so.
pub(super) fn finding(status: &TunableStatus, is_image: bool) -> Option<String> {
    if status.outcome == Outcome::Right {
        return None;
    }
    let is = if is_image { "will be" } else { "is" };
    let reading = &status.reading;
    let (name, needed) = (reading.tunable.name, reading.tunable.expected);
    let (now, error) = match &reading.now {
        Ok(now) => (*now, reading.refused.as_ref()),
        Err(error) => (needed, Some(error)),
    };
    let error = error.map(sysctl_error).unwrap_or_default();
    let why = match &status.origin {
        Some(origin) => which_default(origin, now) + &because(origin, status, now),
        None => String::new(),
    };
    let next = next_boot(status);
    let was = reading.was.unwrap_or_default();
    Some(match status.outcome {
        Outcome::Right | Outcome::RightUntilBoot => format!("{name} is {needed} now, but {next}"),
        Outcome::Corrected => {
            format!("{name} was {was} and is now {needed}, as kubelet needs; {next}")
        }
        Outcome::WillBeCorrected => format!(
            "{name} is {now}, and the check will set it to {needed} before kubelet starts ({why})"
        ),
        Outcome::Overwritten if reading.now.is_err() => format!(
            "the value of {name} cannot be predicted ({error}), and kubelet will set it to {needed} because protectKernelDefaults is off"
        ),
        Outcome::Overwritten => format!(
            "{name} {is} {now}, and kubelet will set it to {needed} because protectKernelDefaults is off ({why})"
        ),
        Outcome::Ignored => format!(
            "{name} is {now} instead of {needed} and cannot be changed, which kubelet ignores in a user namespace: {error}"
        ),
        Outcome::Undecided | Outcome::Refused if reading.refused.is_some() => {
            format!("{name} is {now}, kubelet needs {needed}, and it cannot be changed: {error}")
        }
        Outcome::Wrong | Outcome::Undecided | Outcome::Refused => {
            format!("{name} {is} {now}, kubelet needs {needed} ({why})")
        }
        Outcome::Unreadable if is_image => {
            format!("the value of {name} cannot be predicted: {error}")
        }
        Outcome::Unreadable => format!("{name} cannot be checked: {error}"),
    })
}

/// Says what the next boot sets, and what will set it.
fn next_boot(status: &TunableStatus) -> String {
    match &status.next {
        NextBoot::Right => "it is also set at boot".to_string(),
        NextBoot::Unknown(error) => unknown_next_boot(error),
        NextBoot::Wrong { value, origin } => {
            let because = match origin {
                Origin::File(line) => place(line) + &overridden(line),
                origin => because(origin, status, *value),
            };
            format!("the next boot sets it to {value} ({because})")
        }
    }
}

fn unknown_next_boot(error: &ReadError) -> String {
    format!(
        "the check cannot tell what the next boot sets: {}",
        unread(error)
    )
}

/// Says which of the two values is the kernel's default, where that follows what kubelet needs.
fn which_default(origin: &Origin, actual: i64) -> String {
    match origin {
        Origin::Kernel {
            parameter: None, ..
        } => format!("{actual} is "),
        _ => String::new(),
    }
}

/// Says what set a tunable, such as "set to 0 by /etc/sysctl.d/99-custom.conf:3".
fn because(origin: &Origin, status: &TunableStatus, actual: i64) -> String {
    let mut text = match origin {
        Origin::File(line) => format!("set to {actual} by {}{}", place(line), overridden(line)),
        Origin::Kernel {
            parameter,
            unapplied,
        } => {
            let by = match parameter {
                Some(word) => format!("set by {word} on the kernel command line"),
                None => "the kernel's default".to_string(),
            };
            match unapplied {
                None if parameter.is_some() => by,
                None => format!("{by}; no file sets it"),
                Some(it) => format!("{by}; {}", not_applied(it)),
            }
        }
        Origin::SinceBoot {
            unapplied,
            parameter,
        } => {
            let but = match (unapplied, parameter) {
                (Some(line), _) => sets(line),
                (None, Some(word)) => format!("the kernel command line has {word}"),
                (None, None) => "no file sets it".to_string(),
            };
            format!("changed since boot, by hand or by another program; {but}")
        }
        Origin::Unknown(error) => format!("unknown origin: {}", unread(error)),
    };
    for suspect in &status.suspects {
        let runs = if *suspect == Suspect::Tuned {
            " is running and"
        } else {
            ""
        };
        let _ = write!(text, "; {}{runs} may have set it", self::suspect(suspect));
    }
    if let Some(parameter) = &status.parameter_without_prefix {
        let _ = write!(
            text,
            "; {parameter} on the kernel command line has no effect: it must be sysctl.{parameter}"
        );
    }
    text
}

/// Says why a line does not show in the tunable.
fn not_applied(Unapplied { line, why }: &Unapplied) -> String {
    let (place, value) = (place(line), value_of(line));
    match why {
        WhyUnapplied::Refused => {
            format!("{place} sets it to \"{value}\", but the kernel rejects that value")
        }
        WhyUnapplied::FileIsNewer => {
            format!("{place} sets it to {value}, but was written after boot and is not applied yet")
        }
        WhyUnapplied::FileIsOlder => format!(
            "{place} sets it to {value}: something changed the value after boot, or the file was not applied at boot"
        ),
        WhyUnapplied::Unclear => format!(
            "{place} sets it to {value}, but was not applied, or something has changed the value since"
        ),
        WhyUnapplied::NotRead => {
            format!("{place} sets it to {value}, but systemd does not read that file")
        }
    }
}

/// Names what may have set a tunable.
pub(super) fn suspect(suspect: &Suspect) -> String {
    match suspect {
        Suspect::Tuned => "tuned".to_string(),
        Suspect::File {
            program,
            path,
            line,
        } => format!("{program} ({}:{line})", path.display()),
    }
}

/// Names what set a tunable and no more, for a field.
pub(super) fn source(origin: &Origin) -> Option<String> {
    match origin {
        Origin::File(line) => Some(place(line)),
        Origin::Kernel {
            parameter: Some(word),
            ..
        } => Some(format!("kernel command line: {word}")),
        Origin::Kernel {
            parameter: None, ..
        } => Some("the kernel's default".to_string()),
        Origin::SinceBoot { .. } => Some("changed since boot".to_string()),
        Origin::Unknown(_) => None,
    }
}

fn place(line: &Assignment) -> String {
    format!("{}:{}", line.path.display(), line.line)
}

fn overridden(line: &Assignment) -> String {
    line.overridden.map_or(String::new(), |earlier| {
        format!(", which overrides line {earlier}")
    })
}

fn sets(line: &Assignment) -> String {
    format!("{} sets it to {}", place(line), value_of(line))
}

/// Returns the value that a line sets, as it is written there.
pub(super) fn value_of(line: &Assignment) -> String {
    const SHOWN: usize = 20;
    let text = String::from_utf8_lossy(&line.text);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

/// Sums up: whether kubelet starts, then why.
pub(super) fn summary(assessment: &Assessment, caller: Caller) -> String {
    let mut text = if assessment.is_not_checked() {
        not_checked(assessment)
    } else if assessment.image.is_some() {
        of_image(assessment)
    } else if assessment.blocking() > 0 {
        blocked(assessment, caller)
    } else {
        not_blocked(assessment)
    };
    if let Some(error) = assessment.unknown_next_boot() {
        let _ = write!(text, ". But {}", unknown_next_boot(error));
    }
    text
}

/// Says that kubelet will fail by itself, and what else is wrong.
fn not_checked(assessment: &Assessment) -> String {
    let why = setting(&assessment.target.info).unwrap_or_default();
    let all = assessment.tunables.len();
    let rest = match assessment.not_right() {
        0 => return why,
        _ if assessment.is_not_configured() => return why,
        1 => format!("1 of {all} is wrong"),
        wrong => format!("{wrong} of {all} are wrong"),
    };
    format!("{why}. Fix that first, then the kernel tunables: {rest}")
}

/// Says that kubelet will fail, or may.
fn blocked(assessment: &Assessment, caller: Caller) -> String {
    let what = what_is_wrong(assessment);
    let is_shell = caller == Caller::Shell;
    let fails = assessment.count_if(|status| matches!(status.effect, Effect::Fails(_))) > 0;
    let lead = match (fails, assessment.mode) {
        (true, Mode::Strict) => return strict(assessment, is_shell, &what),
        (false, _) if is_shell => "kubelet may fail",
        (false, _) => "Starting kubelet, but it may fail",
        _ if is_shell && is_kubelet(assessment) => "kubelet will not start",
        _ if is_shell => "With protectKernelDefaults on, kubelet will not start",
        _ if assessment.exit_of_tunables() != Exit::Success => "kubelet is not started",
        // Whether it protects is not known.
        _ if assessment.behavior == KubeletBehavior::Assumed => "Starting kubelet, but it may fail",
        _ => "Starting kubelet (--warn), but it will fail",
    };
    let is_read_only = |status: &TunableStatus| {
        let refused = status.reading.refused.as_ref();
        refused.is_some_and(SysctlError::is_read_only)
    };
    let view = if !is_shell && !assessment.is_container && assessment.count_if(is_read_only) > 0 {
        ". /proc/sys is read-only in this unit (ProtectKernelTunables=, ReadOnlyPaths= or a container)"
    } else {
        ""
    };
    let no_kubelet = match (&assessment.target.info, is_shell, assessment.is_root) {
        (TargetInfo::None, true, true) => ". There is no kubelet.service here to check against",
        (TargetInfo::None, true, false) => ". Run it as root to check against this node's kubelet",
        _ => "",
    };
    format!("{lead}: {what}{}{view}{no_kubelet}", and_why(assessment))
}

fn strict(assessment: &Assessment, is_shell: bool, what: &str) -> String {
    let text = if is_shell {
        format!("{what}, and --strict is set, so this is an error")
    } else {
        format!("kubelet is not started (--strict): {what}")
    };
    match setting(&assessment.target.info) {
        Some(why) if assessment.behavior == KubeletBehavior::FailsFirst => format!("{text}. {why}"),
        _ => text,
    }
}

fn is_kubelet(assessment: &Assessment) -> bool {
    matches!(assessment.target.info, TargetInfo::Kubelet(_))
}

/// Says why kubelet minds, such as ", and protectKernelDefaults is true in /var/lib/kubelet/config.yaml:4".
fn and_why(assessment: &Assessment) -> String {
    let Some(setting) = setting(&assessment.target.info) else {
        return String::new();
    };
    let is_undecided = assessment.count(Outcome::Undecided) > 0;
    if is_undecided && matches!(assessment.behavior, KubeletBehavior::Sets { .. }) {
        return format!(
            ", {setting}, and whether kubelet ignores that in a user namespace depends on its version (feature gate KubeletInUserNamespace)"
        );
    }
    if assessment.blocking() == assessment.count(Outcome::Unreadable) {
        // Whatever it was configured to do.
        return ", and kubelet has to read all of them".to_string();
    }
    format!(", and {setting}")
}

/// Says that kubelet will start.
fn not_blocked(assessment: &Assessment) -> String {
    let all = assessment.tunables.len();
    let count = |outcome| assessment.count(outcome);
    let overwritten = count(Outcome::Overwritten);
    let will_be_corrected = count(Outcome::WillBeCorrected);
    let corrected = count(Outcome::Corrected);
    let until_boot = count(Outcome::RightUntilBoot);
    let values = format!("All {all} kernel tunables have the values that kubelet needs");
    let is_lasting = assessment.count_if(|it| !matches!(it.next, NextBoot::Right)) == 0;
    if overwritten > 0 {
        let setting = setting(&assessment.target.info).unwrap_or_default();
        format!(
            "kubelet will start and change {overwritten} of {all} kernel tunables itself: {setting}"
        )
    } else if count(Outcome::Ignored) > 0 {
        "kubelet will start: in a user namespace it ignores values that it cannot change"
            .to_string()
    } else if will_be_corrected > 0 {
        format!(
            "kubelet will start: the check in the unit corrects {will_be_corrected} of {all} kernel tunables first"
        )
    } else if corrected > 0 && assessment.failed_to_persist() {
        format!("Corrected {corrected} of {all} kernel tunables, but only until the next boot")
    } else if corrected > 0 {
        format!("Corrected {corrected} of {all} kernel tunables. kubelet can start now")
    } else if until_boot > 0 {
        format!("{values} now, but {until_boot} will be wrong after the next boot")
    } else if is_lasting {
        format!("{values}, now and after the next boot")
    } else {
        values
    }
}

/// Says what is wrong, such as "2 of 6 kernel tunables are wrong, 1 cannot be checked".
fn what_is_wrong(assessment: &Assessment) -> String {
    let count = |outcome| assessment.count(outcome);
    let wrong = count(Outcome::Wrong) + count(Outcome::Undecided);
    let refused = count(Outcome::Refused);
    let is = |count| if count == 1 { "is" } else { "are" };
    let parts = [
        (wrong, format!("{} wrong", is(wrong))),
        (
            refused,
            format!("{} wrong and cannot be changed", is(refused)),
        ),
        (count(Outcome::Unreadable), "cannot be checked".to_string()),
    ];
    counted(&parts, assessment.tunables.len())
}

/// Lists counts with what each is, the first of them "of 6 kernel tunables".
fn counted(parts: &[(usize, String)], all: usize) -> String {
    let mut of_all = format!(" of {all} kernel tunables");
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts = parts.map(|(count, what)| format!("{count}{} {what}", std::mem::take(&mut of_all)));
    parts.collect::<Vec<_>>().join(", ")
}

/// Sums up the first boot of an image.
fn of_image(assessment: &Assessment) -> String {
    let all = assessment.tunables.len();
    let unknown = assessment.count(Outcome::Unreadable);
    let wrong = assessment.blocking() - unknown;
    let boot = "after the first boot of this image";
    let setting = setting(&assessment.target.info);
    let set = assessment.count(Outcome::Overwritten);
    if wrong + unknown == 0 && set > 0 {
        let setting = setting.unwrap_or_default();
        return format!(
            "kubelet will start {boot} and change {set} of {all} kernel tunables itself: {setting}"
        );
    }
    if wrong + unknown == 0 {
        return format!("All {all} kernel tunables will have the values that kubelet needs {boot}");
    }
    let parts = [
        (wrong, "will be wrong".to_string()),
        (unknown, "cannot be predicted".to_string()),
    ];
    let what = counted(&parts, all);
    if assessment.mode == Mode::Strict {
        return format!("{what} {boot}, and --strict is set, so this is an error");
    }
    let behavior = assessment.behavior;
    let may_start = wrong == 0
        || matches!(
            behavior,
            KubeletBehavior::Unknown | KubeletBehavior::Undetermined
        );
    let lead = match (is_kubelet(assessment), may_start) {
        (true, true) => "kubelet may fail",
        (true, false) => "kubelet will not start",
        (false, true) => "With protectKernelDefaults on, kubelet may not start",
        (false, false) => "With protectKernelDefaults on, kubelet will not start",
    };
    let because = setting.map_or(String::new(), |setting| format!(", and {setting}"));
    format!("{lead} {boot}: {what}{because}")
}

/// Says what the prediction of an image rests on, and what an image cannot tell.
pub(super) fn prediction(image: &Image) -> String {
    let kernel = &image.kernel;
    let release = match (&kernel.kernel, &kernel.config) {
        (Err(error), _) => format!(
            "The check cannot tell what its kernel sets: {}.",
            unread(error)
        ),
        (Ok(None), _) => {
            "The image has no kernel, so the defaults of a mainline kernel are assumed.".to_string()
        }
        (Ok(Some(release)), None) => format!(
            "The newest kernel in the image is {release}. Its configuration is missing, so the defaults of a mainline kernel are assumed."
        ),
        (Ok(Some(release)), Some(config)) => format!(
            "The newest kernel in the image is {release}, built with {}.",
            config.display()
        ),
    };
    let command_line = match &kernel.cmdline {
        Err(error) => {
            format!(
                "The check cannot tell what its kernel command line sets: {}.",
                unread(error)
            )
        }
        Ok(None) => "There is no /etc/kernel/cmdline, so an empty kernel command line is assumed."
            .to_string(),
        Ok(Some(path)) => format!("Its command line is that of {}.", path.display()),
    };
    format!(
        "{release} {command_line} The check cannot know what a boot loader adds to the command line, or what an initrd, tuned or configuration management will set."
    )
}

/// Says what protectKernelDefaults is and what set it, such as "protectKernelDefaults is true in
/// /var/lib/kubelet/config.yaml:14"; or why that is not known, or does not matter.
pub(super) fn setting(info: &TargetInfo) -> Option<String> {
    let value = |value: bool, by: &SetBy| {
        let place = match by {
            SetBy::Default => "by default".to_string(),
            SetBy::Flag(word) => format!("by kubelet's flag {word}"),
            SetBy::File { path, line } => format!("in {}:{line}", path.display()),
        };
        format!("protectKernelDefaults is {value} {place}")
    };
    let unknown =
        |why: &str| format!("the check cannot tell whether protectKernelDefaults is on: {why}");
    Some(match info {
        TargetInfo::NotAsked | TargetInfo::None => return None,
        TargetInfo::NotKnown(why) => unknown(&not_known(why)),
        TargetInfo::NotStarted { unit, why } => {
            format!("systemd will not start {unit}: {}", unit_error(why))
        }
        TargetInfo::Kubelet(kubelet) => match &kubelet.protection {
            Protection::On(by) => value(true, by),
            Protection::Off(by) => value(false, by),
            Protection::RunsOnce(word) => {
                format!("old versions of kubelet do not check their kernel tunables with {word}")
            }
            Protection::Unknown(why) => unknown(&without_number(&why.to_string())),
            Protection::Fails(why) => {
                let why = without_number(&why.to_string());
                format!("kubelet will fail for another reason: {why}")
            }
            Protection::NotThereYet(path) => {
                format!(
                    "kubelet is not configured yet: {} does not exist",
                    path.display()
                )
            }
        },
    })
}

/// Says what the user should know about the check itself.
pub(super) fn diagnostic(diagnostic: &Diagnostic, unit: Option<&str>) -> String {
    match diagnostic {
        Diagnostic::OptionsIgnored { complaint, file } => {
            let place = match file {
                Some(file) => format!("KUBELET_TUNABLES_ARGS in {}", file.display()),
                None => "KUBELET_TUNABLES_ARGS or the drop-in".to_string(),
            };
            format!("The options in {place} are ignored: {complaint}. See kubelet-tunables --help")
        }
        Diagnostic::OptionInUnit(option) => {
            format!(
                "{} runs the check with {option}",
                unit.unwrap_or("The unit")
            )
        }
        Diagnostic::NotInUnit(unit) => format!("The check does not run in {unit}"),
        Diagnostic::Persisted(Persisted { file: None, .. }) => {
            "Nothing to write: the next boot already sets the right values".to_string()
        }
        Diagnostic::Persisted(Persisted {
            file: Some(file),
            removed,
            overridden,
        }) => {
            let mut text = format!("Wrote {}", file.display());
            if !overridden.is_empty() {
                let lines = overridden
                    .iter()
                    .map(|(path, line)| format!("{}:{line}", path.display()));
                let _ = write!(text, ", which overrides {}", listed(lines.collect()));
            }
            if !removed.is_empty() {
                let files = removed.iter().map(|path| path.display().to_string());
                let _ = write!(
                    text,
                    "; removed {}, which it replaces",
                    listed(files.collect())
                );
            }
            text
        }
        Diagnostic::NotPersisted(error) => {
            format!("The values are not permanent: {}", persist_error(error))
        }
    }
}

/// Lists things, such as "a, b and c".
fn listed(mut things: Vec<String>) -> String {
    let last = things.pop().unwrap_or_default();
    if things.is_empty() {
        last
    } else {
        format!("{} and {last}", things.join(", "))
    }
}

/// Says how to fix it: a sentence that ends before the command, if there is one.
pub(super) fn fix(fix: &Fix) -> &'static str {
    match fix {
        Fix::Command(_) => "To fix it, run:",
        Fix::MakePermanent(_) => "To make the values permanent, run:",
        Fix::CommandAfter(_) => "To fix the kernel tunables, run:",
        Fix::OnHost => "This is a container: fix the values on the host",
        Fix::ReadOnly => {
            "/proc/sys is read-only here. If this is a container, fix the values on the host"
        }
        Fix::NotPermitted => {
            "root is not allowed to change kernel tunables here. If this is a container, fix the values on the host"
        }
    }
}

/// Says what systemd does next with the unit; none if that needs no words. A command stands alone behind the sentence.
pub(super) fn next_start(unit: &str, next: &NextStart) -> Option<(String, Option<String>)> {
    let name = unit.strip_suffix(".service").unwrap_or(unit);
    // Of what a unit's name may have, this alone means something to a shell.
    let quote = if name.contains('\\') { "'" } else { "" };
    let name = format!("{quote}{name}{quote}");
    match next {
        NextStart::Running | NextStart::Starting => None,
        NextStart::Retries { within } => {
            let seconds = within.as_secs() + u64::from(within.subsec_nanos() > 0);
            let s = if seconds == 1 { "" } else { "s" };
            Some((
                format!("{unit} starts by itself within {seconds} second{s}"),
                None,
            ))
        }
        NextStart::GivenUp => Some((
            format!("systemd has stopped trying to start {unit}. To start it, run:"),
            Some(format!(
                "systemctl reset-failed {name} && systemctl start {name}"
            )),
        )),
        NextStart::Stopped => Some((
            format!("{unit} is not running. To start it, run:"),
            Some(format!("systemctl start {name}")),
        )),
    }
}

/// Says on the Status line why kubelet is held back and what to type, in at most [`STATUS_LIMIT`] characters.
pub(super) fn status(assessment: &Assessment, fix: Option<&Fix>) -> String {
    let mut blocking = assessment
        .tunables
        .iter()
        .filter(|it| it.effect.blocks_kubelet());
    let reason = blocking.next().map_or(String::new(), reason_in_short);
    let mut rest = match blocking.count() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let _ = match fix {
        None => Ok(()),
        Some(fix) => match fix.command() {
            Some(command) => write!(rest, "; run: {command}"),
            None if *fix == Fix::OnHost => write!(rest, "; fix it on the host"),
            None => write!(rest, "; root cannot change it here"),
        },
    };
    not_started(&reason, &rest)
}

fn reason_in_short(status: &TunableStatus) -> String {
    let tunable = status.reading.tunable;
    let (name, needed) = (tunable.name, tunable.expected);
    let Ok(now) = status.reading.now else {
        return format!("{name} cannot be checked");
    };
    if status.outcome == Outcome::Refused {
        return format!("{name} is {now}, needs {needed}, and cannot be changed");
    }
    let by = |origin| {
        Some(format!(
            " ({}{})",
            which_default(origin, now),
            source(origin)?
        ))
    };
    let by = status.origin.as_ref().and_then(by).unwrap_or_default();
    format!("{name} is {now}, needs {needed}{by}")
}

/// Cuts `reason` if the line would be too long, and never `rest`.
fn not_started(reason: &str, rest: &str) -> String {
    const BEGINNING: &str = "not started: ";
    let room = STATUS_LIMIT.saturating_sub(BEGINNING.len() + rest.chars().count());
    if reason.chars().count() <= room {
        return format!("{BEGINNING}{reason}{rest}");
    }
    let cut: String = reason.chars().take(room.saturating_sub(3)).collect();
    format!("{BEGINNING}{cut}...{rest}")
}

/// Escapes what could move a cursor or break a line.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::assessment::tests::{assess, kubelet, masked, reading, request};
    use crate::boot::{Boot, ImageKernel};
    use crate::files::root::Root;
    use crate::persist::PersistError;

    #[test]
    fn each_summary_says_first_whether_kubelet_starts() {
        let machine = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/base");
        let boot = Boot::new(&Root::machine(Path::new(machine)));
        let on = || kubelet(Protection::On(SetBy::Default));
        let off = || kubelet(Protection::Off(SetBy::Flag("--x=false".to_string())));
        let unknown = || kubelet(Protection::Unknown("why".to_string().into()));
        let wrong = |refused| reading(Some(0), refused, None);
        let unit = Caller::Unit { journal: true };
        let as_kubelet = Some(Mode::AsKubelet);
        for (mode, info, panic, caller, expected) in [
            (
                as_kubelet,
                on(),
                wrong(false),
                unit,
                "kubelet is not started: 1 of 6 kernel tunables is wrong, and protectKernelDefaults is true by default",
            ),
            (
                Some(Mode::Warn),
                on(),
                wrong(false),
                unit,
                "Starting kubelet (--warn), but it will fail: 1 of 6 kernel tunables is wrong, and protectKernelDefaults is true by default",
            ),
            (
                Some(Mode::Warn),
                off(),
                wrong(true),
                unit,
                "Starting kubelet (--warn), but it will fail: 1 of 6 kernel tunables is wrong and cannot be changed, and protectKernelDefaults is false by kubelet's flag --x=false",
            ),
            (
                Some(Mode::Strict),
                off(),
                wrong(false),
                unit,
                "kubelet is not started (--strict): 1 of 6 kernel tunables is wrong",
            ),
            (
                as_kubelet,
                unknown(),
                wrong(false),
                unit,
                "Starting kubelet, but it may fail: 1 of 6 kernel tunables is wrong, and the check cannot tell whether protectKernelDefaults is on: why",
            ),
            (
                as_kubelet,
                unknown(),
                wrong(false),
                Caller::Shell,
                "kubelet may fail: 1 of 6 kernel tunables is wrong, and the check cannot tell whether protectKernelDefaults is on: why",
            ),
            (
                as_kubelet,
                unknown(),
                reading(None, false, None),
                unit,
                "kubelet is not started: 1 of 6 kernel tunables cannot be checked, and kubelet has to read all of them",
            ),
            (
                as_kubelet,
                off(),
                wrong(false),
                Caller::Shell,
                "kubelet will start and change 1 of 6 kernel tunables itself: protectKernelDefaults is false by kubelet's flag --x=false",
            ),
            (
                as_kubelet,
                kubelet(Protection::Fails("why".to_string().into())),
                wrong(false),
                unit,
                "kubelet will fail for another reason: why. Fix that first, then the kernel tunables: 1 of 6 is wrong",
            ),
            (
                as_kubelet,
                masked(),
                wrong(false),
                Caller::Shell,
                "systemd will not start kubelet.service: unit is masked. Fix that first, then the kernel tunables: 1 of 6 is wrong",
            ),
            (
                as_kubelet,
                TargetInfo::None,
                wrong(false),
                Caller::Shell,
                "With protectKernelDefaults on, kubelet will not start: 1 of 6 kernel tunables is wrong. There is no kubelet.service here to check against",
            ),
            (
                None,
                on(),
                wrong(false),
                Caller::Shell,
                "kubelet will start: the check in the unit corrects 1 of 6 kernel tunables first",
            ),
        ] {
            let assessment = assess(request(mode), info, panic, &boot);
            assert_eq!(summary(&assessment, caller), expected);
        }
    }

    #[test]
    fn what_failed_never_ends_in_a_sentence_of_success() {
        let boot = Boot::new(&Root::machine(Path::new("/nonexistent")));
        let not_persisted = Diagnostic::NotPersisted(PersistError::NoName { last: "/x".into() });
        let mut request = request(Some(Mode::Modify));
        request.diagnostics.push(not_persisted);
        let corrected = reading(Some(10), false, Some(0));
        let assessment = assess(request, TargetInfo::None, corrected, &boot);
        assert_eq!(
            summary(&assessment, Caller::Shell).split(". But").next(),
            Some("Corrected 1 of 6 kernel tunables, but only until the next boot")
        );
    }

    #[test]
    fn says_what_systemd_does_next() {
        let retries = |seconds| NextStart::Retries {
            within: Duration::from_secs_f32(seconds),
        };
        let given_up = NextStart::GivenUp;
        for (unit, next, sentence, command) in [
            ("k.service", NextStart::Running, None, None),
            ("k.service", NextStart::Starting, None, None),
            (
                "k.service",
                retries(9.1),
                Some("k.service starts by itself within 10 seconds"),
                None,
            ),
            (
                "k.service",
                retries(0.1),
                Some("k.service starts by itself within 1 second"),
                None,
            ),
            (
                "k.service",
                given_up,
                Some("systemd has stopped trying to start k.service. To start it, run:"),
                Some("systemctl reset-failed k && systemctl start k"),
            ),
            (
                r"a\x2db.service",
                NextStart::Stopped,
                Some(r"a\x2db.service is not running. To start it, run:"),
                Some(r"systemctl start 'a\x2db'"),
            ),
        ] {
            let (said, typed) = next_start(unit, &next).unzip();
            assert_eq!(said.as_deref(), sentence, "{next:?}");
            assert_eq!(typed.flatten().as_deref(), command, "{next:?}");
        }
    }

    #[test]
    fn says_what_is_assumed_of_an_image() {
        fn some(text: &str) -> Option<&str> {
            (!text.is_empty()).then_some(text)
        }
        let text = |kernel, config, cmdline| {
            prediction(&Image {
                path: "/image".into(),
                kernel: ImageKernel {
                    kernel: Ok(some(kernel)),
                    config: some(config).map(Path::new),
                    cmdline: Ok(some(cmdline).map(Path::new)),
                },
            })
        };
        for (text, expected) in [
            (
                text("", "", ""),
                [
                    "The image has no kernel, so the defaults of a mainline kernel are assumed. ",
                    "There is no /etc/kernel/cmdline, so an empty ",
                ],
            ),
            (
                text("6.1", "", "/etc/kernel/cmdline"),
                [
                    "The newest kernel in the image is 6.1. Its configuration is missing, so ",
                    "Its command line is that of /etc/kernel/cmdline.",
                ],
            ),
            (
                text("6.1", "/boot/config-6.1", "/usr/lib/kernel/cmdline"),
                [
                    "The newest kernel in the image is 6.1, built with /boot/config-6.1. ",
                    "Its command line is that of /usr/lib/kernel/cmdline.",
                ],
            ),
        ] {
            for sentence in expected {
                assert!(text.contains(sentence), "{text}");
            }
            assert!(text.contains("boot loader"), "{text}");
        }
    }

    #[test]
    fn what_others_wrote_breaks_no_line_and_moves_no_cursor() {
        let text = plain("/etc/sysctl.d/a\nb\u{1b}[2J\u{9b}1m\r<0>.conf");
        assert_eq!(text, r"/etc/sysctl.d/a\nb\u{1b}[2J\u{9b}1m\r<0>.conf");
    }

    #[test]
    fn a_status_line_is_cut_to_its_limit() {
        let short = not_started("kernel.panic is 0, needs 10", ", and 2 more");
        assert_eq!(
            short,
            "not started: kernel.panic is 0, needs 10, and 2 more"
        );
        let long = not_started(&"\u{e9}".repeat(300), ", and 2 more");
        assert_eq!(long.chars().count(), STATUS_LIMIT);
        assert!(long.ends_with("\u{e9}..., and 2 more"), "{long}");
    }
}
