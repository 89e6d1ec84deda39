//! Owns the words for who made a tunable what it is, and what the next boot will make of it.

use crate::boot::sysctl_d::Assignment;
use crate::boot::{Boot, Origin, Problem, taken};
use crate::tunable::Tunable;

/// Such as "set to 0 by /etc/sysctl.d/99-custom.conf:3", to be put behind what kubelet needs.
pub(super) fn sentence(origin: &Origin, tunable: &Tunable, actual: i64) -> String {
    which_default(origin, actual) + &because(origin, tunable, actual)
}

/// Behind what kubelet needs it has to be told which of the two values is the kernel's default.
fn which_default(origin: &Origin, actual: i64) -> String {
    match origin {
        Origin::Kernel { word: None, .. } => format!("{actual} is "),
        _ => String::new(),
    }
}

fn because(origin: &Origin, tunable: &Tunable, actual: i64) -> String {
    match origin {
        Origin::File(assignment) => format!("set to {actual} by {}", place(assignment)),
        Origin::Kernel { word, unheeded } => {
            let by = match word {
                Some(word) => format!("set by {} on the kernel command line", plain(word)),
                None => "the kernel's default".to_string(),
            };
            match unheeded {
                None if word.is_some() => by,
                None => format!("{by}; no file sets it"),
                Some(line) if taken(tunable, &line.text).is_none() => {
                    format!("{by}; {}, which the kernel refuses", asks(line))
                }
                Some(line) => format!("{by}; {}, which was not applied", asks(line)),
            }
        }
        Origin::SinceBoot { unheeded, start } => {
            let word = start.as_ref().and_then(|start| start.word.as_deref());
            let but = match (unheeded, word) {
                (Some(line), _) => asks(line),
                (None, Some(word)) => {
                    format!("{} on the kernel command line asks otherwise", plain(word))
                }
                (None, None) => "no file sets it".to_string(),
            };
            format!("set since boot by hand or by another program; {but}")
        }
        Origin::Unknown(problem) => format!("by whom is not known: {}", unread(problem)),
    }
}

/// The same as short as it can be, for the Status line.
pub(super) fn short_sentence(origin: &Origin, actual: i64) -> Option<String> {
    short(origin).map(|source| which_default(origin, actual) + &source)
}

/// Who it was and no more, for a journal field.
pub(super) fn short(origin: &Origin) -> Option<String> {
    match origin {
        Origin::File(assignment) => Some(place(assignment)),
        Origin::Kernel {
            word: Some(word), ..
        } => Some(format!("kernel command line: {}", plain(word))),
        Origin::Kernel { word: None, .. } => Some("the kernel's default".to_string()),
        Origin::SinceBoot { .. } => Some("set since boot".to_string()),
        Origin::Unknown(_) => None,
    }
}

/// What the next boot makes of a tunable.
#[derive(Debug)]
pub(super) enum NextBoot {
    /// What kubelet needs.
    Right,
    /// Another value.
    Wrong {
        value: i64,
        /// Who will set it, in words.
        because: String,
        /// The same in short.
        source: Option<String>,
    },
    /// Nobody knows, and why.
    Unknown(String),
}

impl NextBoot {
    pub(super) fn of(tunable: &Tunable, boot: &Boot) -> Self {
        match boot.forecast(tunable) {
            Some(value) if value == tunable.expected => Self::Right,
            Some(value) => {
                let origin = boot.origin(tunable, value);
                Self::Wrong {
                    value,
                    because: match &origin {
                        Origin::File(assignment) => place(assignment),
                        origin => because(origin, tunable, value),
                    },
                    source: short(&origin),
                }
            }
            None => Self::Unknown(boot.doubt(tunable).map_or(String::new(), unread)),
        }
    }

    /// The value for a table.
    pub(super) fn cell(&self, tunable: &Tunable) -> String {
        match self {
            Self::Right => tunable.expected.to_string(),
            Self::Wrong { value, .. } => value.to_string(),
            Self::Unknown(_) => "?".to_string(),
        }
    }
}

fn place(assignment: &Assignment) -> String {
    format!(
        "{}:{}",
        plain(&assignment.path.to_string_lossy()),
        assignment.line
    )
}

fn asks(assignment: &Assignment) -> String {
    const SHOWN: usize = 20;
    let text = String::from_utf8_lossy(&assignment.text);
    let mut shown: String = text.chars().take(SHOWN).collect();
    if text.chars().count() > SHOWN {
        shown.push_str("...");
    }
    format!("{} asks for {}", place(assignment), plain(&shown))
}

fn unread(problem: &Problem) -> String {
    format!(
        "{} could not be read: {}",
        plain(&problem.path.to_string_lossy()),
        problem.error
    )
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
    use std::path::Path;

    use super::*;
    use crate::boot::KernelStart;
    use crate::tunable::TUNABLES;

    #[test]
    fn what_others_wrote_breaks_no_line_and_moves_no_cursor() {
        let line = Assignment {
            path: Path::new("/etc/sysctl.d/a\nb.conf").into(),
            line: 3,
            text: b"\x1b[2J".to_vec(),
            explicit: true,
        };
        let problem = Problem {
            path: "/etc/sysctl.d/\r<0>.conf".into(),
            error: std::io::Error::other("no"),
        };
        let word = || Some("sysctl.kernel.panic=\"0\n<0>x\"".to_string());
        let origins = [
            Origin::File(&line),
            Origin::Kernel {
                word: word(),
                unheeded: None,
            },
            Origin::Kernel {
                word: word(),
                unheeded: Some(&line),
            },
            Origin::SinceBoot {
                unheeded: Some(&line),
                start: None,
            },
            Origin::SinceBoot {
                unheeded: None,
                start: Some(KernelStart {
                    value: 10,
                    word: word(),
                }),
            },
            Origin::Unknown(&problem),
        ];
        for origin in origins {
            let sentence = sentence(&origin, &TUNABLES[2], 0);
            let short = short(&origin).unwrap_or_default();
            let all = format!("{sentence}{short}");
            assert!(!all.contains(char::is_control), "{all:?}");
        }
    }
}
