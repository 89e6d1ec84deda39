//! Reads sysctl.d(5) as systemd-sysctl does: which line of which file sets each of the six.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use memchr::{memchr, memchr_iter, memchr2_iter};
use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;

use super::{FILE_LIMIT, ReadError, kernel_parse};
use crate::files::glob;
use crate::files::root::Root;
use crate::tunable::{TUNABLES, slashed};

/// The folders, the first of which wins over the others for a file of the same name.
const FOLDERS: [&str; 4] = [
    "etc/sysctl.d",
    VOLATILE_FOLDER,
    "usr/local/lib/sysctl.d",
    "usr/lib/sysctl.d",
];
/// The one that a boot begins without.
pub(super) const VOLATILE_FOLDER: &str = "run/sysctl.d";
/// A fifth, on a machine whose /lib is not a link into /usr.
const SPLIT_USR_FOLDER: &str = "lib/sysctl.d";
/// A longer line makes systemd-sysctl give the file up (`LONG_LINE_MAX`).
const LINE_LIMIT: usize = 1 << 20;
/// Bytes of names asked for at once.
const FOLDER_BUFFER: usize = 4 << 10;
/// Patterns tried on the six at the most; a machine has a handful.
const PATTERNS: usize = 1024;
/// Lines kept to explain a tunable by, at the most; the same.
const LINES: usize = 4096;

/// Files by their names, each in the folder that wins.
type Files = BTreeMap<OsString, (&'static str, FileType)>;

/// A line of a file that sets a tunable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The file, below the root.
    pub path: Rc<Path>,
    /// The line, counted from 1.
    pub line: usize,
    /// What is to be written, without white space around it.
    pub text: Vec<u8>,
    /// The line names the tunable itself and not a pattern.
    pub explicit: bool,
    /// A line before it in the same file that sets the same tunable and does not count, counted from 1.
    pub overridden: Option<usize>,
}

/// All lines that concern the six, in the order in which systemd-sysctl applies them.
#[derive(Debug, Default)]
pub struct SysctlD {
    settings: Vec<Setting>,
    /// Whether [`VOLATILE_FOLDER`] has a file.
    pub(super) is_volatile: bool,
    /// So many patterns were tried.
    patterns: usize,
    /// Files and folders that could not be read, each with its place in the order.
    problems: Vec<(OsString, ReadError)>,
    /// Every line, to explain a tunable by.
    lines: Option<Vec<Line>>,
    /// Files that are not read, as another folder has one of the same name: that one, and the file.
    hidden: Vec<(PathBuf, PathBuf)>,
}

/// A line that concerns one of the six, whether it counts or not.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) setting: Setting,
    /// The line without white space around it.
    pub(super) text: Vec<u8>,
    /// The file of the same name that is read in the place of the line's own.
    pub(super) hidden_by: Option<PathBuf>,
}

/// A line `name = value`, or `-name` alone, which keeps patterns away from the name.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    /// Name or pattern with slashes.
    pub(super) key: Vec<u8>,
    pub(super) assignment: Assignment,
    pub(super) exclusion: bool,
    /// The rows of the table that it names.
    pub(super) rows: [bool; TUNABLES.len()],
}

impl SysctlD {
    /// Reads all files below `root` but the `ignored`.
    pub(super) fn read(root: &Root, ignored: &[PathBuf]) -> Self {
        Self::default().read_to_end(root, ignored)
    }

    /// The same, and keeps every line, those of hidden files too.
    pub(super) fn read_all(root: &Root, ignored: &[PathBuf]) -> Self {
        let mut all = Self {
            lines: Some(Vec::new()),
            ..Self::default()
        };
        all = all.read_to_end(root, ignored);
        let mut content = Vec::new();
        for (by, path) in std::mem::take(&mut all.hidden) {
            let mut hidden = Self {
                lines: Some(Vec::new()),
                ..Self::default()
            };
            // What cannot be read has no effect either.
            if all.lines().len() <= LINES && root.read(&path, FILE_LIMIT, &mut content).is_ok() {
                hidden.add_file(&path, &content);
            }
            let lines = hidden.lines.into_iter().flatten().map(|line| Line {
                hidden_by: Some(Path::new("/").join(&by)),
                ..line
            });
            all.lines.get_or_insert_default().extend(lines);
        }
        all
    }

