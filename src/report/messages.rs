//! Makes sentences of facts: each sentence of the report stands here, once.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::{Audience, UsageError};
use crate::assessment::{
    Assessment, Diagnostic, Mode, NextBoot, NotKnown, Outcome, Stance, TargetInfo, TunableStatus,
};
use crate::boot::sysctl_d::Assignment;
use crate::boot::{Origin, ReadError, Suspect, Unapplied, WhyUnapplied};
use crate::check::Reading;
use crate::exit::Exit;
use crate::kubelet::{Protection, SetBy};
use crate::persist::{self, PersistError, Persisted};
use crate::sysctl::{Operation, SysctlError};
use crate::systemd::UnitError;

/// Characters of a Status line at the most; `systemctl status` cuts what exceeds the terminal.
const STATUS_LIMIT: usize = 120;
/// Characters shown of what a file holds.
const EXCERPT: usize = 40;

/// What is to be said of one tunable; none where it is right and stays so.
///
/// Of an image the sentence is about what `will_be` after its first boot.
pub(super) fn finding(sight: &TunableStatus, will_be: bool) -> Option<String> {
    let is = if will_be { "will be" } else { "is" };
    let Reading {
        tunable,
        now,
        was,
        refused,
    } = &sight.finding;
    let (name, needed) = (tunable.name, tunable.expected);
    let (now, error) = match now {
        Ok(now) => (*now, refused.as_ref()),
        Err(error) => (needed, Some(error)),
    };
    let error = error.map(sysctl_error).unwrap_or_default();
    let origin = || {
        sight
            .origin
            .as_ref()
            .map_or(String::new(), |it| origin(it, sight))
    };
    Some(match sight.outcome {
        Outcome::Right => return None,
        Outcome::RightUntilBoot => format!(
            "{name} is {needed} now, but {}",
            next_boot(sight).unwrap_or_default()
        ),
        Outcome::Corrected => {
            let lasting = match &sight.next {
                NextBoot::Right => "the next boot keeps it".to_string(),
                NextBoot::Wrong { .. } => next_boot(sight).unwrap_or_default(),
                NextBoot::Unknown(problem) => {
                    format!("what the next boot sets is not known: {}", unread(problem))
                }
            };
            let was = was.unwrap_or_default();
            format!("{name} was {was} and is now {needed}, as kubelet needs; {lasting}")
        }
        Outcome::WillBeCorrected => format!(
            "{name} is {now}, and the check will set it to {needed} before kubelet starts ({})",
            origin()
        ),
        Outcome::Overwritten if sight.finding.now.is_err() => format!(
            "what {name} will be is not known ({error}), and kubelet will set it to {needed} because protectKernelDefaults is off"
        ),
        Outcome::Overwritten => format!(
            "{name} {is} {now}, and kubelet will set it to {needed} because protectKernelDefaults is off ({})",
            origin()
        ),
        Outcome::Ignored => format!(
            "{name} is {now} instead of {needed} and cannot be changed, which kubelet ignores in a user namespace: {error}"
        ),
        Outcome::Undecided | Outcome::Refused if refused.is_some() => {
            format!("{name} is {now}, kubelet needs {needed}, and it cannot be changed: {error}")
        }
        Outcome::Wrong | Outcome::Undecided | Outcome::Refused => {
            format!("{name} {is} {now}, kubelet needs {needed} ({})", origin())
        }
        Outcome::Unreadable if will_be => format!("what {name} will be is not known: {error}"),
        Outcome::Unreadable => format!("{name} cannot be checked: {error}"),
    })
}

/// What the next boot sets, and by whom.
fn next_boot(sight: &TunableStatus) -> Option<String> {
    match &sight.next {
        NextBoot::Wrong { value, origin } => {
            let because = match origin {
                Origin::File(line) => place(line) + &overridden(line),
                origin => because(origin, sight, *value),
            };
            Some(format!("the next boot sets it to {value} ({because})"))
        }
        NextBoot::Right | NextBoot::Unknown(_) => None,
    }
}

/// Such as "set to 0 by /etc/sysctl.d/99-custom.conf:3".
fn origin(origin: &Origin, sight: &TunableStatus) -> String {
    let actual = sight.finding.wrong().unwrap_or_default();
    which_default(origin, actual) + &because(origin, sight, actual)
}

