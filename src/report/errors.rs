//! Says why something failed or is not known, in one place for all sentences of the report.

use std::io;

use super::UsageError;
use crate::boot::ReadError;
use crate::kubelet::command::NotKubelet;
use crate::persist::PersistError;
use crate::sysctl::{Operation, SysctlError};
use crate::systemd::UnitError;
use crate::target::NotKnown;

/// Characters shown of what a file holds.
const EXCERPT: usize = 40;

/// Says which file could not be read, and why.
pub(super) fn unread(error: &ReadError) -> String {
    format!(
        "{} could not be read: {}",
        error.path.display(),
        io_error(&error.error)
    )
}

/// Returns the system's own words, without the number that Rust puts behind them.
pub(super) fn io_error(error: &io::Error) -> String {
    without_number(&error.to_string())
}

pub(super) fn without_number(text: &str) -> String {
    let Some((before, rest)) = text.split_once(" (os error ") else {
        return text.to_string();
    };
    let after = rest.split_once(')').map_or("", |(_, after)| after);
    format!("{before}{after}")
}

/// Says why a tunable could not be read or written.
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
        SysctlError::TooLong { path } => {
            let path = path.display();
            format!("{path} holds more digits than an integer can have")
        }
        SysctlError::NotAnInteger { path, content } if content.is_empty() => {
            format!("{} is empty", path.display())
        }
        SysctlError::NotAnInteger { path, content } => {
            let text = content.strip_suffix(b"\n").unwrap_or(content);
            let shown = text[..text.len().min(EXCERPT)].escape_ascii();
            let more = if text.len() > EXCERPT { "..." } else { "" };
            format!(
                "{} holds \"{shown}{more}\", which kubelet does not read as an integer",
                path.display()
            )
        }
        SysctlError::NotTaken { path, written } => {
            let path = path.display();
            format!("{path} accepted {written} but still reads as another value")
        }
    }
}

/// Says why the values could not be made permanent.
pub(super) fn persist_error(error: &PersistError) -> String {
    match error {
        PersistError::Io {
            operation,
            path,
            source,
        } => format!("{operation} {}: {}", path.display(), io_error(source)),
        PersistError::NoName { last } => format!("no file can be read after {}", last.display()),
    }
}

/// Says why it is not known which kubelet starts.
pub(super) fn not_known(why: &NotKnown) -> String {
    match why {
        NotKnown::Systemd(error) => unit_error(error),
        NotKnown::Command(NotKubelet::Unrecognized(program)) => {
            let program = program.display();
            format!("the command {program} is not recognized as kubelet")
        }
        NotKnown::Command(NotKubelet::NoPath(program)) => format!(
            "behind a wrapper, {} needs its full path",
            program.display()
        ),
        NotKnown::Command(NotKubelet::Script(program)) => format!(
            "{} is a script, which may start kubelet with other arguments",
            program.display()
        ),
        NotKnown::Command(NotKubelet::WrapperOption { wrapper, option }) => format!(
            "{} has the option {}, with which kubelet may see other files or arguments than this check",
            wrapper.display(),
            option.display()
        ),
        NotKnown::NoSuchUnit(unit) => format!("--unit {unit}: unit not found"),
        NotKnown::SearchPath => "ExecSearchPath= decides which program is started".to_string(),
        NotKnown::Privileged => {
            "ExecStart= begins with +, so kubelet may see other files than this check".to_string()
        }
        NotKnown::OwnRoot(unit) => format!("{unit} has a root directory of its own"),
        NotKnown::WorkingDirectory => {
            "the path of kubelet's configuration is relative to the home of the unit's user"
                .to_string()
        }
    }
}

/// Says why it is not known what systemd is about to execute.
pub(super) fn unit_error(error: &UnitError) -> String {
    match error {
        UnitError::NoSystemd => "systemd is not running".to_string(),
        UnitError::NoAnswer(error) => format!("systemd does not answer: {}", io_error(error)),
        UnitError::UnknownVariable { name, setting } => format!(
            "only the unit's own processes know the variable {} (set by {setting})",
            name.display()
        ),
        UnitError::NotFound => "unit not found".to_string(),
        UnitError::Masked => "unit is masked".to_string(),
        UnitError::Broken(text) => format!("systemd cannot load the unit: {text}"),
        UnitError::NoCommand => "the unit starts no program".to_string(),
        UnitError::EnvironmentFile { path, error } => format!(
            "its environment file {} cannot be read: {}",
            path.display(),
            io_error(error)
        ),
    }
}

/// Says why a question cannot be answered as it was asked.
pub(super) fn usage_error(error: &UsageError) -> String {
    match error {
        UsageError::NotRoot => "--unit needs root: run it with sudo".to_string(),
        UsageError::Unit(unit, why) => format!("{unit}: {}", unit_error(why)),
        UsageError::Root(directory, error) => {
            format!("--root {}: {}", directory.display(), io_error(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