    fn read_to_end(self, root: &Root, ignored: &[PathBuf]) -> Self {
        let mut all = self;
        let mut buffer = Vec::new();
        for (file_name, (folder, kind)) in all.list(root, ignored) {
            if kind.is_dir() {
                continue;
            }
            let path = Path::new(folder).join(&file_name);
            // The boot mounts a /dev of its own, whatever the image has in its place.
            if root.is_image() && kind.is_symlink() && root.is_mask(&path) {
                continue;
            }
            let content = if kind.is_file() || kind.is_symlink() {
                root.read(&path, FILE_LIMIT, &mut buffer)
            } else {
                Err(io::Error::other("not a regular file"))
            };
            match content {
                Ok(()) => all.add_file(&path, &buffer),
                // What is a folder is one for systemd too.
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {}
                // A link that leads nowhere hides a file of the same name and sets nothing. One that leads to itself does
                // so up to systemd 257, while 262 reads the file behind it: that is a problem, as the answer is not known.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => all.add_problem(file_name, &path, error),
            }
        }
        all
    }

    /// The line that systemd-sysctl will apply to this row of the table.
    pub fn assignment(&self, row: usize) -> Option<&Assignment> {
        self.winner(row)
            .filter(|it| !it.exclusion)
            .map(|it| &it.assignment)
    }

    /// The last file that sets a row by its name, and not as kubelet needs it, or that could not be read.
    pub(super) fn last_obstacle(&self) -> Option<&Path> {
        let wrong = TUNABLES.iter().enumerate().filter_map(|(row, tunable)| {
            let winner = self.winner(row)?;
            let right = kernel_parse(tunable, &winner.assignment.text) == Some(tunable.expected);
            (winner.assignment.explicit && !right).then_some(&*winner.assignment.path)
        });
        let unread = self
            .problems
            .iter()
            // A folder has no name here, and is not read in any order.
            .filter(|(file_name, _)| !file_name.is_empty())
            .map(|(_, problem)| problem.path.as_path());
        wrong.chain(unread).max_by_key(|path| path.file_name())
    }

    /// Whether a folder below `root` has a file of this name, whatever it is, beside the `ignored`.
    pub(super) fn has_file(root: &Root, ignored: &[PathBuf], file_name: &OsStr) -> bool {
        Self::default().list(root, ignored).contains_key(file_name)
    }

    /// The first file that could not be read and is read after the winning line.
    pub(super) fn doubt(&self, row: usize) -> Option<&ReadError> {
        let winner = self.winner(row).filter(|winner| winner.assignment.explicit);
        self.problems
            .iter()
            .find(|(file_name, _)| {
                // A folder has no name here: any file might have been in it.
                file_name.is_empty() || winner.is_none_or(|winner| file_name >= winner.file_name())
            })
            .map(|(_, problem)| problem)
    }

    /// The lines that [`Self::read_all`] kept: in the order of reading, those of hidden files at the end.
    pub(super) fn lines(&self) -> &[Line] {
        self.lines.as_deref().unwrap_or_default()
    }

    /// All files and folders that could not be read.
    pub(super) fn problems(&self) -> impl Iterator<Item = &ReadError> {
        self.problems.iter().map(|(_, problem)| problem)
    }

    /// A name wins over patterns wherever it stands; of patterns the last applied wins.
    pub(super) fn winner(&self, row: usize) -> Option<&Setting> {
        let mut settings = self.settings.iter().filter(|setting| setting.rows[row]);
        settings
            .clone()
            .find(|setting| setting.assignment.explicit)
            .or_else(|| settings.rfind(|setting| !setting.exclusion))
    }