/// Behind what kubelet needs it has to be said which of the two values is the kernel's default.
fn which_default(origin: &Origin, actual: i64) -> String {
    match origin {
        Origin::Kernel { word: None, .. } => format!("{actual} is "),
        _ => String::new(),
    }
}

fn because(origin: &Origin, sight: &TunableStatus, actual: i64) -> String {
    let mut text = match origin {
        Origin::File(line) => format!("set to {actual} by {}{}", place(line), overridden(line)),
        Origin::Kernel { word, unapplied } => {
            let by = match word {
                Some(word) => format!("set by {} on the kernel command line", plain(word)),
                None => "the kernel's default".to_string(),
            };
            match unapplied {
                None if word.is_some() => by,
                None => format!("{by}; no file sets it"),
                Some(Unapplied { line, why }) => {
                    format!("{by}; {}{}", asks(line), why_unapplied_text(*why))
                }
            }
        }
        Origin::SinceBoot { unapplied, start } => {
            let word = start.word.as_deref();
            let but = match (unapplied, word) {
                (Some(line), _) => asks(line),
                (None, Some(word)) => {
                    format!("{} on the kernel command line asks otherwise", plain(word))
                }
                (None, None) => "no file sets it".to_string(),
            };
            format!("changed since boot, by hand or by another program; {but}")
        }
        Origin::Unknown(problem) => format!("unknown origin: {}", unread(problem)),
    };
    for suspect in &sight.suspects {
        let _ = write!(text, "; possibly by {}", self::suspect(suspect));
    }
    if let Some(word) = &sight.parameter_without_prefix {
        let _ = write!(
            text,
            "; {} on the kernel command line has no effect without sysctl. before it",
            plain(word)
        );
    }
    text
}

fn why_unapplied_text(why: WhyUnapplied) -> &'static str {
    match why {
        WhyUnapplied::Refused => ", which the kernel refuses",
        WhyUnapplied::FileIsNewer => ", in a file written since boot and not applied",
        WhyUnapplied::FileIsOlder => ": changed back since boot, or not applied at boot",
        WhyUnapplied::Unclear => ": not applied, or changed back since",
        WhyUnapplied::NotRead => ", which systemd does not read",
    }
}

/// Who may have done it.
pub(super) fn suspect(suspect: &Suspect) -> String {
    match suspect {
        Suspect::Tuned => "tuned, which is running".to_string(),
        Suspect::File {
            program,
            path,
            line,
        } => format!("{program} ({}:{line})", path.display()),
    }
}

/// Who it was and no more, for a field.
pub(super) fn source(origin: &Origin) -> Option<String> {
    match origin {
        Origin::File(line) => Some(place(line)),
        Origin::Kernel {
            word: Some(word), ..
        } => Some(format!("kernel command line: {}", plain(word))),
        Origin::Kernel { word: None, .. } => Some("the kernel's default".to_string()),
        Origin::SinceBoot { .. } => Some("changed since boot".to_string()),
        Origin::Unknown(_) => None,
    }
}

fn place(line: &Assignment) -> String {
    format!("{}:{}", plain_path(&line.path), line.line)
}

fn overridden(line: &Assignment) -> String {
    line.overridden.map_or(String::new(), |earlier| {
        format!(", which overrides line {earlier}")
    })
}

fn asks(line: &Assignment) -> String {
    format!("{} asks for {}", place(line), asked(line))
}

/// The value that a line asks for, as it is written there.
pub(super) fn asked(line: &Assignment) -> String {
    const SHOWN: usize = 20;
    let text = String::from_utf8_lossy(&line.text);
    let mut shown: String = text.chars().take(SHOWN).collect();
    if text.chars().count() > SHOWN {
        shown.push_str("...");
    }
    plain(&shown)
}

/// Which file could not be read, and why.
pub(super) fn unread(problem: &ReadError) -> String {
    format!(
        "{} could not be read: {}",
        plain_path(&problem.path),
        io_error(&problem.error)
    )
}

/// The system's own words, without their number.
pub(super) fn io_error(error: &io::Error) -> String {
    without_number(&error.to_string())
}

/// The text without the number that Rust puts behind the system's words.
pub(super) fn without_number(text: &str) -> String {
    match text.split_once(" (os error ") {
        Some((before, rest)) => match rest.split_once(')') {
            Some((_, after)) => format!("{before}{after}"),
            None => text.to_string(),
        },
        None => text.to_string(),
    }
}

