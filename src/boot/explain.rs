//! Lists every place that has a say in one tunable, in the order of the boot, and what becomes of each.

use std::path::{Path, PathBuf};

use super::kernel_config::decides;
use super::kernel_parameters::{Stage, Word, counting, words_on};
use super::sysctl_d::{Line, Setting, SysctlD, VOLATILE_FOLDER};
use super::{Boot, ReadError, kernel_parse, row};
use crate::tunable::Tunable;

/// Something that sets a tunable, or looks as if it did.
#[derive(Debug)]
pub struct Explained {
    /// Where it stands.
    pub place: Place,
    /// What stands there.
    pub text: String,
    /// What becomes of it.
    pub effect: Effect,
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the kernel itself.
    Kernel {
        /// The file with the kernel's configuration, if it decides and is there.
        config: Option<PathBuf>,
    },
    /// On the kernel's command line.
    CommandLine {
        /// The word.
        word: String,
        /// The file of an image that has the command line.
        path: Option<PathBuf>,
    },
    /// In a file of sysctl.d.
    File {
        /// The file, below the root.
        path: PathBuf,
        /// The line, counted from 1; 0 for the whole file.
        line: usize,
    },
}

/// What becomes of something that sets a tunable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It has the last word.
    Counts,
    /// This has the last word in its place, or comes later with the same name.
    Overridden(Place),
    /// The kernel refuses its text.
    Refused,
    /// It names the tunable without `sysctl.` before the name, where the kernel does not see it.
    NoPrefix,
    /// Its file is not read, since this file has the same name and precedence.
    Hidden {
        /// The file that is read.
        by: PathBuf,
        /// That file is a link to /dev/null.
        masked: bool,
    },
    /// It keeps patterns away from the tunable.
    Excludes,
    /// It is a pattern, and this line keeps patterns away.
    Excluded(Place),
    /// It is a pattern without a value, which systemd passes over.
    Nothing,
    /// It is in /run, which the next boot empties.
    Volatile,
    /// It could not be read, so what it says is not known.
    Unread(String),
}

impl Boot {
    /// Every place that has a say in the tunable at the next boot, in its order; and what is in /run now.
    pub fn explain(&self, tunable: &Tunable) -> Vec<Explained> {
        let next = self.next();
        // The same as in an ordinary reading, whatever of the lines is kept.
        let winner = next.sysctl_d().winner(row(tunable));
        let line = winner
            .filter(|it| !it.exclusion && kernel_parse(tunable, &it.assignment.text).is_some())
            .map(place_of);
        let mut in_files = next.explain_files(tunable, winner);
        if !std::ptr::eq(self, next) {
            let files = SysctlD::read_all(&self.root, &self.ignored);
            let volatile = Path::new("/").join(VOLATILE_FOLDER);
            let lines = files.lines().iter().filter(|line| {
                let setting = &line.setting;
                setting.rows[row(tunable)] && setting.assignment.path.starts_with(&volatile)
            });
            in_files.extend(lines.map(|line| say(line, Effect::Volatile)));
        }
        // A stable sort: what is hidden comes after what hides it, and lines stay in their order.
        in_files.sort_by(|one, other| file_name(one).cmp(&file_name(other)));
        let mut says = next.explain_kernel(tunable, line);
        says.extend(in_files);
        says
    }

