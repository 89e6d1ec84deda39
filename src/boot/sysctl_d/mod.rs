//! Reads sysctl.d(5) as systemd-sysctl does: the lines that set the six, in the order in which they are applied.

mod files;
mod line;

use std::cell::{LazyCell, OnceCell};
use std::ffi::OsStr;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use memchr::{memchr_iter, memchr2_iter};
use rustix::fs::FileType;

use super::setting::{Effect, Place, Setting};
use super::{FILE_LIMIT, ReadError, When, unread};
use crate::files::root::Root;
use crate::tunable::{TUNABLES, Tunable, kernel_parse};
use files::{ALWAYS, File};
use line::{parse, rows_of, strip};

pub(crate) use files::{VOLATILE_FOLDER, is_configuration};
pub use line::{Assignment, Line};

/// A longer line makes systemd-sysctl give the file up (`LONG_LINE_MAX`).
const LINE_LIMIT: usize = 1 << 20;
/// Upper limit of lines that are kept, and of patterns that are tried. A machine has a handful.
const LINES: usize = 1024;

/// All lines that may set one of the six.
#[derive(Debug, Default)]
pub struct SysctlD {
    files: Vec<File>,
    /// The lines of the files that are read, in the order of reading.
    lines: Vec<Line>,
    unread: Vec<Unread>,
    /// So many lines were kept or tried.
    tried: usize,
    /// The lines of the files that are not read. They are needed for --explain only.
    hidden: OnceCell<Vec<Hidden>>,
}

#[derive(Debug)]
struct Unread {
    problem: ReadError,
    read_at: &'static [When],
}

/// A line of a file that is not read, the file that the next boot reads in its place, and whether that is a link to
/// /dev/null; none for a file in /run.
type Hidden = (Line, Option<(PathBuf, bool)>);

impl SysctlD {
    /// Reads all files below `root` but the `ignored`.
    pub(super) fn read(root: &Root, ignored: &[PathBuf]) -> Self {
        let (files, unread) = files::list(root, ignored);
        let mut all = Self {
            // Most machines have so many, in one file.
            lines: Vec::with_capacity(TUNABLES.len()),
            unread,
            ..Self::default()
        };
        let mut buffer = Vec::new();
        for file in files.iter().filter(|file| !file.read_at.is_empty()) {
            all.read_file(root, file, &mut buffer);
        }
        all.files = files;
        all
    }

    fn read_file(&mut self, root: &Root, file: &File, buffer: &mut Vec<u8>) {
        let (path, kind) = (file.path(), file.kind);
        // What is a folder is one for systemd too. The boot mounts a /dev of its own, whatever the image has in its place.
        if kind.is_dir() || (root.is_image() && kind.is_symlink() && root.is_mask(&path)) {
            return;
        }
        let content = if kind.is_file() || kind.is_symlink() || kind == FileType::Unknown {
            root.read(&path, FILE_LIMIT, buffer)
        } else {
            Err(io::Error::other("not a regular file"))
        };
        match content.map_err(|error| (error.kind(), error)) {
            Ok(()) => self.add_lines(&path, buffer, file.read_at),
            // A link that leads nowhere hides a file of the same name and sets nothing. One that leads to itself does so
            // up to systemd 257, while 262 reads the file behind it: that is a problem, as the answer is not known.
            Err((io::ErrorKind::NotFound | io::ErrorKind::IsADirectory, _)) => {}
            Err((_, error)) => self.unread.push(Unread::new(&path, file.read_at, error)),
        }
    }