/// Why a tunable could not be read or written.
pub(super) fn sysctl_error(error: &SysctlError) -> String {
    match error {
        SysctlError::Io {
            operation,
            path,
            source,
        } => {
            let (path, source) = (path.display(), io_error(source));
            match operation {
                Operation::Open => format!("open {path}: {source}"),
                Operation::Read => format!("read {path}: {source}"),
                Operation::OpenToWrite => format!("open {path} to write: {source}"),
                Operation::Write(value) => format!("write {value} to {path}: {source}"),
            }
        }
        SysctlError::TooLong { path } => format!("{} is longer than any integer", path.display()),
        SysctlError::NotAnInteger { path, content } if content.is_empty() => {
            format!("{} is empty", path.display())
        }
        SysctlError::NotAnInteger { path, content } => {
            let text = content.strip_suffix(b"\n").unwrap_or(content);
            let shown = match text.split_at_checked(EXCERPT) {
                Some((beginning, [_, ..])) => format!("{}...", beginning.escape_ascii()),
                _ => text.escape_ascii().to_string(),
            };
            format!(
                "{} holds \"{shown}\", which kubelet does not read as an integer",
                path.display()
            )
        }
        SysctlError::NotTaken { path, written } => {
            format!(
                "{} does not keep the {written} written to it",
                path.display()
            )
        }
    }
}

/// Why the values could not be made permanent.
fn persist_error(error: &PersistError) -> String {
    use persist::Operation;
    match error {
        PersistError::Io {
            operation,
            path,
            source,
        } => {
            let (path, source) = (plain_path(path), io_error(source));
            match operation {
                Operation::Open => format!("open {path}: {source}"),
                Operation::List => format!("list {path}: {source}"),
                Operation::Create => format!("create {path}: {source}"),
                Operation::Write => format!("write {path}: {source}"),
                Operation::Rename => format!("rename a temporary file to {path}: {source}"),
                Operation::Remove => format!("remove {path}: {source}"),
                Operation::Sync => format!("write {path} to the disk: {source}"),
            }
        }
        PersistError::NoName { last } => {
            format!("no file can be read after {}", plain_path(last))
        }
    }
}

/// What it all comes to: first whether kubelet starts, then why.
pub(super) fn summary(look: &Assessment, audience: Audience) -> String {
    let told = &look.told;
    let all = look.sights.len();
    let ground = ground(told);
    let and_ground = match &ground {
        // Undecided though it is known: the feature gate would decide.
        Some(ground)
            if told.stance() == Stance::Overwrites && look.count(Outcome::Undecided) > 0 =>
        {
            format!(
                ", {ground}, and whether kubelet ignores that in a user namespace depends on its version (feature gate KubeletInUserNamespace)"
            )
        }
        // That kubelet cannot read one either does not depend on what it was told.
        Some(_) if look.amiss() == look.count(Outcome::Unreadable) => {
            ", and kubelet has to read all of them".to_string()
        }
        Some(ground) => format!(", and {ground}"),
        None => String::new(),
    };
    let person = audience == Audience::Person;
    let mut text = if look.is_not_checked() {
        return format!("not checked: {}", ground.unwrap_or_default());
    } else if look.amiss() > 0 {
        let what = what_is_amiss(look);
        let is_decided = look.count(Outcome::Undecided) < look.amiss();
        let passes = Exit::of_tunables(look) == Exit::Success;
        match (person, look.mode) {
            _ if passes && (!is_decided || told.stance() == Stance::NotKnown) => {
                let beginning = if person {
                    "kubelet may fail"
                } else {
                    "kubelet is started, but may fail"
                };
                format!("{beginning}: {what}{and_ground}")
            }
            (true, Mode::Strict) => format!("{what}, which --strict makes an error"),
            (false, Mode::Strict) => format!("kubelet is not started (--strict): {what}"),
            (true, _) => match told {
                TargetInfo::Kubelet(_) => format!("kubelet will not start: {what}{and_ground}"),
                TargetInfo::NotAsked
                | TargetInfo::Nothing
                | TargetInfo::NotKnown(_)
                | TargetInfo::NotStarted { .. } => {
                    format!(
                        "With protectKernelDefaults on, kubelet will not start: {what}{and_ground}"
                    )
                }
            },
            (false, _) if passes => {
                format!("kubelet is started (--warn), but will fail: {what}{and_ground}")
            }
            (false, _) => format!("kubelet is not started: {what}{and_ground}"),
        }
    } else if look.count(Outcome::Overwritten) > 0 {
        let count = look.count(Outcome::Overwritten);
        let ground = ground.unwrap_or_default();
        format!("kubelet will start and change {count} of {all} kernel tunables itself: {ground}")
    } else if look.count(Outcome::Ignored) > 0 {
        "kubelet will start: in this user namespace it ignores what it cannot change".to_string()
    } else if look.count(Outcome::WillBeCorrected) > 0 {
        let count = look.count(Outcome::WillBeCorrected);
        format!(
            "kubelet will start: the check in the unit corrects {count} of {all} kernel tunables first"
        )
    } else {
        all_is_right(look)
    };
    if let TargetInfo::Kubelet(kubelet) = told
        && let Some(word) = &kubelet.may_refuse
        && look.amiss() > 0
    {
        let _ = write!(text, ". kubelet may also refuse {}", plain(word));
    }
    if let Some(problem) = look.doubt() {
        let _ = write!(
            text,
            ". What the next boot sets is not known: {}",
            unread(problem)
        );
    }
    text
}

