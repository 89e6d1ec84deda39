//! Lists the files of sysctl.d(5) as systemd-sysctl finds them, and tells which of those with the same name is read.

use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, RawDir, Stat};
use rustix::io::Errno;

use super::Unread;
use crate::boot::When;
use crate::files::root::Root;

/// The folders, the first of which wins over the others for a file of the same name.
const FOLDERS: [&str; 4] = [
    "etc/sysctl.d",
    VOLATILE_FOLDER,
    "usr/local/lib/sysctl.d",
    "usr/lib/sysctl.d",
];
/// The directory that is empty at boot.
pub(crate) const VOLATILE_FOLDER: &str = "run/sysctl.d";
/// A fifth, on a machine whose /lib is not a link into /usr.
const SPLIT_USR_FOLDER: &str = "lib/sysctl.d";
/// Bytes of names asked for at once.
const FOLDER_BUFFER: usize = 4 << 10;

/// The boots that read a file which nothing hides.
pub(super) const ALWAYS: &[When] = &[When::Now, When::NextBoot];
/// The boots that read a file which another one hides unless it is volatile.
const NOW: &[When] = &[When::Now];

/// A file in one of the folders.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: OsString,
    folder: &'static str,
    pub(super) kind: FileType,
    /// The boots that read it; none if a file of the same name hides it.
    pub(super) read_at: &'static [When],
}

impl File {
    pub(super) fn path(&self) -> PathBuf {
        Path::new(self.folder).join(&self.name)
    }

    pub(super) fn is_volatile(&self) -> bool {
        self.folder == VOLATILE_FOLDER
    }
}

/// Lists the files of all folders but the `ignored`, by their names, which is the order of reading whatever the folder.
/// Then the folders that could not be listed.
pub(super) fn list(root: &Root, ignored: &[PathBuf]) -> (Vec<File>, Vec<Unread>) {
    let (mut files, mut unlisted) = (Vec::new(), Vec::new());
    let lib = root.lstat("lib").map(|lib| kind_of(&lib));
    let split_usr_folder = lib.is_ok_and(FileType::is_dir).then_some(SPLIT_USR_FOLDER);
    for folder in FOLDERS.into_iter().chain(split_usr_folder) {
        if ignored.iter().any(|ignored| ignored == Path::new(folder)) {
            continue;
        }
        if let Err(error) = list_folder(root, folder, &mut files) {
            let is_volatile = folder == VOLATILE_FOLDER;
            let read_at = if is_volatile { NOW } else { ALWAYS };
            unlisted.push(Unread::new(Path::new(folder), read_at, error));
        }
    }
    files.retain(|file| ignored.is_empty() || !ignored.contains(&file.path()));
    // The sort is stable: of the same name, those of the first folder come first.
    files.sort_by(|one, other| one.name.cmp(&other.name));
    for same_name in files.chunk_by_mut(|one, other| one.name == other.name) {
        let next = same_name.iter().position(|file| !file.is_volatile());
        if let Some(next) = next {
            same_name[next].read_at = &[When::NextBoot];
        }
        same_name[0].read_at = if next == Some(0) { ALWAYS } else { NOW };
    }
    (files, unlisted)
}

fn list_folder(root: &Root, folder: &'static str, files: &mut Vec<File>) -> Result<(), Errno> {
    let open = match root.open_folder(folder) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        open => open?,
    };
    let mut buffer = [MaybeUninit::uninit(); FOLDER_BUFFER];
    let mut entries = RawDir::new(open, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = match entry {
            // The folder itself was removed meanwhile.
            Err(Errno::NOENT) => break,
            entry => entry?,
        };
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if !is_configuration(name) {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems leave it open. What cannot be looked at cannot be read either, which says why.
            FileType::Unknown => {
                let stat = root.lstat(Path::new(folder).join(name));
                stat.map_or(FileType::Unknown, |stat| kind_of(&stat))
            }
            kind => kind,
        };
        files.push(File {
            name: name.to_os_string(),
            folder,
            kind,
            read_at: &[],
        });
    }
    Ok(())
}

fn kind_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// True if systemd reads a file of this name.
pub(crate) fn is_configuration(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".conf") && !name.starts_with(b".")
}