    /// Lists what sets the tunable, in the order in which systemd-sysctl applies it, and what could not be read.
    pub(super) fn settings(&self, tunable: &Tunable, when: When) -> Vec<Setting<'_>> {
        let lines: Vec<_> = self
            .lines_of(tunable)
            .filter(|line| line.read_at.contains(&when))
            .collect();
        let is_name = |at: &usize| lines[*at].assignment.explicit;
        let names = (0..lines.len()).filter(is_name);
        // The last line with the name itself wins over patterns wherever it stands.
        let name = names.clone().next_back().map(|at| lines[at]);
        let mut patterns: Vec<_> = (0..lines.len()).filter(|at| !is_name(at)).collect();
        patterns.sort_by_cached_key(|&at| first_place(&lines, at));
        let applied = patterns.into_iter().chain(names).map(|at| Setting {
            place: Place::Line(lines[at]),
            effect: effect(tunable, &lines[at..], name),
        });
        // Of several, the first is named.
        let unread = self.unread.iter().rev();
        let unread = unread.filter(|unread| unread.read_at.contains(&when));
        applied.chain(unread.map(|it| it.setting(name))).collect()
    }

    fn lines_of(&self, tunable: &Tunable) -> impl Iterator<Item = &Line> {
        let row = tunable.row();
        self.lines.iter().filter(move |line| line.rows[row])
    }

    /// Returns the line that systemd-sysctl applies last to the tunable, whether the kernel takes it or not.
    pub fn assignment(&self, tunable: &Tunable, when: When) -> Option<&Assignment> {
        let mut settings = self.settings(tunable, when).into_iter().rev();
        settings.find_map(|it| match (it.place, it.effect) {
            (Place::Line(line), Effect::Sets(_) | Effect::Refused) => Some(&line.assignment),
            _ => None,
        })
    }

    /// Lists the lines that would set the tunable and that the next boot does not read.
    pub(super) fn not_read(&self, root: &Root, tunable: &Tunable) -> Vec<Setting<'_>> {
        let lines = self.lines_of(tunable);
        let volatile = lines.filter(|line| !line.read_at.contains(&When::NextBoot));
        let volatile = volatile.map(|line| (line, Effect::Volatile));
        let hidden = self.hidden.get_or_init(|| self.read_hidden(root)).iter();
        let hidden = hidden.filter(|(line, _)| line.rows[tunable.row()]);
        let hidden = hidden.map(|(line, by)| match *by {
            Some((ref by, masked)) => (line, Effect::Hidden { by, masked }),
            None => (line, Effect::Volatile),
        });
        let places = volatile
            .chain(hidden)
            .map(|(line, effect)| (Place::Line(line), effect));
        places
            .map(|(place, effect)| Setting { place, effect })
            .collect()
    }

    fn read_hidden(&self, root: &Root) -> Vec<Hidden> {
        let (mut all, mut buffer) = (Vec::new(), Vec::new());
        for file in self.files.iter().filter(|file| file.read_at.is_empty()) {
            let mut hidden = Self {
                tried: all.len(),
                ..Self::default()
            };
            // What cannot be read has no effect either.
            if root.read(file.path(), FILE_LIMIT, &mut buffer).is_ok() {
                hidden.add_lines(&file.path(), &buffer, &[]);
            }
            let is_next = |it: &&File| it.name == file.name && it.read_at.contains(&When::NextBoot);
            let by = self.files.iter().find(is_next).map(File::path);
            let by = by.filter(|_| !file.is_volatile());
            let by = by.map(|by| (Path::new("/").join(&by), root.is_mask(&by)));
            all.extend(hidden.lines.into_iter().map(|line| (line, by.clone())));
        }
        all
    }

    /// Finds the file that a file of ours has to be read after to set all six, now and at the next boot: the last one that
    /// sets one of them by its name to a wrong value, or that could not be read.
    pub(crate) fn last_obstacle(&self) -> Option<&Path> {
        // A folder is not read in any order.
        let unread = self.unread.iter().filter(|unread| !unread.is_folder());
        let unread = unread.map(|unread| unread.problem.path.as_path());
        let mut files = Vec::new();
        for tunable in &TUNABLES {
            let settings = ALWAYS.iter().flat_map(|when| self.settings(tunable, *when));
            files.extend(settings.filter_map(|it| match (it.place, it.effect) {
                (_, Effect::Sets(value)) if value == tunable.expected => None,
                (Place::Line(line), Effect::Sets(_) | Effect::Refused | Effect::Excludes) => {
                    line.assignment.explicit.then_some(&*line.assignment.path)
                }
                _ => None,
            }));
        }
        let files = files.into_iter().chain(unread);
        files.max_by_key(|path| path.file_name())
    }

    /// True if a folder has a file, link or folder of this name.
    pub(crate) fn has_file(&self, name: &OsStr) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// Adds the lines of a file that is read after all that were added before.
    pub fn add_file(&mut self, path: &Path, content: &[u8]) {
        self.add_lines(path, content, ALWAYS);
    }

    fn add_lines(&mut self, path: &Path, content: &[u8], read_at: &'static [When]) {
        let full_path = LazyCell::new(|| Rc::<Path>::from(Path::new("/").join(path)));
        let first_of_file = self.lines.len();
        for (number, line) in cut(content, memchr_iter(b'\n', content)).enumerate() {
            // systemd ends a line at a carriage return and at a NUL too.
            for part in cut(line, memchr2_iter(b'\r', 0, line)) {
                if part.len() >= LINE_LIMIT {
                    return;
                }
                let text = strip(part);
                let Some((name, value)) = parse(text) else {
                    continue;
                };
                let (rows, pattern) = rows_of(name);
                let concerns = rows.contains(&true);
                self.tried += usize::from(concerns || pattern.is_some());
                if self.tried > LINES {
                    let why = format!("over {LINES} lines that may set one of the six");
                    let unread = Unread::new(path, read_at, io::Error::other(why));
                    return self.unread.push(unread);
                }
                if !concerns {
                    continue;
                }
                let mut line = Line {
                    assignment: Assignment {
                        path: Rc::clone(&full_path),
                        line: number + 1,
                        text: value.unwrap_or_default().to_vec(),
                        explicit: pattern.is_none(),
                        overridden: None,
                    },
                    text: text.to_vec(),
                    exclusion: value.is_none(),
                    pattern,
                    rows,
                    read_at,
                };
                let in_file = &self.lines[first_of_file..];
                let known = in_file.iter().rfind(|known| known.has_name_of(&line));
                if let Some(known) = known.filter(|known| !known.has_value_of(&line)) {
                    line.assignment.overridden = Some(known.assignment.line);
                }
                self.lines.push(line);
            }
        }
    }
}