fn all_is_right(look: &Assessment) -> String {
    let all = look.sights.len();
    let (corrected, fleeting) = (
        look.count(Outcome::Corrected),
        look.count(Outcome::RightUntilBoot),
    );
    let right = match corrected {
        0 => format!("All {all} kernel tunables are as kubelet needs them"),
        1 => format!(
            "1 of {all} kernel tunables was wrong and is corrected: kubelet's check will pass"
        ),
        _ => format!(
            "{corrected} of {all} kernel tunables were wrong and are corrected: kubelet's check will pass"
        ),
    };
    let is_lasting = look
        .sights
        .iter()
        .all(|sight| matches!(sight.next, NextBoot::Right));
    match fleeting {
        0 if corrected == 0 && is_lasting => format!("{right}, and stay so after the next boot"),
        0 => right,
        _ if corrected > 0 => right,
        _ => format!("{right}, but {fleeting} will not be after the next boot"),
    }
}

/// Such as "2 of 6 kernel tunables are wrong, 1 cannot be checked".
fn what_is_amiss(look: &Assessment) -> String {
    let mut words = String::new();
    let count = |outcome| look.count(outcome);
    for (count, one, several) in [
        (
            count(Outcome::Wrong) + count(Outcome::Undecided),
            "is wrong",
            "are wrong",
        ),
        (
            count(Outcome::Refused),
            "is wrong and cannot be changed",
            "are wrong and cannot be changed",
        ),
        (
            count(Outcome::Unreadable),
            "cannot be checked",
            "cannot be checked",
        ),
    ] {
        if count == 0 {
            continue;
        }
        if words.is_empty() {
            let _ = write!(words, "{count} of {} kernel tunables", look.sights.len());
        } else {
            let _ = write!(words, ", {count}");
        }
        let _ = write!(words, " {}", if count == 1 { one } else { several });
    }
    words
}

/// What kubelet was told and by whom, such as "protectKernelDefaults is true in /var/lib/kubelet/config.yaml:14"; or why
/// it is not known, or does not matter.
pub(super) fn ground(told: &TargetInfo) -> Option<String> {
    let value = |value: bool, ground: &SetBy| {
        let place = match ground {
            SetBy::Default => "by default".to_string(),
            SetBy::Flag(word) => format!("by kubelet's flag {word}"),
            SetBy::File { path, line } => format!("in {}:{line}", path.display()),
        };
        Some(plain(&format!("protectKernelDefaults is {value} {place}")))
    };
    let unknown = |why: &str| {
        Some(plain(&format!(
            "whether protectKernelDefaults is on is not known: {}",
            without_number(why)
        )))
    };
    match told {
        TargetInfo::NotAsked | TargetInfo::Nothing => None,
        TargetInfo::NotKnown(why @ NotKnown::RunsOnce(_)) => Some(not_known(why)),
        TargetInfo::NotKnown(why) => unknown(&not_known(why)),
        TargetInfo::NotStarted { unit, why } => Some(not_started_by_systemd(unit, why)),
        TargetInfo::Kubelet(kubelet) => match &kubelet.protection {
            Protection::On(ground) => value(true, ground),
            Protection::Off(ground) => value(false, ground),
            Protection::Unknown(why) => unknown(why),
            Protection::Fails(why) => Some(plain(&format!(
                "kubelet will fail first: {}",
                without_number(why)
            ))),
            Protection::NotThereYet(path) => Some(plain(&format!(
                "kubelet is not configured yet: {} does not exist",
                path.display()
            ))),
        },
    }
}

