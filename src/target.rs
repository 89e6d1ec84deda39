//! Finds the settings of the kubelet that is about to start, and its unit.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::files::file;
use crate::files::root::Root;
use crate::kubelet::command::{self, NotKubelet};
use crate::kubelet::{self, Kubelet, Protection};
use crate::systemd::{self, ExecCommand, NextStart, ServiceInfo, Unit, UnitError, argv};
use crate::verdict::KubeletBehavior;

/// The unit that kubelet runs in where none is named.
const USUAL_UNIT: &str = "kubelet.service";

/// Where kubelet's command line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSource<'a> {
    /// From our own command line; variables and the working directory are our own.
    CommandLine(&'a [OsString]),
    /// From the unit that this process runs in, whose variables and working directory are our own.
    OwnUnit(&'a OsStr),
    /// From a unit that this process does not run in.
    Unit(&'a OsStr),
    /// From kubelet.service, if that is loaded.
    UsualUnit,
    /// None is available.
    Nowhere,
}

/// The kubelet that is about to start, and its unit.
#[derive(Debug)]
pub struct Target {
    /// Its settings, or why they are not known.
    pub info: TargetInfo,
    /// The unit that starts it.
    pub unit: Option<String>,
    /// The options of each check in that unit; none if this process is such a check.
    pub checks: Option<Vec<Vec<OsString>>>,
}

/// The settings of the kubelet that is about to start, or why they are not known.
#[derive(Debug)]
pub enum TargetInfo {
    /// Not looked for: all six are right, now and after the next boot.
    NotAsked,
    /// There is no unit and no command line.
    None,
    /// Its configuration.
    Kubelet(Kubelet),
    /// Not known, and why.
    NotKnown(NotKnown),
    /// systemd will not start the unit at all, and why.
    NotStarted {
        /// The unit.
        unit: String,
        /// Why.
        why: UnitError,
    },
}

/// Why it is not known which kubelet starts.
#[derive(Debug)]
pub enum NotKnown {
    /// systemd does not tell what it executes.
    Systemd(UnitError),
    /// No kubelet is recognized in the command line.
    Command(NotKubelet),
    /// The check runs in another unit and was to look at a unit of this name, and there is none.
    NoSuchUnit(String),
    /// The program has no path, and the unit has folders of its own to look for it, by `ExecSearchPath=`.
    SearchPath,
    /// The command begins with `+`, so that it may see other files, and write where the check cannot.
    Privileged,
    /// The unit has a root directory of its own.
    OwnRoot(String),
    /// A path is relative to the home of the user that `User=` names.
    WorkingDirectory,
}

impl Target {
    /// Makes the target of which no unit is known.
    pub fn without_unit(info: TargetInfo) -> Self {
        Self {
            info,
            unit: None,
            checks: None,
        }
    }
}

impl TargetInfo {
    /// Returns how kubelet treats a wrong tunable; `is_stuck` is true if one cannot be written.
    pub fn behavior(&self, root: &Root, is_stuck: bool) -> KubeletBehavior {
        let kubelet = match self {
            Self::NotAsked | Self::None => return KubeletBehavior::Assumed,
            Self::NotKnown(_) => return KubeletBehavior::Unknown,
            Self::NotStarted { .. } => return KubeletBehavior::FailsFirst,
            Self::Kubelet(kubelet) => kubelet,
        };
        match kubelet.protection {
            Protection::On(_) => KubeletBehavior::Protects,
            // The feature gate counts only where a write fails in a user namespace; up to 1.36 it is off by default, from
            // 1.37 on it is on. Source: `setupKernelTunables` in kubernetes' `container_manager_linux.go`, kubernetes
            // issue 134639.
            Protection::Off(_) => KubeletBehavior::Sets {
                ignores: if is_stuck && is_in_user_namespace(root) {
                    kubelet.in_user_namespace
                } else {
                    Some(false)
                },
            },
            Protection::NotThereYet(_) | Protection::Fails(_) => KubeletBehavior::FailsFirst,
            Protection::Unknown(_) => KubeletBehavior::Undetermined,
            Protection::RunsOnce(_) => KubeletBehavior::Unknown,
        }
    }
}

/// Finds the kubelet that `source` tells of, on this machine, whose files are in `root`.
///
/// # Errors
///
/// If systemd does not know the unit given with --unit.
pub fn find(root: &Root, source: TargetSource) -> Result<Target, UnitError> {
    match source {
        TargetSource::Nowhere => Ok(Target::without_unit(TargetInfo::None)),
        TargetSource::CommandLine(words) => Ok(Target::without_unit(of_command_line(root, words))),
        TargetSource::OwnUnit(unit) => Ok(of_own_unit(root, unit)),
        TargetSource::Unit(unit) => match systemd::load(root.path(), unit) {
            Err(error @ UnitError::NotFound) => Err(error),
            loaded => Ok(of_unit(root, unit, loaded)),
        },
        TargetSource::UsualUnit => {
            let unit = OsStr::new(USUAL_UNIT);
            match systemd::load(root.path(), unit) {
                Err(UnitError::NotFound | UnitError::NoSystemd) => {
                    Ok(Target::without_unit(TargetInfo::None))
                }
                loaded => Ok(of_unit(root, unit, loaded)),
            }
        }
    }
}

/// Reads the settings of a kubelet with this command line, whose variables are our own; its files are below `root`.
pub fn of_command_line(root: &Root, words: &[OsString]) -> TargetInfo {
    let words = argv::expand(words, |name| env::var_os(name));
    let directory = if root.is_image() {
        PathBuf::from("/")
    } else {
        own_directory()
    };
    match command::find_given(root, &directory, &words) {
        Ok(kubelet) => TargetInfo::Kubelet(kubelet::read(root, &directory, kubelet)),
        Err(why) => TargetInfo::NotKnown(NotKnown::Command(why)),
    }
}

fn of_own_unit(root: &Root, unit: &OsStr) -> Target {
    match systemd::exec_start(root.path(), unit) {
        // The check is all that the unit starts.
        Ok(service) if service.commands.iter().all(is_check) => {
            Target::without_unit(TargetInfo::None)
        }
        Ok(service) => Target {
            unit: Some(unit.to_string_lossy().into_owned()),
            ..Target::without_unit(of_service(root, &service, Some(&own_directory())))
        },
        Err(error) => Target::without_unit(TargetInfo::NotKnown(NotKnown::Systemd(error))),
    }
}

fn of_unit(root: &Root, name: &OsStr, loaded: Result<Unit, UnitError>) -> Target {
    let unit = match loaded {
        Ok(unit) => unit,
        Err(why) if why.keeps_from_starting() => {
            let unit = name.to_string_lossy().into_owned();
            return Target::without_unit(TargetInfo::NotStarted { unit, why });
        }
        Err(error) => {
            return Target::without_unit(TargetInfo::NotKnown(NotKnown::Systemd(error)));
        }
    };
    let info = if unit.has_own_root {
        TargetInfo::NotKnown(NotKnown::OwnRoot(unit.name.clone()))
    } else {
        of_service(root, &unit.service, unit.working_directory.as_deref())
    };
    let checks = unit
        .exec_start_pre
        .iter()
        .filter(|command| is_check(command));
    let options = checks.map(|check| {
        let words = check.words(&unit.service.environment);
        // Options that only the unit's own processes can know are as good as none.
        words.map_or(Vec::new(), |mut words| words.split_off(1))
    });
    Target {
        info,
        checks: Some(options.collect()),
        unit: Some(unit.name),
    }
}

/// Returns true if the command runs this program.
fn is_check(command: &ExecCommand) -> bool {
    Path::new(&command.program).file_name() == Some(OsStr::new(env!("CARGO_PKG_NAME")))
}

/// Reads the settings of the first kubelet among the commands that a unit starts one after the other.
fn of_service(root: &Root, service: &ServiceInfo, directory: Option<&Path>) -> TargetInfo {
    let mut first = None;
    for command in &service.commands {
        let info = of_command(root, service, command, directory);
        match info {
            TargetInfo::NotKnown(NotKnown::Command(NotKubelet::Unrecognized(_))) => {
                first.get_or_insert(info);
            }
            _ => return info,
        }
    }
    let none = NotKnown::Systemd(UnitError::NoCommand);
    first.unwrap_or(TargetInfo::NotKnown(none))
}

/// Reads the settings of the kubelet that a unit's command starts.
fn of_command(
    root: &Root,
    service: &ServiceInfo,
    command: &ExecCommand,
    directory: Option<&Path>,
) -> TargetInfo {
    let words = match command.words(&service.environment) {
        Ok(words) => words,
        Err(error) => return TargetInfo::NotKnown(NotKnown::Systemd(error)),
    };
    if service.has_search_path && !command.program.as_bytes().contains(&b'/') {
        return TargetInfo::NotKnown(NotKnown::SearchPath);
    }
    let place = directory.unwrap_or(Path::new("/"));
    TargetInfo::NotKnown(match command::find(root, place, &words) {
        Err(why) => NotKnown::Command(why),
        Ok(_) if command.is_privileged => NotKnown::Privileged,
        Ok(kubelet) if directory.is_none() && kubelet::has_relative_path(kubelet) => {
            NotKnown::WorkingDirectory
        }
        Ok(kubelet) => return TargetInfo::Kubelet(kubelet::read(root, place, kubelet)),
    })
}

/// Returns the working directory of this process; systemd's default if it is gone.
fn own_directory() -> PathBuf {
    env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}

/// Finds whether this process, and so kubelet, is in a user namespace, as kubelet does: the map of user ids is not the
/// identity. Source: `RunningInUserNS` in `github.com/moby/sys/userns`.
fn is_in_user_namespace(root: &Root) -> bool {
    /// Bytes read at most; the map has up to 340 lines.
    const LIMIT: u64 = 1 << 20;
    let mut map = Vec::new();
    if file::read(&root.path().join("proc/self/uid_map"), LIMIT, &mut map).is_err() {
        return false;
    }
    let first = map.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let numbers = first
        .split(u8::is_ascii_whitespace)
        .filter(|number| !number.is_empty());
    !numbers.eq([&b"0"[..], b"0", b"4294967295"])
}

/// Asks what systemd does next with the unit of `target`, or else with the one that was named, or kubelet.service.
pub fn next_start(
    root: &Root,
    target: &Target,
    named: Option<&OsStr>,
) -> Option<(String, NextStart)> {
    let unit = (target.unit.as_deref().map(OsStr::new))
        .or(named)
        .unwrap_or(OsStr::new(USUAL_UNIT));
    // Without an answer nothing is said of it.
    let next = systemd::next_start(root.path(), unit).ok()?;
    Some((unit.to_string_lossy().into_owned(), next))
}
