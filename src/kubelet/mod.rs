//! Reads what kubelet makes of its arguments and configuration files, down to protectKernelDefaults.

pub mod config;
pub mod flags;
mod gates;
mod json;
mod yaml;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::files::file;
use crate::files::root::{Root, clean};
use config::{ConfigError, DropIns, Settings};
use flags::Arguments;

/// Bytes read of all files at the most; kubeadm's configuration has about a thousand, and a `ConfigMap` holds no more.
const FILE_LIMIT: u64 = 1 << 20;
/// Files and folders that are listed at the most.
const ENTRY_LIMIT: usize = 10_000;
/// The number of /dev/null, which holds nothing in any container.
const NULL_DEVICE: u64 = 0x103;

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
    On(SetBy),
    /// It is false: kubelet sets the tunables itself.
    Off(SetBy),
    /// The file of `--config` does not exist: kubelet is not configured yet, and fails.
    NotThereYet(PathBuf),
    /// Kubelet will fail before it looks at its tunables, and why.
    Fails(String),
    /// It cannot be known, and why.
    Unknown(String),
}

/// Where protectKernelDefaults gets its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetBy {
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

impl SetBy {
    fn in_file(path: &Path, line: usize) -> Self {
        Self::File {
            path: path.to_path_buf(),
            line,
        }
    }
}

/// Reads what a kubelet of this command line, whose first word is the program, makes of it when it is started in the
/// working directory.
///
/// The flag beats `--config-dir`, which beats `--config`. Source: `NewKubeletCommand` in kubernetes'
/// `cmd/kubelet/app/server.go`.
pub fn read(root: &Root, working_directory: &Path, command_line: &[OsString]) -> Kubelet {
    let arguments = match Arguments::parse(command_line) {
        Ok(arguments) => arguments,
        Err(why) => {
            return Kubelet {
                protection: Protection::Fails(why),
                in_user_namespace: None,
                may_refuse: None,
            };
        }
    };
    let mut files = Files {
        root,
        working_directory,
        left: FILE_LIMIT,
        entries_left: ENTRY_LIMIT,
    };
    let Arguments {
        flags,
        initial,
        may_refuse,
        dynamic,
        ..
    } = &arguments;
    let mut in_user_namespace = None;
    let mut other_gate = None;
    let read = files.read(&arguments).map(|settings| {
        let mut gates = initial.gates.clone();
        gates.put_over(&settings.gates);
        gates.put_over(&flags.gates);
        in_user_namespace = gates.in_user_namespace();
        other_gate = settings.other_gate;
        settings.protect
    });
    let by_flag = flags
        .protect
        .clone()
        .map(|(on, word)| (on, SetBy::Flag(word)));
    let protection = match (read, by_flag) {
        // A kubelet that takes the files that we do not know goes by the flag.
        (Ok(_) | Err(Protection::Unknown(_)), Some(settled)) | (Ok(Some(settled)), None) => {
            match settled {
                (true, ground) => Protection::On(ground),
                (false, ground) => Protection::Off(ground),
            }
        }
        (Ok(None), None) => Protection::Off(SetBy::Default),
        (Err(protection), _) => protection,
    };
    let is_known = matches!(protection, Protection::On(_) | Protection::Off(_));
    let protection = match dynamic {
        // Source: `kubeletConfigFlagPrecedence`, which kubelet applies to that file too.
        Some(word) if is_known && flags.protect.is_none() => Protection::Unknown(format!(
            "with {word}, kubelet up to 1.23 may take its configuration from the API server"
        )),
        _ => protection,
    };
    Kubelet {
        protection,
        in_user_namespace,
        may_refuse: may_refuse
            .clone()
            .or(other_gate.map(|name| format!("the feature gate {name}"))),
    }
}

/// Kubelet's files, as it looks for them.
struct Files<'a> {
    root: &'a Root,
    working_directory: &'a Path,
    /// Bytes that may still be read.
    left: u64,
    /// Names that may still be listed.
    entries_left: usize,
}

impl Files<'_> {
    fn read(&mut self, arguments: &Arguments) -> Result<Settings, Protection> {
        let mut settings = match &arguments.config {
            Some(config) => {
                let path = self.clean(Path::new(config));
                let content = self.content(&path).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => Protection::NotThereYet(path.clone()),
                    _ => trouble(&path, &error),
                })?;
                config::parse(&content, &path).map_err(|refusal| refused(&path, refusal))?
            }
            None => Settings {
                protect: arguments
                    .initial
                    .protect
                    .clone()
                    .map(|(on, word)| (on, SetBy::Flag(word))),
                gates: arguments.initial.gates.clone(),
                other_gate: None,
            },
        };
        if let Some(folder) = &arguments.config_dir {
            // The folder itself is looked for as it is spelt, and where it is a link it is not followed: neither listed
            // nor, unless it ends in .conf, read.
            let folder = self.working_directory.join(folder);
            let stat = self.root.lstat(&folder);
            let stat = stat.map_err(|error| trouble(&folder, &error.into()))?;
            let is_folder = FileType::from_raw_mode(stat.st_mode).is_dir();
            let mut drop_ins = DropIns::over(settings);
            self.walk(&folder, is_folder, &mut drop_ins)?;
            settings = drop_ins
                .settle()
                .map_err(|refusal| refused(&folder, refusal))?;
        }
        Ok(settings)
    }

    /// Puts the file over the others if it ends in `.conf`, or those in the folder, by their names in the order of bytes.
    ///
    /// Source: Go's `filepath.WalkDir`.
    fn walk(
        &mut self,
        path: &Path,
        is_folder: bool,
        drop_ins: &mut DropIns,
    ) -> Result<(), Protection> {
        let trouble = |error: io::Error| trouble(path, &error);
        if !is_folder {
            let name = path.file_name().unwrap_or_default();
            if !name.as_bytes().ends_with(b".conf") {
                return Ok(());
            }
            let path = self.clean(path);
            let content = self.content(&path).map_err(trouble)?;
            return drop_ins
                .add(&content, &path)
                .map_err(|refusal| refused(&path, refusal));
        }
        let mut entries = Vec::new();
        let listing = self.root.list(path);
        for entry in listing.map_err(|error| trouble(error.into()))? {
            let (name, kind) = entry.map_err(|error| trouble(error.into()))?;
            entries.push((name, kind.is_dir()));
            self.entries_left = self.entries_left.checked_sub(1).ok_or_else(|| {
                Protection::Unknown(format!(
                    "there are more than {ENTRY_LIMIT} files in {}",
                    path.display()
                ))
            })?;
        }
        entries.sort();
        entries.into_iter().try_for_each(|(name, is_folder)| {
            let path = self.clean(&path.join(name));
            self.walk(&path, is_folder, drop_ins)
        })
    }

    /// The absolute path, cleaned as text before it is opened.
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
            io::ErrorKind::FileTooLarge if self.left < FILE_LIMIT => io::Error::new(
                error.kind(),
                format!("with the others it is longer than {} MiB", FILE_LIMIT >> 20),
            ),
            _ => error,
        })?;
        self.left -= content.len() as u64;
        Ok(content)
    }
}

