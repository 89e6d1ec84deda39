//! Writes the one file in /etc/sysctl.d that makes the six permanent.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::iter::successors;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::fs::{fchmod, mkdirat, openat, renameat, renameat_with, statat, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use crate::boot::sysctl_d::is_configuration;
use crate::boot::{Boot, Origin, When};
use crate::files::file;
use crate::files::root::Root;
use crate::tunable::TUNABLES;

/// The folder of the administrator's files, which win over files of the same name elsewhere.
const FOLDER: &str = "etc/sysctl.d";
/// Names to choose from before one is made from the file to sort behind.
const NAMES: [&str; 2] = ["90-kubelet.conf", "zz-kubelet.conf"];
/// Every name chosen ends so.
const NAME_END: &str = "kubelet.conf";
/// The longest name that Linux file systems take (`NAME_MAX`).
const NAME_LIMIT: usize = 255;
/// A file with this name, and the number of a process behind it, is being written. systemd reads no hidden file.
const TEMPORARY: &str = ".kubelet-tunables-";
/// The first line, by which a later run knows the file.
const MARK: &str = "# Written by kubelet-tunables --modify --persist. See kubelet-tunables(8).";
/// The second line. A file of ours with another one is ours too.
const WARNING: &str = "# Do not edit: kubelet-tunables may overwrite this file.";
/// Bytes that a file of ours may have; it is written with less than one thousand.
const LIMIT: u64 = 1 << 20;

/// The last step: writing a folder's entries to the disk.
const SYNC: &str = "write to the disk";

const MODE: Mode = Mode::from_raw_mode(0o644);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// The files that were changed. Their paths are those seen from outside of the root.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Persisted {
    /// The file that was written; none if the next boot would set all six right without it.
    pub file: Option<PathBuf>,
    /// Older files of ours that were removed.
    pub removed: Vec<PathBuf>,
    /// The lines that would set one of the six to a wrong value without the file: path and number.
    pub overridden: Vec<(PathBuf, usize)>,
}

/// Makes sure that the next boot sets all six as kubelet needs them, with one file in /etc/sysctl.d below `root`.
///
/// It writes nothing if the next boot is right already. It replaces and removes only files that it wrote, and hides none
/// of another folder. What the next boot makes of the six afterwards, a new [`Boot`] tells.
///
/// # Errors
///
/// When the system refuses a step, or no file name sorts behind all files that win. Unless the step came after the
/// renaming, /etc/sysctl.d has the files that it had before.
pub fn persist(root: &Root) -> Result<Persisted, PersistError> {
    if is_right(&Boot::new(root)) {
        return Ok(Persisted::default());
    }
    let folder = Folder::open(root)?;
    let ours = folder.our_files()?;
    let paths = ours.iter().map(|name| Path::new(FOLDER).join(name));
    let others = Boot::without(root, paths.collect());
    let name = choose(&ours, &others)?;
    folder.write(&name, ours.contains(&name))?;
    let mut removed = Vec::new();
    for old in ours.iter().filter(|old| **old != name) {
        // One that hides a file of another folder stays: without it that file would set its other tunables.
        if !others.sysctl_d().has_file(old) {
            let path = folder.path.join(old);
            folder.unlink(old).map_err(failed("remove", &path))?;
            removed.push(path);
        }
    }
    sync(&folder.open).map_err(failed(SYNC, &folder.path))?;
    Ok(Persisted {
        file: Some(folder.path.join(&name)),
        removed,
        overridden: overridden(root, &others),
    })
}

/// True if all six are right after the next boot, and were if systemd-sysctl ran now.
fn is_right(boot: &Boot) -> bool {
    let is_right = |when| {
        let mut rows = TUNABLES.iter();
        rows.all(|row| boot.value(row, when).ok() == Some(row.expected))
    };
    is_right(When::Now) && is_right(When::NextBoot)
}

/// Lists the lines that set one of the six to a wrong value at the next boot.
fn overridden(root: &Root, others: &Boot) -> Vec<(PathBuf, usize)> {
    let wrong_line = |tunable| {
        let value = others.value(tunable, When::NextBoot).ok();
        let wrong = value.filter(|value| *value != tunable.expected)?;
        match others.origin(tunable, wrong, When::NextBoot) {
            Origin::File(line) => Some((root.place(&line.path), line.line)),
            _ => None,
        }
    };
    let lines: BTreeSet<_> = TUNABLES.iter().filter_map(wrong_line).collect();
    lines.into_iter().collect()
}