    /// The kernel's default and the words of its command line, over which the `line` of a file has the last word.
    fn explain_kernel(&self, tunable: &Tunable, line: Option<Place>) -> Vec<Explained> {
        let mut unread = Vec::new();
        let (words, path) = match self.cmdline() {
            Ok(cmdline) => {
                let words = words_on(&cmdline.text, tunable.name, |text| {
                    kernel_parse(tunable, text)
                });
                (words.collect(), &cmdline.path)
            }
            Err(problem) => {
                unread.push(unread_file(problem));
                (Vec::new(), &None)
            }
        };
        let (text, config) = match self.kernel_config() {
            Ok(kernel) => (
                kernel.start_of(tunable).to_string(),
                kernel.path.clone().filter(|_| decides(tunable)),
            ),
            Err(_) if !decides(tunable) => (tunable.default.to_string(), None),
            Err(problem) => {
                unread.push(unread_file(problem));
                ("?".to_string(), None)
            }
        };
        let place = |word: &Word| Place::CommandLine {
            word: word.text(),
            path: path.clone(),
        };
        let word_that_counts = counting(&words).filter(|_| line.is_none());
        let above = line.or_else(|| word_that_counts.map(|at| place(&words[at])));
        let overridden = || above.clone().map_or(Effect::Counts, Effect::Overridden);
        let mut says = vec![Explained {
            place: Place::Kernel { config },
            text,
            effect: overridden(),
        }];
        says.extend(unread);
        says.extend(words.iter().enumerate().map(|(at, word)| Explained {
            place: place(word),
            text: word.text(),
            effect: match (word.stage, word.value) {
                (Stage::Never, _) => Effect::NoPrefix,
                (_, None) => Effect::Refused,
                _ if word_that_counts == Some(at) => Effect::Counts,
                _ => overridden(),
            },
        }));
        says
    }

    /// The lines of all files, with those that systemd-sysctl does not read.
    fn explain_files(&self, tunable: &Tunable, winner: Option<&Setting>) -> Vec<Explained> {
        let files = SysctlD::read_all(&self.root, &self.ignored);
        let lines: Vec<_> = files
            .lines()
            .iter()
            .filter(|line| line.setting.rows[row(tunable)])
            .collect();
        let mut says: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(at, line)| {
                let effect = match &line.hidden_by {
                    Some(by) => Effect::Hidden {
                        masked: self.root.is_mask(by),
                        by: by.clone(),
                    },
                    None => effect(tunable, line, &lines[at + 1..], winner),
                };
                say(line, effect)
            })
            .collect();
        says.extend(files.problems().map(unread_file));
        says
    }
}

fn say(line: &Line, effect: Effect) -> Explained {
    Explained {
        place: place_of(&line.setting),
        text: String::from_utf8_lossy(&line.text).into_owned(),
        effect,
    }
}

/// What becomes of a line that is read, given those that are read after it.
fn effect(tunable: &Tunable, line: &Line, later: &[&Line], winner: Option<&Setting>) -> Effect {
    let Setting {
        key,
        assignment,
        exclusion,
        ..
    } = &line.setting;
    let mut again = later
        .iter()
        .filter(|later| later.hidden_by.is_none() && later.setting.key == *key);
    // In its own file the nearest helps most, of others the last.
    let in_file = again
        .clone()
        .find(|again| again.setting.assignment.path == assignment.path);
    if let Some(again) = in_file.or_else(|| again.next_back()) {
        return Effect::Overridden(place_of(&again.setting));
    }
    match winner {
        Some(winner) if winner.key == *key => match () {
            () if *exclusion => Effect::Excludes,
            () if kernel_parse(tunable, &assignment.text).is_none() => Effect::Refused,
            () => Effect::Counts,
        },
        _ if *exclusion => Effect::Nothing,
        Some(winner) if winner.exclusion => Effect::Excluded(place_of(winner)),
        Some(winner) => Effect::Overridden(place_of(winner)),
        None => Effect::Nothing,
    }
}

fn place_of(setting: &Setting) -> Place {
    Place::File {
        path: setting.assignment.path.to_path_buf(),
        line: setting.assignment.line,
    }
}

fn unread_file(problem: &ReadError) -> Explained {
    Explained {
        place: Place::File {
            path: problem.path.clone(),
            line: 0,
        },
        text: String::new(),
        effect: Effect::Unread(problem.error.to_string()),
    }
}

fn file_name(say: &Explained) -> Option<&std::ffi::OsStr> {
    match &say.place {
        Place::File { path, .. } => path.file_name(),
        _ => None,
    }
}