    /// The files in the order in which they are read, which is that of their names whatever the folder.
    fn list(&mut self, root: &Root, ignored: &[PathBuf]) -> Files {
        let mut files = Files::new();
        let split = root
            .lstat("lib")
            .is_ok_and(|lib| FileType::from_raw_mode(lib.st_mode).is_dir());
        for folder in FOLDERS.into_iter().chain(split.then_some(SPLIT_USR_FOLDER)) {
            if let Err(error) = self.list_folder(root, folder, ignored, &mut files) {
                self.is_volatile |= folder == VOLATILE_FOLDER;
                self.add_problem(OsString::new(), Path::new(folder), error.into());
            }
        }
        files
    }

    /// Adds the files of one folder whose names are not there yet.
    fn list_folder(
        &mut self,
        root: &Root,
        folder: &'static str,
        ignored: &[PathBuf],
        files: &mut Files,
    ) -> Result<(), Errno> {
        let is_ignored = |path: &Path| ignored.iter().any(|ignored| ignored == path);
        if is_ignored(Path::new(folder)) {
            return Ok(());
        }
        let open = match root.open_folder(folder) {
            Ok(open) => open,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut buffer = [MaybeUninit::uninit(); FOLDER_BUFFER];
        let mut entries = RawDir::new(open, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                // The folder itself was removed meanwhile.
                Err(Errno::NOENT) => break,
                Err(error) => return Err(error),
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if !is_configuration(name)
                || (!ignored.is_empty() && is_ignored(&Path::new(folder).join(name)))
            {
                continue;
            }
            self.is_volatile |= folder == VOLATILE_FOLDER;
            if let Some((winner, _)) = files.get(name) {
                if self.lines.is_some() {
                    let of = |folder: &str| Path::new(folder).join(name);
                    self.hidden.push((of(winner), of(folder)));
                }
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems leave it open.
                FileType::Unknown => root
                    .lstat(Path::new(folder).join(name))
                    .map(|stat| FileType::from_raw_mode(stat.st_mode)),
                kind => Ok(kind),
            };
            match kind {
                Ok(kind) => {
                    files.insert(name.to_os_string(), (folder, kind));
                }
                // It was removed meanwhile.
                Err(Errno::NOENT) => {}
                Err(error) => {
                    let path = Path::new(folder).join(name);
                    self.add_problem(name.to_os_string(), &path, error.into());
                }
            }
        }
        Ok(())
    }

    /// Adds the lines of a file that is read after all that were added before.
    pub fn add_file(&mut self, path: &Path, content: &[u8]) {
        let full_path = LazyCell::new(|| Rc::<Path>::from(Path::new("/").join(path)));
        let ends = memchr_iter(b'\n', content).chain([content.len()]);
        let mut start = 0;
        for (number, end) in ends.enumerate() {
            let line = &content[start..end];
            start = end + 1;
            // systemd ends a line at a carriage return and at a NUL too.
            let mut part_start = 0;
            for part_end in memchr2_iter(b'\r', 0, line).chain([line.len()]) {
                let part = &line[part_start..part_end];
                part_start = part_end + 1;
                if part.len() >= LINE_LIMIT {
                    return;
                }
                let Some((name, value)) = parse(part) else {
                    continue;
                };
                let key = normalise(name);
                let explicit = !glob::is_pattern(&key);
                self.patterns += usize::from(!explicit);
                if self.patterns > PATTERNS {
                    let why = format!("over {PATTERNS} patterns");
                    self.add_problem(file_name(path).to_os_string(), path, io::Error::other(why));
                    return;
                }
                let rows = rows_of(&key, explicit);
                if rows.contains(&true) {
                    let setting = Setting {
                        key,
                        assignment: Assignment {
                            path: Rc::clone(&full_path),
                            line: number + 1,
                            text: value.unwrap_or_default().to_vec(),
                            explicit,
                            overridden: None,
                        },
                        exclusion: value.is_none(),
                        rows,
                    };
                    if let Some(lines) = &mut self.lines {
                        if lines.len() == LINES {
                            let why = format!("over {LINES} lines that may set one of the six");
                            self.add_problem(
                                file_name(path).to_os_string(),
                                path,
                                io::Error::other(why),
                            );
                            return;
                        }
                        lines.push(Line {
                            setting: setting.clone(),
                            text: strip(part).to_vec(),
                            hidden_by: None,
                        });
                    }
                    self.add_setting(setting);
                }
            }
        }
    }

    /// A later line of the same name replaces the earlier one, and takes the last place in the order unless it says the
    /// same.
    fn add_setting(&mut self, mut setting: Setting) {
        match self
            .settings
            .iter_mut()
            .find(|known| known.key == setting.key)
        {
            Some(known)
                if known.exclusion == setting.exclusion
                    && known.assignment.text == setting.assignment.text =>
            {
                *known = setting;
            }
            Some(known) => {
                if known.assignment.path == setting.assignment.path {
                    setting.assignment.overridden = Some(known.assignment.line);
                }
                self.settings.retain(|known| known.key != setting.key);
                self.settings.push(setting);
            }
            None => self.settings.push(setting),
        }
    }

    fn add_problem(&mut self, file_name: OsString, path: &Path, error: io::Error) {
        let path = Path::new("/").join(path);
        self.problems.push((file_name, ReadError { path, error }));
    }
}

impl Setting {
    pub(super) fn file_name(&self) -> &OsStr {
        file_name(&self.assignment.path)
    }
}

fn file_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

/// The rows of the table that a key names: one at the most, or as a pattern several.
fn rows_of(key: &[u8], explicit: bool) -> [bool; TUNABLES.len()] {
    TUNABLES.map(|tunable| {
        let path = slashed(tunable.name);
        if explicit {
            path.eq(key.iter().copied())
        } else {
            glob::matches(key, &path.collect::<Vec<_>>())
        }
    })
}

/// Whether systemd reads a file of this name.
pub(crate) fn is_configuration(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".conf") && !name.starts_with(b".")
}

