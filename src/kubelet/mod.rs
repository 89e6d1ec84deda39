//! Reads kubelet's command line and configuration files as kubelet does, down to protectKernelDefaults.

pub mod command;
pub mod config;
pub mod flags;
mod json;
mod value;
mod yaml;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::files::file;
use crate::files::root::{Root, clean};
use config::Settings;
use flags::Arguments;
pub use value::{ConfigError, Reason, SetBy};
use value::{refused, unknown};

/// Bytes read of all files at the most; kubeadm's configuration has about a thousand, and a `ConfigMap` holds no more.
const FILE_LIMIT: u64 = 1 << 20;
/// Files and folders that are listed at the most.
const ENTRY_LIMIT: usize = 10_000;
/// The number of /dev/null, which holds nothing in any container.
const NULL_DEVICE: u64 = 0x103;

/// The settings of a kubelet, as far as they matter here.
#[derive(Debug, PartialEq, Eq)]
pub struct Kubelet {
    /// Its behavior when a tunable differs.
    pub protection: Protection,
    /// The feature gate `KubeletInUserNamespace` as flags and files set it; none where they do not.
    pub in_user_namespace: Option<bool>,
}

/// Kubelet's behavior when a tunable differs.
#[derive(Debug, PartialEq, Eq)]
pub enum Protection {
    /// protectKernelDefaults is true: kubelet dies of a tunable that differs.
    On(SetBy),
    /// It is false: kubelet sets the tunables itself.
    Off(SetBy),
    /// The file of `--config` does not exist: kubelet is not configured yet, and fails.
    NotThereYet(PathBuf),
    /// With this word a kubelet that has the flag `--runonce` never looks at its tunables.
    RunsOnce(String),
    /// Kubelet will fail before it looks at its tunables.
    Fails(Reason),
    /// It is not known.
    Unknown(Reason),
}

impl From<ConfigError> for Protection {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Refused(reason) => Self::Fails(reason),
            ConfigError::Unknown(reason) => Self::Unknown(reason),
        }
    }
}

/// Reads the settings of a kubelet with this command line, whose first word is the program, when it is started in the
/// working directory.
///
/// The flag beats `--config-dir`, which beats `--config`. Source: `NewKubeletCommand` in kubernetes'
/// `cmd/kubelet/app/server.go`.
pub fn read(root: &Root, working_directory: &Path, command_line: &[OsString]) -> Kubelet {
    let (protection, in_user_namespace) = match Arguments::parse(command_line) {
        Err(why) => (Protection::Fails(why.into()), None),
        Ok(Arguments {
            run_once: Some(word),
            ..
        }) => (Protection::RunsOnce(word), None),
        Ok(arguments) => {
            let mut files = Files {
                root,
                working_directory,
                left: FILE_LIMIT,
                entries_left: ENTRY_LIMIT,
                settings: arguments.initial.clone(),
            };
            let read = files.read(&arguments);
            decide(arguments, read.map(|()| files.settings))
        }
    };
    Kubelet {
        protection,
        in_user_namespace,
    }
}

/// Puts the flags over what the files set.
fn decide(arguments: Arguments, read: Result<Settings, Protection>) -> (Protection, Option<bool>) {
    let gate_of_files = read.as_ref().ok().and_then(|it| it.in_user_namespace);
    let gate = arguments.flags.in_user_namespace.or(gate_of_files);
    let protection = match (read, arguments.flags.protect, arguments.dynamic) {
        // A kubelet that takes the files that we do not know goes by the flag.
        (Ok(_) | Err(Protection::Unknown(_)), Some(setting), _) => on_or_off(setting),
        (Err(protection), ..) => protection,
        // Source: `kubeletConfigFlagPrecedence`, which kubelet applies to that file too.
        (Ok(_), None, Some(word)) => {
            let why = "kubelet up to 1.23 may take its configuration from the API server";
            Protection::Unknown(format!("with {word}, {why}").into())
        }
        (Ok(settings), ..) => on_or_off(settings.protect.unwrap_or((false, SetBy::Default))),
    };
    (protection, gate)
}

