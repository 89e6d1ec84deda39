//! Owns what kubelet was told: its arguments and its configuration files, down to protectKernelDefaults.

pub mod arguments;
pub mod config;
mod json;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::file;
use arguments::Arguments;
use config::{Refusal, Value};

/// Bytes read of one file at the most; kubeadm's configuration has about a thousand, and a `ConfigMap` holds no more.
const FILE_LIMIT: u64 = 1 << 20;

/// What kubelet makes of its words and files.
#[derive(Debug, PartialEq, Eq)]
pub struct Kubelet {
    /// What it will do about its tunables.
    pub protection: Protection,
    /// The feature gate `KubeletInUserNamespace` as flags and files set it; none where nothing says.
    pub in_user_namespace: Option<bool>,
    /// A word that kubelets of some versions refuse, and why.
    pub may_refuse: Option<String>,
}

/// What kubelet will do about its tunables.
#[derive(Debug, PartialEq, Eq)]
pub enum Protection {
    /// protectKernelDefaults is true: kubelet dies of a tunable that differs.
    On(Ground),
    /// It is false: kubelet sets the tunables itself.
    Off(Ground),
    /// The file of `--config` does not exist: kubelet is not configured yet, and fails.
    NotThereYet(PathBuf),
    /// Kubelet will fail before it looks at its tunables, and why.
    Fails(String),
    /// It cannot be known, and why.
    Unknown(String),
}

/// Where protectKernelDefaults gets its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// Nothing says anything.
    Default,
    /// A flag, word for word.
    Flag(String),
    /// A line of a file, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "by default"),
            Self::Flag(word) => write!(f, "by kubelet's flag {word}"),
            Self::File { path, line } => write!(f, "in {}:{line}", path.display()),
        }
    }
}

/// Reads what a kubelet of this command line, whose first word is the program, makes of it when it is started in the
/// working directory.
pub fn read(root: &Path, _working_directory: &Path, command_line: &[OsString]) -> Kubelet {
    Kubelet {
        protection: protection(root, command_line),
        in_user_namespace: None,
        may_refuse: None,
    }
}

/// What a kubelet of this command line, whose first word is the program, will do about its tunables.
///
/// The flag beats `--config-dir`, which beats `--config`. Source: `NewKubeletCommand` in kubernetes'
/// `cmd/kubelet/app/server.go`.
pub fn protection(root: &Path, command_line: &[OsString]) -> Protection {
    match settle(root, command_line) {
        Ok((true, ground)) => Protection::On(ground),
        Ok((false, ground)) => Protection::Off(ground),
        Err(protection) => protection,
    }
}

fn settle(root: &Path, command_line: &[OsString]) -> Result<(bool, Ground), Protection> {
    let arguments = Arguments::parse(command_line).map_err(Protection::Fails)?;
    let mut files = Vec::new();
    if let Some(config) = arguments.config {
        let config = absolute(&config);
        if let Err(error) = file::open(&under(root, &config))
            && error.kind() == io::ErrorKind::NotFound
        {
            return Err(Protection::NotThereYet(config));
        }
        files.push(config);
    }
    if let Some(folder) = arguments.config_dir {
        walk(root, &absolute(&folder), &mut files)?;
    }
    let mut settled = (false, Ground::Default);
    for path in files {
        let content = content(root, &path)?;
        let value = config::parse(&content).map_err(|refusal| match refusal {
            Refusal::ByKubelet(why) => Protection::Fails(format!("{}: {why}", path.display())),
            Refusal::ByUs(why) => Protection::Unknown(format!("{}: {why}", path.display())),
        })?;
        match value {
            Value::Absent => {}
            Value::Null => settled = (false, Ground::Default),
            Value::Bool(value, line) => settled = (value, Ground::File { path, line }),
        }
    }
    Ok(match arguments.flag {
        Some((value, word)) => (value, Ground::Flag(word)),
        None => settled,
    })
}

/// Kubelet's working directory is /.
fn absolute(path: &std::ffi::OsStr) -> PathBuf {
    Path::new("/").join(path)
}

fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Adds the files that end in `.conf`, folder by folder in the order of their names.
fn walk(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Protection> {
    let trouble = |error| trouble(folder, &error);
    let mut entries = Vec::new();
    for entry in fs::read_dir(under(root, folder)).map_err(trouble)? {
        entries.push(entry.map_err(trouble)?);
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = folder.join(entry.file_name());
        if entry.file_type().map_err(trouble)?.is_dir() {
            walk(root, &path, files)?;
        } else if entry.file_name().as_bytes().ends_with(b".conf") {
            files.push(path);
        }
    }
    Ok(())
}

fn content(root: &Path, path: &Path) -> Result<Vec<u8>, Protection> {
    let trouble = |error| trouble(path, &error);
    let file = file::open(&under(root, path)).map_err(trouble)?;
    let kind = file.metadata().map_err(trouble)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(Protection::Unknown(format!(
            "{} is not a regular file",
            path.display()
        )));
    }
    let mut content = Vec::new();
    file::read_to_end(&file, FILE_LIMIT, &mut content).map_err(trouble)?;
    Ok(content)
}

/// A path that leads nowhere makes kubelet fail too. What else keeps us from a file, such as a limit on open files or a
/// disk that hangs, may be over when kubelet comes to it.
fn trouble(path: &Path, error: &io::Error) -> Protection {
    let why = format!("{} could not be read: {error}", path.display());
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidFilename => Protection::Fails(why),
        // ErrorKind has no stable name for it.
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Protection::Fails(why),
        _ => Protection::Unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_the_file_from_us_and_from_kubelet() {
        let root = std::env::temp_dir().join(format!("kubelet-tunables-k-{}", std::process::id()));
        fs::create_dir_all(root.join("folder")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        let body = "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\nprotectKernelDefaults: true\n";
        for (name, over) in [("full", 0), ("over", 1)] {
            let limit = usize::try_from(FILE_LIMIT).unwrap();
            let comment = "#".repeat(limit - body.len() + over);
            fs::write(root.join(name), format!("{body}{comment}")).unwrap();
        }
        let of = |name: &str| {
            let words = ["kubelet".to_string(), format!("--config=/{name}")];
            match protection(&root, &words.map(OsString::from)) {
                Protection::On(_) => "on",
                Protection::Off(_) => "off",
                Protection::NotThereYet(_) => "not there yet",
                Protection::Fails(_) => "fails",
                Protection::Unknown(_) => "unknown",
            }
        };
        for (name, expected) in [
            ("full", "on"),
            ("over", "unknown"),
            ("folder", "fails"),
            ("loop", "fails"),
            ("nowhere", "not there yet"),
            ("full/below", "fails"),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
        fs::remove_dir_all(&root).unwrap();
        let refused = io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
        assert!(matches!(
            trouble(Path::new("/x"), &refused),
            Protection::Unknown(_)
        ));
    }
}