/// The name and the value of a line, if it might concern one of the six; a name to be left alone has no value.
fn parse(line: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let line = strip(line);
    if matches!(line.first(), None | Some(b'#' | b';')) {
        return None;
    }
    let (name, value) = match memchr(b'=', line) {
        Some(at) => (&line[..at], Some(strip(&line[at + 1..]))),
        None if line[0] == b'-' => (line, None),
        None => return None,
    };
    let name = strip(name.strip_prefix(b"-").unwrap_or(name));
    might_concern(name).then_some((name, value))
}

/// What a line assigns to the tunable of this dotted name.
pub(super) fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (key, value) = parse(line)?;
    value.filter(|_| slashed(name).eq(normalise(key)))
}

/// Tells most names of other tunables apart by their first and last letters, without making anything of them.
fn might_concern(name: &[u8]) -> bool {
    let is_separator = |byte: &u8| matches!(byte, b'.' | b'/');
    let Some(first) = name.iter().find(|byte| !is_separator(byte)) else {
        return false;
    };
    if matches!(first, b'*' | b'?' | b'[' | b'{' | b'\\') {
        return true;
    }
    let last = name.iter().rfind(|byte| !is_separator(byte));
    let rows = TUNABLES.map(|tunable| tunable.name.as_bytes());
    rows.map(<[u8]>::first).contains(&Some(first))
        && (glob::is_pattern(name) || rows.map(<[u8]>::last).contains(&last))
}

/// The name with slashes: the first separator decides whether dots or slashes separate, and the other is then a part of
/// a name. Empty parts and those of a single dot are dropped.
fn normalise(name: &[u8]) -> Vec<u8> {
    let dotted = name.iter().find(|byte| matches!(byte, b'.' | b'/')) == Some(&b'.');
    let separator = if dotted { b'.' } else { b'/' };
    let mut key = Vec::with_capacity(name.len());
    for part in name.split(|&byte| byte == separator) {
        // With dots that separate, a slash is the dot.
        if matches!(part, [] | [b'.' | b'/']) {
            continue;
        }
        if !key.is_empty() {
            key.push(b'/');
        }
        let slash_is_dot = |&byte: &u8| if byte == b'/' { b'.' } else { byte };
        key.extend(part.iter().map(slash_is_dot));
    }
    key
}