/// Returns true if kubelet is to read a file whose path depends on its working directory.
pub fn has_relative_path(command_line: &[OsString]) -> bool {
    Arguments::parse(command_line).is_ok_and(|arguments| {
        let mut paths = arguments.config.iter().chain(&arguments.config_dir);
        paths.any(|path| Path::new(path).is_relative())
    })
}

fn on_or_off((on, set_by): (bool, SetBy)) -> Protection {
    let protection = if on { Protection::On } else { Protection::Off };
    protection(set_by)
}

/// Kubelet's files, as it looks for them.
struct Files<'a> {
    root: &'a Root,
    working_directory: &'a Path,
    /// Bytes that may still be read.
    left: u64,
    /// Names that may still be listed.
    entries_left: usize,
    /// What those that were read set.
    settings: Settings,
}

impl Files<'_> {
    fn read(&mut self, arguments: &Arguments) -> Result<(), Protection> {
        if let Some(config) = &arguments.config {
            let path = self.clean(Path::new(config));
            let content = self.content(&path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Protection::NotThereYet(path.clone()),
                _ => unreadable(&path, error),
            })?;
            self.settings.add_config(&content, &path)?;
        }
        if let Some(folder) = &arguments.config_dir {
            // The folder itself is looked for as it is spelt, and where it is a link it is not followed: neither listed
            // nor, unless it ends in .conf, read.
            let folder = self.working_directory.join(folder);
            let stat = self.root.lstat(&folder);
            let stat = stat.map_err(|error| unreadable(&folder, error))?;
            let is_folder = FileType::from_raw_mode(stat.st_mode).is_dir();
            self.walk(&folder, is_folder)?;
        }
        Ok(())
    }

    /// Puts the file over the others if it ends in `.conf`, or those in the folder, by their names in the order of bytes.
    ///
    /// Source: Go's `filepath.WalkDir`.
    fn walk(&mut self, path: &Path, is_folder: bool) -> Result<(), Protection> {
        if !is_folder {
            let name = path.file_name().unwrap_or_default();
            if name.as_bytes().ends_with(b".conf") {
                let place = self.clean(path);
                let content = self.content(&place);
                let content = content.map_err(|error| unreadable(path, error))?;
                self.settings.add_drop_in(&content, &place)?;
            }
            return Ok(());
        }
        let listing = self.root.list(path);
        let entries: Result<BTreeMap<_, _>, _> =
            listing.and_then(|listing| listing.take(self.entries_left + 1).collect());
        let entries = entries.map_err(|error| unreadable(path, error))?;
        let Some(left) = self.entries_left.checked_sub(entries.len()) else {
            let why = format!("there are more than {ENTRY_LIMIT} files in it");
            return Err(unknown(why).in_file(path).into());
        };
        self.entries_left = left;
        entries.into_iter().try_for_each(|(name, kind)| {
            let path = self.clean(&path.join(name));
            self.walk(&path, kind.is_dir())
        })
    }

    /// Makes the path absolute, and cleans it as text before it is opened.
    fn clean(&self, path: &Path) -> PathBuf {
        clean(&self.working_directory.join(path))
    }

    fn content(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.root.open(path)?;
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        let is_null = kind.is_char_device() && metadata.rdev() == NULL_DEVICE;
        if !(kind.is_file() || kind.is_dir() || is_null) {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut content = Vec::new();
        file::read_to_end(&file, self.left, &mut content).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge if self.left < FILE_LIMIT => {
                let limit = FILE_LIMIT >> 20;
                io::Error::other(format!("with the others it is longer than {limit} MiB"))
            }
            _ => error,
        })?;
        self.left -= content.len() as u64;
        Ok(content)
    }
}