/// Why it is not known what kubelet was told.
pub(super) fn not_known(why: &NotKnown) -> String {
    match why {
        NotKnown::Systemd(trouble) => self::trouble(trouble),
        NotKnown::NoKubelet(program) => format!(
            "the command {} is not recognised as kubelet",
            plain_path(program)
        ),
        NotKnown::Script(program) => format!(
            "{} is a script, which may start kubelet with other arguments",
            plain_path(program)
        ),
        NotKnown::WrappedRelativePath => {
            "a wrapper starts kubelet, and the path of kubelet's configuration is relative"
                .to_string()
        }
        NotKnown::WrappedArguments(program) => format!(
            "{} gets arguments that kubelet does not take",
            plain_path(program)
        ),
        NotKnown::WrappedFile(path) => format!(
            "the wrapper that starts kubelet may write {}",
            plain_path(path)
        ),
        NotKnown::RunsOnce(word) => format!("with {}, kubelet does not check them", plain(word)),
        NotKnown::NoSuchUnit(unit) => format!("--unit {}: unit not found", plain(unit)),
        NotKnown::Privileged => {
            "ExecStart= begins with +, so kubelet may see other files than this check".to_string()
        }
        NotKnown::OwnRoot(unit) => format!("{} has a root directory of its own", plain(unit)),
    }
}

/// Why kubelet is not started, with or without the check.
pub(super) fn not_started_by_systemd(unit: &str, why: &UnitError) -> String {
    format!("systemd will not start {}: {}", plain(unit), trouble(why))
}

/// Why it is not known what systemd is about to execute.
fn trouble(trouble: &UnitError) -> String {
    plain(&match trouble {
        UnitError::NoSystemd => "systemd is not running".to_string(),
        UnitError::NoAnswer(error) => format!("systemd does not answer: {}", io_error(error)),
        UnitError::Garbled(reason) => format!("systemd's answer is not understood: {reason}"),
        UnitError::Refused { name, text } => {
            let why = if text.is_empty() { name } else { text };
            format!("systemd refuses to answer: {why}")
        }
        UnitError::NotFound => "unit not found".to_string(),
        UnitError::Masked => "unit is masked".to_string(),
        UnitError::Broken(text) => format!("systemd cannot load the unit: {text}"),
        UnitError::NoCommand => "the unit starts no program".to_string(),
        UnitError::EnvironmentFile { path, error } => format!(
            "its environment file {} cannot be read: {}",
            path.display(),
            io_error(error)
        ),
    })
}

/// Why a question cannot be answered as it was asked.
pub(super) fn refusal(refusal: &UsageError) -> String {
    match refusal {
        UsageError::NotRoot => {
            "--unit checks what root's kubelet may read and write: run it as root".to_string()
        }
        UsageError::Unit(unit, why) => format!("{}: {}", plain(unit), trouble(why)),
        UsageError::Root(directory, error) => {
            format!("--root {}: {}", plain_path(directory), io_error(error))
        }
    }
}

/// What the user should know of the check itself.
pub(super) fn note(note: &Diagnostic) -> String {
    match note {
        Diagnostic::OptionsNotUnderstood { complaint, file } => {
            let place = file
                .as_ref()
                .map_or("KUBELET_TUNABLES_ARGS or the drop-in".to_string(), |file| {
                    format!("KUBELET_TUNABLES_ARGS in {}", file.display())
                });
            format!(
                "The options in {place} are ignored: {}. See kubelet-tunables --help",
                plain(complaint)
            )
        }
        Diagnostic::VariableMisspelt(name) => format!(
            "The variable {} is ignored. Do you mean KUBELET_TUNABLES_ARGS?",
            plain(name)
        ),
        Diagnostic::OptionInUnit(option) => {
            format!("The check in the unit has the option {option}")
        }
        Diagnostic::NotInUnit(unit) => format!("The check does not run in {}", plain(unit)),
        Diagnostic::Persisted(Persisted { file, removed }) => {
            let mut text = match file {
                Some(file) => format!("{} is written", plain_path(file)),
                None => "No file is written: the next boot is right already".to_string(),
            };
            for old in removed {
                let _ = write!(
                    text,
                    ", and {}, which it replaces, is removed",
                    plain_path(old)
                );
            }
            text
        }
        Diagnostic::NotPersisted(error) => {
            format!("The values are not permanent: {}", persist_error(error))
        }
    }
}