/// The text without systemd's white space around it.
fn strip(text: &[u8]) -> &[u8] {
    let mut text = text;
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..]
    | [rest @ .., b' ' | b'\t' | b'\n' | b'\r'] = text
    {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn gives_up_a_file_of_ever_more_patterns_and_says_so() {
        let mut read = SysctlD::default();
        let lines = |count| {
            (0..count).fold(String::new(), |text, at| {
                text + &format!("{{{at},vm}}/*=1\n")
            })
        };
        let content = lines(PATTERNS) + "vm.panic_on_oom = 2\n";
        read.add_file(Path::new("10.conf"), content.as_bytes());
        assert!(read.doubt(0).is_none());
        assert_eq!(read.assignment(1).map(|it| it.line), Some(PATTERNS + 1));
        read.add_file(Path::new("20.conf"), b"kernel.*=1\n");
        assert!(
            read.doubt(0)
                .is_some_and(|problem| problem.path == Path::new("/20.conf"))
        );
        assert_eq!(read.assignment(2).map(|it| it.line), None);
        // What cannot name one of the six costs nothing, and systemd reads on behind it.
        let others = "net.ipv4.conf.*.forwarding=1\n".repeat(PATTERNS + 1);
        let read = self::read(&(others + "kernel.panic=1\n"));
        assert!(read.doubt(2).is_none());
        assert!(read.assignment(2).is_some());
    }

    fn read(content: &str) -> SysctlD {
        let mut read = SysctlD::default();
        read.add_file(Path::new("50.conf"), content.as_bytes());
        read
    }

    #[test]
    fn a_line_too_long_ends_the_file_there() {
        for end in ["\n", "\r", "\0"] {
            for (length, expected) in [(LINE_LIMIT - 1, "2"), (LINE_LIMIT, "1")] {
                let long = "x".repeat(length);
                let read = read(&format!(
                    "kernel.panic=1{end}#{end}{long}{end}kernel.panic=2{end}"
                ));
                let text = read.assignment(2).map(|it| it.text.as_slice());
                assert_eq!(text, Some(expected.as_bytes()), "{end:?} {length}");
            }
        }
    }

    #[test]
    fn a_pattern_said_again_keeps_its_place() {
        let value = |content: &str| read(content).assignment(2).map(|it| it.text.clone());
        for (content, expected) in [
            ("kernel.p*=1\nkernel.pan*=2\n", "2"),
            ("kernel.p*=1\nkernel.pan*=2\nkernel.p*=1\n", "2"),
            ("kernel.p*=1\nkernel.pan*=2\nkernel.p*=3\n", "3"),
        ] {
            assert_eq!(
                value(content).as_deref(),
                Some(expected.as_bytes()),
                "{content}"
            );
        }
    }

    #[test]
    fn keeps_lines_up_to_a_limit_and_says_so() {
        let keep = |count: usize| {
            let mut read = SysctlD {
                lines: Some(Vec::new()),
                ..SysctlD::default()
            };
            let content = "kernel.panic = 1\n".repeat(count);
            read.add_file(Path::new("10.conf"), content.as_bytes());
            (read.lines().len(), read.problems().count())
        };
        assert_eq!(keep(LINES), (LINES, 0));
        assert_eq!(keep(LINES + 1), (LINES, 1));
    }

    #[test]
    fn what_is_no_file_or_no_folder_is_no_problem() {
        let root = std::env::temp_dir().join(format!("kubelet-tunables-d-{}", std::process::id()));
        let folder = root.join("etc/sysctl.d");
        fs::create_dir_all(&folder).unwrap();
        for (name, target) in [("10.conf", "."), ("20.conf", "nowhere")] {
            std::os::unix::fs::symlink(target, folder.join(name)).unwrap();
        }
        fs::create_dir(root.join("run")).unwrap();
        fs::write(root.join("run/sysctl.d"), "kernel.panic=1\n").unwrap();
        let read = SysctlD::read(&Root::machine(&root), &[]);
        fs::remove_dir_all(root).unwrap();
        assert!(read.doubt(2).is_none(), "{:?}", read.problems);
    }
}