fn refused(path: &Path, refusal: ConfigError) -> Protection {
    match refusal {
        ConfigError::ByKubelet(why) => Protection::Fails(format!("{}: {why}", path.display())),
        ConfigError::ByUs(why) => Protection::Unknown(format!("{}: {why}", path.display())),
    }
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
            Protection::Fails(why) => format!("fails: {why}"),
            Protection::Unknown(why) => format!("not known: {why}"),
        }
    }

    #[test]
    fn finds_files_as_kubelet_does() {
        use std::os::unix::fs::symlink;
        let root = std::env::temp_dir().join(format!("kubelet-tunables-f-{}", std::process::id()));
        let head = "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\n";
        for folder in ["node/d/sub", "elsewhere/inner", "empty"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for (name, text) in [
            ("node/on", "protectKernelDefaults: true\n"),
            ("node/d/10.conf", "protectKernelDefaults: true\n"),
            ("node/d/sub/.conf", "protectKernelDefaults: null\n"),
            ("node/d/z.yaml", "protectKernelDefaults: true\n"),
            ("node/x.conf", "featureGates: {AllAlpha: true, X: false}\n"),
            ("elsewhere/off", "protectKernelDefaults: false\n"),
            ("elsewhere/on", "protectKernelDefaults: true\n"),
        ] {
            fs::write(root.join(name), format!("{head}{text}")).unwrap();
        }
        symlink("d", root.join("node/l")).unwrap();
        symlink("../elsewhere/inner", root.join("node/inner")).unwrap();
        symlink("/dev/null", root.join("empty/null.conf")).unwrap();
        for (words, expected) in [
            ("", "off by default"),
            ("--config=on", "on in /node/on:3"),
            ("--config=./x/../on", "on in /node/on:3"),
            ("--config=/node/inner/../on", "on in /node/on:3"),
            ("--config=nowhere", "/node/nowhere is not there yet"),
            ("--config=/dev/null", "/dev/null is not there yet"),
            ("--config-dir=d", "off by default"),
            ("--config=on --config-dir=l", "on in /node/on:3"),
            ("--config=on --config-dir=l/", "off by default"),
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
                "off by default",
            ),
            (
                "--protect-kernel-defaults=false --config=on",
                "off by --protect-kernel-defaults=false",
            ),
        ] {
            assert_eq!(said(&kubelet(&root, words).protection), expected, "{words}");
        }
        for words in [
            "--config=on --config-dir=nowhere",
            "--config-dir=x.conf/",
            "--config-dir=/empty",
        ] {
            let protection = kubelet(&root, words).protection;
            assert!(
                matches!(protection, Protection::Fails(_)),
                "{words}: {protection:?}"
            );
        }
        let of_null = kubelet(Path::new("/"), "--config=/dev/null").protection;
        assert_eq!(said(&of_null), "fails: /dev/null: it is empty");
        let gates = kubelet(&root, "--config-dir=x.conf");
        assert_eq!(gates.in_user_namespace, Some(true));
        assert_eq!(gates.may_refuse.as_deref(), Some("the feature gate X"));
        let gates = kubelet(
            &root,
            "--config-dir=x.conf --feature-gates=KubeletInUserNamespace=0 --runonce",
        );
        assert_eq!(gates.in_user_namespace, Some(false));
        assert_eq!(gates.may_refuse.as_deref(), Some("--runonce"));
        for (words, expected) in [
            ("--dynamic-config-dir=/x", "not known"),
            (
                "--dynamic-config-dir /x --protect-kernel-defaults=false",
                "off",
            ),
            ("--dynamic-config-dir=", "off"),
        ] {
            let said = said(&kubelet(&root, words).protection);
            assert!(said.starts_with(expected), "{words}: {said}");
        }
        fs::remove_dir_all(&root).unwrap();
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
            "not known: /d/3.conf could not be read: with the others it is longer than 1 MiB"
        );
        let protection = kubelet(&root, &format!("{words} --protect-kernel-defaults")).protection;
        assert!(
            matches!(protection, Protection::On(SetBy::Flag(_))),
            "{protection:?}"
        );
        fs::remove_dir_all(&root).unwrap();
    }
}