/// Chooses the name of our file: read after all that sets one of the six otherwise, and the name of no other file.
fn choose(ours: &[OsString], others: &Boot) -> Result<OsString, PersistError> {
    let last = others.sysctl_d().last_obstacle();
    let last_name = last.and_then(Path::file_name);
    let is_last = |name: &OsStr| last_name.is_none_or(|last| name > last);
    if let Some(name) = ours.iter().find(|name| is_last(name)) {
        return Ok(name.clone());
    }
    let first = OsStr::new(NAMES[0]);
    let made = behind(last_name.map_or(first, |last| last.max(first)));
    NAMES
        .map(OsString::from)
        .into_iter()
        .chain(successors(Some(made), |name| Some(behind(name))))
        .take_while(|name| name.len() <= NAME_LIMIT)
        .find(|name| is_last(name) && !others.sysctl_d().has_file(name))
        .ok_or_else(|| PersistError::NoName {
            last: last.unwrap_or(first.as_ref()).to_path_buf(),
        })
}

/// Makes a name that sorts behind this one: `99-a.kubelet.conf` behind `99-a.conf`.
fn behind(name: &OsStr) -> OsString {
    let name = name.as_bytes();
    let stem = name.strip_suffix(b".conf").unwrap_or(name);
    OsString::from_vec([stem, b".", NAME_END.as_bytes()].concat())
}