/// The reason why kubelet is held back, in one line of at most [`STATUS_LIMIT`] characters.
pub(super) fn status(look: &Assessment) -> String {
    let first = look
        .sights
        .iter()
        .find(|sight| sight.outcome.is_amiss())
        .map(|sight| {
            let tunable = sight.finding.tunable;
            let (name, needed) = (tunable.name, tunable.expected);
            match (&sight.finding.now, sight.outcome) {
                (Err(_), _) => format!("{name} cannot be checked"),
                (Ok(now), Outcome::Refused) => {
                    format!("{name} is {now}, needs {needed}, and cannot be changed")
                }
                (Ok(now), _) => {
                    let origin = sight.origin.as_ref();
                    let source = origin.and_then(|origin| {
                        Some(format!(
                            " ({}{})",
                            which_default(origin, *now),
                            source(origin)?
                        ))
                    });
                    format!(
                        "{name} is {now}, needs {needed}{}",
                        source.unwrap_or_default()
                    )
                }
            }
        });
    let others = match look.amiss() {
        0 | 1 => String::new(),
        amiss => format!(", and {} more", amiss - 1),
    };
    not_started(&first.unwrap_or_default(), &others)
}

/// `reason` is cut where it is too long, `rest` is not.
fn not_started(reason: &str, rest: &str) -> String {
    const BEGINNING: &str = "not started: ";
    let room = STATUS_LIMIT - BEGINNING.len() - rest.chars().count();
    if reason.chars().count() <= room {
        return format!("{BEGINNING}{reason}{rest}");
    }
    let cut: String = reason.chars().take(room - 3).collect();
    format!("{BEGINNING}{cut}...{rest}")
}

pub(super) fn plain_path(path: &Path) -> String {
    plain(&path.to_string_lossy())
}