impl Unread {
    fn new(path: &Path, read_at: &'static [When], error: impl Into<io::Error>) -> Self {
        let problem = unread(Path::new("/").join(path))(error);
        Self { problem, read_at }
    }

    /// True if it is a folder, in which any file might have been.
    fn is_folder(&self) -> bool {
        let name = self.problem.path.file_name();
        !name.is_some_and(is_configuration)
    }

    /// Makes its setting, which the last line that sets the tunable by its `name` overrides if it is read later.
    fn setting(&self, name: Option<&Line>) -> Setting<'_> {
        let problem = &self.problem;
        let is_earlier = |name: &Line| problem.path.file_name() < name.assignment.path.file_name();
        Setting {
            place: Place::File(&problem.path),
            effect: if !self.is_folder() && name.is_some_and(is_earlier) {
                Effect::UnreadEarlier(problem)
            } else {
                Effect::Unread(problem)
            },
        }
    }
}

/// Cuts the text at these places, and drops the byte at each.
fn cut(text: &[u8], at: impl Iterator<Item = usize>) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    at.chain([text.len()])
        .map(move |end| &text[mem::replace(&mut start, end + 1)..end])
}

/// Finds the place of a pattern in the order: where it was first, if it is repeated with the same value.
fn first_place(lines: &[&Line], at: usize) -> usize {
    let is_again = |&before: &usize| lines[before].has_name_of(lines[at]);
    let again = (0..at).rev().filter(is_again);
    let same = again.take_while(|&before| lines[before].has_value_of(lines[at]));
    same.last().unwrap_or(at)
}

/// Finds what the first of these lines does, given those that are read after it and the last line that sets the tunable by
/// its `name`.
fn effect<'a>(tunable: &Tunable, lines: &[&'a Line], name: Option<&'a Line>) -> Effect<'a> {
    let (line, after) = (lines[0], &lines[1..]);
    let (path, is_name) = (&line.assignment.path, line.assignment.explicit);
    let mut again = after.iter().filter(|again| again.has_name_of(line));
    // In its own file the nearest helps most, of others the last.
    let in_file = again.clone().find(|again| again.assignment.path == *path);
    if let Some(again) = in_file.or_else(|| again.next_back()) {
        return Effect::Overridden(Place::Line(again));
    }
    match name {
        _ if line.exclusion && is_name => Effect::Excludes,
        _ if line.exclusion => Effect::Nothing,
        Some(name) if !is_name && name.exclusion => Effect::Excluded(Place::Line(name)),
        Some(name) if !is_name => Effect::Overridden(Place::Line(name)),
        _ => Effect::of(kernel_parse(tunable, &line.assignment.text)),
    }
}

#[cfg(test)]
mod tests;