/// Decides whether kubelet fails on this file too. Other errors may be over when kubelet reads it, such as a limit on open
/// files or a disk that hangs.
fn unreadable(path: &Path, error: impl Into<io::Error>) -> Protection {
    let error = error.into();
    let text = error.to_string();
    // The system's words without the number that Rust puts behind them.
    let why = text.split(" (os error").next().unwrap_or_default();
    let error = match Errno::from_io_error(&error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::NAMETOOLONG | Errno::LOOP) => {
            refused(why)
        }
        _ => unknown(why),
    };
    error.in_file(path).into()
}

#[cfg(test)]
mod tests {
    use std::fs;

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
            match read(
                &Root::machine(&root),
                Path::new("/"),
                &words.map(OsString::from),
            )
            .protection
            {
                Protection::On(_) => "on",
                Protection::Off(_) => "off",
                Protection::NotThereYet(_) => "not there yet",
                Protection::RunsOnce(_) => "runs once",
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
        assert!(matches!(
            unreadable(Path::new("/x"), Errno::MFILE),
            Protection::Unknown(_)
        ));
    }

    fn kubelet(root: &Path, words: &str) -> Kubelet {
        let line: Vec<_> = format!("kubelet {words}")
            .split_whitespace()
            .map(OsString::from)
            .collect();
        read(&Root::machine(root), Path::new("/node"), &line)
    }

    fn said(protection: &Protection) -> String {
        let place = |ground: &SetBy| match ground {
            SetBy::Default => "by default".to_string(),
            SetBy::Flag(word) => format!("by {word}"),
            SetBy::File { path, line } => format!("in {}:{line}", path.display()),
        };
        match protection {
            Protection::On(ground) => format!("on {}", place(ground)),
            Protection::Off(ground) => format!("off {}", place(ground)),
            Protection::NotThereYet(path) => format!("{} is not there yet", path.display()),
            Protection::RunsOnce(word) => format!("runs once by {word}"),
            Protection::Fails(why) => format!("fails: {why}"),
            Protection::Unknown(why) => format!("not known: {why}"),
        }
    }

    /// Files of a node, which are removed with it.
    struct Node(PathBuf);

    impl Node {
        fn new(name: &str) -> Self {
            use std::os::unix::fs::symlink;
            let name = format!("kubelet-tunables-{name}-{}", std::process::id());
            let root = std::env::temp_dir().join(name);
            let head = "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\n";
            for folder in ["node/d/sub", "elsewhere/inner", "empty"] {
                fs::create_dir_all(root.join(folder)).unwrap();
            }
            for (name, text) in [
                ("node/on", "protectKernelDefaults: true\n"),
                ("node/anchor", "x: &a y\nprotectKernelDefaults: true\n"),
                ("node/d/10.conf", "protectKernelDefaults: true\n"),
                ("node/d/sub/.conf", "protectKernelDefaults: false\n"),
                ("node/d/z.yaml", "protectKernelDefaults: true\n"),
                (
                    "node/x.conf",
                    "featureGates: {KubeletInUserNamespace: true, X: false}\n",
                ),
                ("elsewhere/off", "protectKernelDefaults: false\n"),
                ("elsewhere/on", "protectKernelDefaults: true\n"),
            ] {
                fs::write(root.join(name), format!("{head}{text}")).unwrap();
            }
            symlink("d", root.join("node/l")).unwrap();
            symlink("../elsewhere/inner", root.join("node/inner")).unwrap();
            symlink("/dev/null", root.join("empty/null.conf")).unwrap();
            Self(root)
        }

        fn protection(&self, words: &str) -> String {
            said(&kubelet(&self.0, words).protection)
        }
    }