/// The text without what could move a cursor or break a line.
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
    use super::*;
    use crate::assessment::tests::{finding as found, kubelet, look, masked};
    use crate::boot::{Boot, KernelStart};
    use crate::files::root::Root;

    #[test]
    fn what_others_wrote_breaks_no_line_and_moves_no_cursor() {
        let line = Assignment {
            path: Path::new("/etc/sysctl.d/a\nb.conf").into(),
            line: 3,
            text: b"\x1b[2J".to_vec(),
            explicit: true,
            overridden: Some(1),
        };
        let problem = ReadError {
            path: "/etc/sysctl.d/\r<0>.conf".into(),
            error: std::io::Error::other("no"),
        };
        let word = || Some("sysctl.kernel.panic=\"0\n<0>x\"".to_string());
        let unapplied = || {
            Some(Unapplied {
                line: &line,
                why: WhyUnapplied::Unclear,
            })
        };
        let origins = [
            Origin::File(&line),
            Origin::Kernel {
                word: word(),
                unapplied: None,
            },
            Origin::Kernel {
                word: word(),
                unapplied: unapplied(),
            },
            Origin::SinceBoot {
                unapplied: Some(&line),
                start: KernelStart {
                    value: 1,
                    word: None,
                },
            },
            Origin::SinceBoot {
                unapplied: None,
                start: KernelStart {
                    value: 10,
                    word: word(),
                },
            },
            Origin::Unknown(&problem),
        ];
        for origin in origins {
            let short = source(&origin).unwrap_or_default();
            let sight = TunableStatus {
                finding: found(Some(0), false, None),
                origin: Some(origin),
                suspects: Vec::new(),
                parameter_without_prefix: word(),
                next: NextBoot::Right,
                outcome: Outcome::Wrong,
            };
            let all = format!("{}{short}", finding(&sight, false).unwrap());
            assert!(!all.contains(char::is_control), "{all:?}");
        }
    }

    fn not_persisted() -> Diagnostic {
        Diagnostic::NotPersisted(PersistError::NoName { last: "/x".into() })
    }

    #[test]
    fn each_summary_says_first_what_becomes_of_kubelet() {
        let boot = Boot::new(&Root::machine(Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/cases/32-kernel-command-line"
        ))));
        let on = || kubelet(Protection::On(SetBy::Default));
        let off = || kubelet(Protection::Off(SetBy::Flag("--x=false".to_string())));
        let unknown = || kubelet(Protection::Unknown("why".to_string()));
        let wrong = |refused| found(Some(0), refused, None);
        let unit = Audience::Service { journal: true };
        for (mode, told, panic, audience, expected) in [
            (
                Mode::AsKubelet,
                on(),
                wrong(false),
                unit,
                "kubelet is not started: 1 of 6 kernel tunables is wrong, and protectKernelDefaults is true by default",
            ),
            (
                Mode::Warn,
                on(),
                wrong(false),
                unit,
                "kubelet is started (--warn), but will fail: 1 of 6 kernel tunables is wrong, and protectKernelDefaults is true by default",
            ),
            (
                Mode::Warn,
                off(),
                wrong(true),
                unit,
                "kubelet is started (--warn), but will fail: 1 of 6 kernel tunables is wrong and cannot be changed, and protectKernelDefaults is false by kubelet's flag --x=false",
            ),
            (
                Mode::Strict,
                off(),
                wrong(false),
                unit,
                "kubelet is not started (--strict): 1 of 6 kernel tunables is wrong",
            ),
            (
                Mode::AsKubelet,
                unknown(),
                wrong(false),
                unit,
                "kubelet is started, but may fail: 1 of 6 kernel tunables is wrong, and whether protectKernelDefaults is on is not known: why",
            ),
            (
                Mode::AsKubelet,
                unknown(),
                wrong(false),
                Audience::Person,
                "kubelet may fail: 1 of 6 kernel tunables is wrong, and whether protectKernelDefaults is on is not known: why",
            ),
            (
                Mode::AsKubelet,
                unknown(),
                found(None, false, None),
                unit,
                "kubelet is not started: 1 of 6 kernel tunables cannot be checked, and kubelet has to read all of them",
            ),
            (
                Mode::AsKubelet,
                off(),
                wrong(false),
                Audience::Person,
                "kubelet will start and change 1 of 6 kernel tunables itself: protectKernelDefaults is false by kubelet's flag --x=false",
            ),
            (
                Mode::AsKubelet,
                kubelet(Protection::Fails("why".to_string())),
                wrong(false),
                unit,
                "not checked: kubelet will fail first: why",
            ),
            (
                Mode::AsKubelet,
                masked(),
                wrong(false),
                Audience::Person,
                "not checked: systemd will not start kubelet.service: unit is masked",
            ),
            (
                Mode::AsKubelet,
                TargetInfo::Nothing,
                wrong(false),
                Audience::Person,
                "With protectKernelDefaults on, kubelet will not start: 1 of 6 kernel tunables is wrong",
            ),
            (
                Mode::ModifiedInUnit,
                on(),
                wrong(false),
                Audience::Person,
                "kubelet will start: the check in the unit corrects 1 of 6 kernel tunables first",
            ),
        ] {
            let mut look = look(mode, told, panic, &boot);
            assert_eq!(summary(&look, audience), expected);
            look.notes.push(not_persisted());
            assert_eq!(summary(&look, audience), expected);
        }
    }

    #[test]
    fn shows_the_beginning_of_what_is_no_integer() {
        for (content, shown) in [
            (b"ten\n".to_vec(), "ten".to_string()),
            (b"\t".to_vec(), "\\t".to_string()),
            (vec![b'x'; 40], "x".repeat(40)),
            (vec![b'x'; 41], format!("{}...", "x".repeat(40))),
        ] {
            let error = SysctlError::NotAnInteger {
                path: "/proc/sys/kernel/panic".into(),
                content,
            };
            let expected = format!(
                "/proc/sys/kernel/panic holds \"{shown}\", which kubelet does not read as an integer"
            );
            assert_eq!(sysctl_error(&error), expected);
        }
    }

    #[test]
    fn the_systems_words_come_without_their_number() {
        let error = io::Error::from_raw_os_error(30);
        assert_eq!(io_error(&error), "Read-only file system");
        assert_eq!(io_error(&io::Error::other("it is odd")), "it is odd");
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