/// True if a run of ours gave a file this name while it wrote it.
fn is_temporary(name: &OsStr) -> bool {
    let number = name.as_bytes().strip_prefix(TEMPORARY.as_bytes());
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

fn content() -> String {
    let mut text = format!("{MARK}\n{WARNING}\n");
    for row in TUNABLES {
        let (name, value) = (row.name, row.expected);
        let (first, rest) = row.reason.split_at(1);
        let first = first.to_ascii_uppercase();
        let _ = writeln!(text, "\n# {first}{rest}.\n{name} = {value}");
    }
    text
}

/// True if we wrote this file, and nobody added another tunable to it.
fn is_ours(content: &[u8]) -> bool {
    let Some(rest) = content.strip_prefix(MARK.as_bytes()) else {
        return false;
    };
    let is_row = |name: &[u8]| TUNABLES.iter().any(|row| row.name.as_bytes() == name);
    // systemd ends a line at each of the three.
    let mut lines = rest.split(|byte| matches!(byte, b'\n' | b'\r' | 0));
    lines.next() == Some(&[])
        && lines.map(<[u8]>::trim_ascii).all(|line| {
            let name = line.split(|&byte| byte == b'=').next().unwrap_or_default();
            matches!(line.first(), None | Some(b'#' | b';')) || is_row(name.trim_ascii())
        })
}

/// The folder that is written to, kept open so that renaming it cannot redirect us.
struct Folder {
    path: PathBuf,
    open: OwnedFd,
}

impl Folder {
    /// Opens it, and makes it where it is missing.
    fn open(root: &Root) -> Result<Self, PersistError> {
        let path = root.place(Path::new(FOLDER));
        let open = match root.open_folder(FOLDER) {
            Err(Errno::NOENT) => Self::make(root, &path)?,
            open => open.map_err(failed("open", &path))?,
        };
        Ok(Self { path, open })
    }

    fn make(root: &Root, path: &Path) -> Result<OwnedFd, PersistError> {
        let parent = root.place(Path::new("etc"));
        let open = |folder, path| root.open_folder(folder).map_err(failed("open", path));
        let etc = open("etc", &parent)?;
        let made = retry_on_intr(|| mkdirat(&etc, "sysctl.d", FOLDER_MODE));
        // A link that leads nowhere, or somebody else has just made the folder.
        if made == Err(Errno::EXIST) {
            return open(FOLDER, path);
        }
        made.map_err(failed("create", path))?;
        let folder = open(FOLDER, path)?;
        // The umask may have taken rights away.
        fchmod(&folder, FOLDER_MODE).map_err(failed("create", path))?;
        sync(&etc).map_err(failed(SYNC, &parent))?;
        Ok(folder)
    }

    /// Lists the files that we wrote, and removes what a run left that was killed while it wrote.
    fn our_files(&self) -> Result<Vec<OsString>, PersistError> {
        let mut ours = Vec::new();
        let list = failed("list", &self.path);
        for entry in Dir::read_from(&self.open).map_err(&list)? {
            let entry = entry.map_err(&list)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if is_temporary(name) {
                // If this fails, so does what follows, and says why.
                let _ = self.unlink(name);
            } else if is_configuration(name)
                && name.as_bytes().ends_with(NAME_END.as_bytes())
                && self.read(name).is_ok_and(|content| is_ours(&content))
            {
                ours.push(name.to_os_string());
            }
        }
        ours.sort();
        Ok(ours)
    }

    /// Reads a regular file. One that cannot be read is none of ours.
    fn read(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        // Opening a device can have an effect.
        let stat = statat(&self.open, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode).is_file() {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = File::from(openat(&self.open, name, flags, Mode::empty())?);
            file::read_to_end(&file, LIMIT, &mut content)?;
        }
        Ok(content)
    }

    /// Puts the file there, whole or not at all; unless it `replaces` one of ours, no file of that name may be there.
    fn write(&self, name: &OsStr, replaces: bool) -> Result<(), PersistError> {
        let path = self.path.join(name);
        let temporary = OsString::from(format!("{TEMPORARY}{}", std::process::id()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = retry_on_intr(|| openat(&self.open, &temporary, flags, MODE))
            .map_err(failed("create", &path))?;
        let rename = || self.rename(&temporary, name, replaces);
        let outcome = fill(file.into())
            .map_err(failed("write", &path))
            .and_then(|()| rename().map_err(failed("rename a temporary file to", &path)));
        if outcome.is_err() {
            // What remains if this fails too, systemd does not read, and the next run removes.
            let _ = self.unlink(&temporary);
        }
        outcome
    }

    fn rename(&self, from: &OsStr, to: &OsStr, replaces: bool) -> Result<(), Errno> {
        let folder = &self.open;
        if !replaces {
            match retry_on_intr(|| renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE))
            {
                // Not every file system can (rename(2)). That the name was free, we saw.
                Err(Errno::INVAL | Errno::NOSYS) => {}
                outcome => return outcome,
            }
        }
        retry_on_intr(|| renameat(folder, from, folder, to))
    }

    fn unlink(&self, name: &OsStr) -> Result<(), Errno> {
        match retry_on_intr(|| unlinkat(&self.open, name, AtFlags::empty())) {
            Err(Errno::NOENT) => Ok(()),
            outcome => outcome,
        }
    }
}

/// Writes the content to the disk, readable by all whatever the umask.
fn fill(mut file: File) -> io::Result<()> {
    file.write_all(content().as_bytes())?;
    fchmod(&file, MODE)?;
    file.sync_all()
}

/// Writes a folder's entries to the disk.
fn sync(folder: &OwnedFd) -> Result<(), Errno> {
    match retry_on_intr(|| rustix::fs::fsync(folder)) {
        // The file system cannot (fsync(2)).
        Err(Errno::INVAL) => Ok(()),
        outcome => outcome,
    }
}

/// Why the six could not be made permanent.
#[derive(Debug)]
pub enum PersistError {
    /// The system refused `operation` on `path`.
    Io {
        /// The step, such as `open`.
        operation: &'static str,
        /// The file or folder, with the root.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// Every free name that sorts behind this file, which wins, is too long.
    NoName {
        /// The file, below the root.
        last: PathBuf,
    },
}

/// Makes the error of an operation on this path.
fn failed<E: Into<io::Error>>(operation: &'static str, path: &Path) -> impl Fn(E) -> PersistError {
    move |source| PersistError::Io {
        operation,
        path: path.to_path_buf(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root with these files, removed with the guard.
    struct Tree(PathBuf);

    impl Tree {
        /// Words `PATH=WHAT`; a path without a folder is in /etc/sysctl.d.
        fn new(case: &str, files: &str) -> Self {
            let name = case.replace(' ', "-");
            let name = format!("kubelet-tunables-persist-{}-{name}", std::process::id());
            let root = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&root);
            let all = format!("proc/cmdline= etc/hostname=node {files}");
            for (path, what) in all
                .split_whitespace()
                .filter_map(|file| file.split_once('='))
            {
                let folder = if path.contains('/') { "" } else { FOLDER };
                let path = root.join(folder).join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                match (what, what.strip_prefix("->")) {
                    (_, Some(target)) => symlink(target, path).unwrap(),
                    ("folder", _) => fs::create_dir(path).unwrap(),
                    _ => fs::write(path, filled(what)).unwrap(),
                }
            }
            Self(root)
        }

        fn machine(&self) -> Root {
            Root::machine(&self.0)
        }

        fn image(&self) -> Root {
            Root::image(&self.0).unwrap()
        }

        /// All files, links and folders, by path, with what they hold.
        fn files(&self) -> BTreeMap<PathBuf, String> {
            let mut files = BTreeMap::new();
            let mut folders = vec![self.0.clone()];
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    let content = if path.is_symlink() {
                        format!("-> {}", fs::read_link(&path).unwrap().display())
                    } else if path.is_dir() {
                        folders.push(path.clone());
                        "/".to_string()
                    } else {
                        fs::read_to_string(&path).unwrap()
                    };
                    files.insert(path.strip_prefix(&self.0).unwrap().to_path_buf(), content);
                }
            }
            files
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const OTHER: &str = "net.ipv4.ip_forward = 1\n";
    const SHIPPED: &str = include_str!("../systemd/90-kubelet.conf");

    /// The content that a word stands for.
    fn filled(what: &str) -> String {
        match what {
            "ours" => content(),
            "edited" => content().replace("kernel.panic = 10", "kernel.panic = 30"),
            "extended" => filled("edited") + OTHER,
            "shipped" => SHIPPED.to_string(),
            "other" => OTHER.to_string(),
            "wrong" => "kernel.panic = 0\n".to_string(),
            "refused" => "kernel.panic = ten\n".to_string(),
            "right" => "kernel.panic = 0x0a\n".to_string(),
            "pattern" => "kernel.pan* = 0\n".to_string(),
            "exclusion" => "-kernel.panic\n".to_string(),
            "patterns" => "vm.over* = 1\nkernel.pani? = 10\nkernel.panic_* = 1\n".to_string(),
            "" | "node" | "half" => what.to_string(),
            _ => panic!("{what}?"),
        }
    }

    /// What it is; the files; the file that is written; the files that are removed.
    const CASES: &str = "
        no folder | | 90-kubelet.conf |
        an empty folder | etc/sysctl.d=folder | 90-kubelet.conf |
        the shipped file | 90-kubelet.conf=shipped | |
        our file | 90-kubelet.conf=ours | |
        right by patterns and by default | usr/lib/sysctl.d/50.conf=patterns | |
        right until the reboot | run/sysctl.d/50.conf=shipped | 90-kubelet.conf |
        wrong after the reboot | 90-kubelet.conf=ours run/sysctl.d/99.conf= usr/lib/sysctl.d/99.conf=wrong | zz-kubelet.conf | 90-kubelet.conf
        an earlier file | 50.conf=wrong | 90-kubelet.conf |
        a later file | 99.conf=wrong | zz-kubelet.conf |
        a later packaged file | usr/lib/sysctl.d/99.conf=wrong | zz-kubelet.conf |
        a later file that is right | 99.conf=right | 90-kubelet.conf |
        a later pattern | 99.conf=pattern | 90-kubelet.conf |
        a later exclusion | 99.conf=exclusion | zz-kubelet.conf |
        refused by the kernel | 99.conf=refused | zz-kubelet.conf |
        a later link | 99-sysctl.conf=->../sysctl.conf etc/sysctl.conf=wrong | zz-kubelet.conf |
        a later link to itself | 99.conf=->99.conf | zz-kubelet.conf |
        later than the later name | zzz.conf=wrong | zzz.kubelet.conf |
        a third name that is taken | zzz.conf=wrong usr/lib/sysctl.d/zzz.kubelet.conf=other | zzz.kubelet.kubelet.conf |
        not ASCII | \u{e9}.conf=wrong | \u{e9}.kubelet.conf |
        an administrators file | 90-kubelet.conf=other | zz-kubelet.conf |
        a mask | 90-kubelet.conf=->/dev/null | zz-kubelet.conf |
        a link to nowhere | 90-kubelet.conf=->nowhere | zz-kubelet.conf |
        a folder | 90-kubelet.conf=folder | zz-kubelet.conf |
        a link to a file of ours | 90-kubelet.conf=->../ours etc/ours=edited | zz-kubelet.conf |
        a packaged file | usr/lib/sysctl.d/90-kubelet.conf=other | zz-kubelet.conf |
        a local file | usr/local/lib/sysctl.d/90-kubelet.conf=other | zz-kubelet.conf |
        a file of this boot | run/sysctl.d/90-kubelet.conf=other | zz-kubelet.conf |
        a file in lib | lib/sysctl.d/90-kubelet.conf=other | zz-kubelet.conf |
        both names are taken | 90-kubelet.conf=->/dev/null zz-kubelet.conf=other | 90-kubelet.kubelet.conf |
        our file edited | 90-kubelet.conf=edited | 90-kubelet.conf |
        our later file edited | zz-kubelet.conf=edited | zz-kubelet.conf |
        our file with more in it | 90-kubelet.conf=extended | zz-kubelet.conf |
        our file hidden by a dot | .90-kubelet.conf=ours | 90-kubelet.conf |
        a copy of our file | 50.conf=edited | 90-kubelet.conf |
        our file no longer wins | 90-kubelet.conf=ours 99.conf=wrong | zz-kubelet.conf | 90-kubelet.conf
        two of ours no longer win | 90-kubelet.conf=ours zz-kubelet.conf=edited zzz.conf=wrong | zzz.kubelet.conf | 90-kubelet.conf zz-kubelet.conf
        our file hides another | 90-kubelet.conf=ours usr/lib/sysctl.d/90-kubelet.conf=other 99.conf=wrong | zz-kubelet.conf |";

    #[test]
    fn says_what_the_shipped_file_says() {
        let settings = |text: &str| text[text.find("\n\n").unwrap()..].to_string();
        assert_eq!(settings(&content()), settings(SHIPPED));
    }

    #[test]
    fn writes_the_file_that_wins_and_touches_no_other() {
        for row in CASES.trim().lines() {
            let columns: Vec<_> = row.split('|').map(str::trim).collect();
            let [case, files, file, removed] = columns[..] else {
                panic!("{row}");
            };
            let tree = Tree::new(case, files);
            let mut expected = tree.files();
            let in_folder = |name: &str| Path::new(FOLDER).join(name);
            let path = |name| tree.0.join(in_folder(name));
            if !file.is_empty() {
                expected.insert(FOLDER.into(), "/".to_string());
                expected.insert(in_folder(file), content());
            }
            for old in removed.split_whitespace() {
                expected.remove(&in_folder(old));
            }
            let outcome =
                persist(&tree.machine()).unwrap_or_else(|error| panic!("{case}: {error:?}"));
            let said = Persisted {
                file: (!file.is_empty()).then(|| path(file)),
                removed: removed.split_whitespace().map(path).collect(),
                overridden: outcome.overridden.clone(),
            };
            assert_eq!(outcome, said, "{case}");
            assert_eq!(tree.files(), expected, "{case}");
            let boot = Boot::new(&tree.machine());
            assert!(is_right(&boot), "{case}");
            assert_eq!(
                persist(&tree.machine()).unwrap().file,
                None,
                "{case}: again"
            );
        }
    }

    #[test]
    fn names_the_lines_that_it_overrides() {
        for (files, lines) in [
            ("50.conf=wrong 99.conf=other", &["etc/sysctl.d/50.conf"][..]),
            (
                "usr/lib/sysctl.d/50.conf=pattern",
                &["usr/lib/sysctl.d/50.conf"],
            ),
            (
                "50.conf=edited usr/lib/sysctl.d/40.conf=wrong",
                &["etc/sysctl.d/50.conf"],
            ),
            ("50.conf=right 99.conf=refused", &[]),
            ("90-kubelet.conf=edited", &[]),
        ] {
            let tree = Tree::new("overrides", files);
            let persisted = persist(&tree.machine()).unwrap();
            let paths: Vec<_> = persisted.overridden.iter().map(|(path, _)| path).collect();
            let expected: Vec<_> = lines.iter().map(|path| tree.0.join(path)).collect();
            assert_eq!(paths, expected.iter().collect::<Vec<_>>(), "{files}");
        }
    }

    #[test]
    fn what_cannot_be_done_changes_nothing() {
        let long = format!("{}.conf", "z".repeat(NAME_LIMIT - ".conf".len()));
        for (files, expected) in [
            (format!("{long}=wrong").as_str(), None),
            ("etc/sysctl.d=->nowhere", Some(Errno::NOENT)),
            ("etc/sysctl.d=->sysctl.d", Some(Errno::LOOP)),
            ("etc/sysctl.d=", Some(Errno::NOTDIR)),
        ] {
            let tree = Tree::new("cannot", files);
            let before = tree.files();
            match (persist(&tree.machine()).expect_err(files), expected) {
                (PersistError::NoName { last }, None) => {
                    assert_eq!(last, Path::new("/").join(FOLDER).join(&long));
                }
                (
                    PersistError::Io {
                        operation,
                        path,
                        source,
                    },
                    Some(errno),
                ) => {
                    assert_eq!(operation, "open", "{files}");
                    assert_eq!(path, tree.0.join(FOLDER), "{files}");
                    assert_eq!(source.raw_os_error(), Some(errno.raw_os_error()), "{files}");
                }
                (error, _) => panic!("{files}: {error:?}"),
            }
            assert_eq!(tree.files(), before, "{files}");
        }
    }

    #[test]
    fn links_lead_nowhere_but_into_the_root() {
        let outside = Tree::new("outside", "etc/sysctl.d=folder");
        let before = outside.files();
        let path = outside.0.display();
        for link in [path.to_string(), format!("{}{path}", "../".repeat(20))] {
            let tree = Tree::new("out", &format!("etc/sysctl.d=->{link}/etc/sysctl.d"));
            let error = persist(&tree.image()).expect_err(&link);
            assert!(
                matches!(&error, PersistError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound),
                "{link}: {error:?}"
            );
        }
        assert_eq!(outside.files(), before);
        for link in ["/var/d", "../var/d", "../../../../var/d"] {
            let tree = Tree::new("in", &format!("etc/sysctl.d=->{link} var/d=folder"));
            persist(&tree.image()).expect(link);
            let there = fs::read_to_string(tree.0.join("var/d/90-kubelet.conf"));
            assert_eq!(there.expect(link), content(), "{link}");
        }
    }

    #[test]
    fn removes_what_a_killed_run_left() {
        let tree = Tree::new("killed", ".kubelet-tunables-1=half");
        persist(&tree.machine()).unwrap();
        let files = tree.files();
        let names: Vec<_> = files
            .keys()
            .filter(|path| path.starts_with(FOLDER))
            .collect();
        assert_eq!(
            names,
            ["etc/sysctl.d", "etc/sysctl.d/90-kubelet.conf"].map(Path::new)
        );
    }

    #[test]
    fn knows_its_own_file() {
        let ours = content();
        let cases = [
            (ours.clone(), true),
            (filled("edited"), true),
            (ours.clone() + "\n; a comment\n  vm.panic_on_oom=2", true),
            (
                ours.replace(
                    WARNING,
                    "# It may be replaced: make changes in another file.",
                ),
                true,
            ),
            (format!("{MARK}\n"), true),
            (MARK.to_string(), true),
            (String::new(), false),
            (SHIPPED.to_string(), false),
            (format!("\n{ours}"), false),
            (format!("{MARK} Or so.\n"), false),
            (ours.clone() + OTHER, false),
            (ours.clone() + "# a comment\rvm.swappiness = 1\n", false),
            (ours.clone() + "# a comment\0vm.swappiness = 1\n", false),
            (ours.clone() + "kernel.* = 1\n", false),
            (ours.clone() + "-kernel.panic\n", false),
        ];
        for (content, expected) in cases {
            assert_eq!(is_ours(content.as_bytes()), expected, "{content:?}");
        }
    }

    #[test]
    fn a_name_made_sorts_behind() {
        for name in [
            "a.conf",
            "a.b.conf",
            "-.conf",
            "zz-kubelet.conf",
            "\u{ff}.conf",
            "a..conf",
        ] {
            assert!(*behind(OsStr::new(name)) > *name, "{name}");
        }
    }
}