    impl Drop for Node {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn finds_files_as_kubelet_does() {
        let node = Node::new("f");
        for (words, expected) in [
            ("", "off by default"),
            ("--config=on", "on in /node/on:3"),
            ("--config=./x/../on", "on in /node/on:3"),
            ("--config=/node/inner/../on", "on in /node/on:3"),
            ("--config=nowhere", "/node/nowhere is not there yet"),
            ("--config=/dev/null", "/dev/null is not there yet"),
            ("--config-dir=d", "off in /node/d/sub/.conf:3"),
            ("--config=on --config-dir=l", "on in /node/on:3"),
            ("--config=on --config-dir=l/", "off in /node/l/sub/.conf:3"),
            ("--config=on --config-dir=on", "on in /node/on:3"),
            (
                "--config=../elsewhere/off --config-dir=on",
                "off in /elsewhere/off:3",
            ),
            ("--config=on --config-dir=x.conf", "on in /node/on:3"),
            ("--config-dir=d/10.conf", "on in /node/d/10.conf:3"),
            (
                "--enable-load-reader --protect-kernel-defaults --config-dir=x.conf",
                "on by --protect-kernel-defaults",
            ),
            (
                "--enable-load-reader --protect-kernel-defaults --config-dir=d",
                "off in /node/d/sub/.conf:3",
            ),
            (
                "--protect-kernel-defaults=false --config=on",
                "off by --protect-kernel-defaults=false",
            ),
        ] {
            assert_eq!(node.protection(words), expected, "{words}");
        }
        for words in [
            "--config=on --config-dir=nowhere",
            "--config-dir=x.conf/",
            "--config-dir=/empty",
        ] {
            let protection = kubelet(&node.0, words).protection;
            assert!(
                matches!(protection, Protection::Fails(_)),
                "{words}: {protection:?}"
            );
        }
        let of_null = kubelet(Path::new("/"), "--config=/dev/null").protection;
        assert_eq!(said(&of_null), "fails: /dev/null: it is empty");
    }

    #[test]
    fn flags_beat_files() {
        let node = Node::new("g");
        for (words, expected) in [
            ("--config-dir=x.conf", Some(true)),
            ("--config=x.conf", Some(true)),
            ("--config=on --feature-gates=AllBeta=false", None),
            (
                "--config-dir=x.conf --feature-gates=KubeletInUserNamespace=0",
                Some(false),
            ),
            ("--config=anchor --protect-kernel-defaults", None),
            (
                "--config=anchor --feature-gates=KubeletInUserNamespace=1",
                Some(true),
            ),
        ] {
            let gate = kubelet(&node.0, words).in_user_namespace;
            assert_eq!(gate, expected, "{words}");
        }
        for (words, expected) in [
            (
                "--config=anchor",
                "not known: /node/anchor:3:4: kubelet-tunables does not read anchors",
            ),
            (
                "--config=anchor --protect-kernel-defaults",
                "on by --protect-kernel-defaults",
            ),
            ("--config=nowhere --runonce", "runs once by --runonce"),
            ("--config=on --runonce=false", "on in /node/on:3"),
            ("--runonce --x=y z", "fails: unknown command \"z\""),
        ] {
            assert_eq!(node.protection(words), expected, "{words}");
        }
        for (words, expected) in [
            ("--dynamic-config-dir=/x", "not known"),
            (
                "--dynamic-config-dir /x --protect-kernel-defaults=false",
                "off",
            ),
            ("--dynamic-config-dir=", "off"),
        ] {
            let said = node.protection(words);
            assert!(said.starts_with(expected), "{words}: {said}");
        }
    }

    #[test]
    fn all_files_together_have_a_limit_that_a_flag_passes_by() {
        let root = std::env::temp_dir().join(format!("kubelet-tunables-l-{}", std::process::id()));
        fs::create_dir_all(root.join("d")).unwrap();
        let head = "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\n";
        for name in ["1.conf", "2.conf", "3.conf"] {
            fs::write(
                root.join("d").join(name),
                format!("{head}{}\n", "#".repeat(400_000)),
            )
            .unwrap();
        }
        let words = "--config-dir=/d";
        assert_eq!(
            said(&kubelet(&root, words).protection),
            "not known: /d/3.conf: with the others it is longer than 1 MiB"
        );
        let protection = kubelet(&root, &format!("{words} --protect-kernel-defaults")).protection;
        assert!(
            matches!(protection, Protection::On(SetBy::Flag(_))),
            "{protection:?}"
        );
        fs::remove_dir_all(&root).unwrap();
    }
}
