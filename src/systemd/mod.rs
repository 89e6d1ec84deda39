//! Asks systemd what it is about to execute for a unit, and when it starts the unit next.

pub mod argv;
mod current_unit;
pub mod dbus;
pub mod environment;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dbus::Properties;
use environment::Environment;

pub use current_unit::current_unit;

/// Bytes read of one file at the most.
const FILE_LIMIT: u64 = 1 << 20;

/// A command of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecCommand {
    /// It may have no path.
    pub program: OsString,
    /// The first is its name.
    pub argv: Vec<OsString>,
    /// True if systemd replaces variables in `argv`; not where the command begins with `:`.
    pub expands: bool,
    /// True if the command begins with `+`: what restricts the unit's other processes, and so the check, does not restrict
    /// it.
    pub is_privileged: bool,
}

impl ExecCommand {
    /// Makes the words that are executed: the program first, then its arguments with variables replaced.
    ///
    /// The name that the prefix `@` gives the program counts only for what its variables are split into.
    ///
    /// # Errors
    ///
    /// When the words refer to a variable that only systemd knows.
    pub fn words(&self, environment: &Environment) -> Result<Vec<OsString>> {
        let mut unknown = Ok(());
        let variable = |name: &OsStr| match environment.get(name) {
            Ok(value) => value.map(OsStr::to_owned),
            Err(setting) => {
                let (name, setting) = (name.to_owned(), setting.to_owned());
                unknown = Err(UnitError::UnknownVariable { name, setting });
                None
            }
        };
        let mut words = if self.expands {
            argv::expand(&self.argv, variable)
        } else {
            self.argv.clone()
        };
        match words.first_mut() {
            Some(name) => name.clone_from(&self.program),
            None => words.push(self.program.clone()),
        }
        unknown.map(|()| words)
    }
}

/// The commands that systemd is about to execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInfo {
    /// The commands of `ExecStart=`: at least one, and more than one with `Type=oneshot` only.
    pub commands: Vec<ExecCommand>,
    /// The variables that their words refer to.
    pub environment: Environment,
    /// True if it has folders of its own to look for programs without a path, by `ExecSearchPath=`.
    pub has_search_path: bool,
}

/// A unit as a process of it would find itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name with the suffix.
    pub name: String,
    /// The commands of `ExecStart=`, and their environment.
    pub service: ServiceInfo,
    /// The commands of `ExecStartPre=`.
    pub exec_start_pre: Vec<ExecCommand>,
    /// The working directory of its commands; none where it is the home of the user that `User=` names.
    pub working_directory: Option<PathBuf>,
    /// True if its commands have another root, by `RootDirectory=` or `RootImage=`.
    pub has_own_root: bool,
}

/// When systemd starts a unit next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStart {
    /// Its main process runs.
    Running,
    /// It is being started, and a command of `ExecStartPre=` runs or is about to.
    Starting,
    /// It has failed, and systemd starts it again.
    Retries {
        /// The longest time until then.
        within: Duration,
    },
    /// It has failed, and systemd does not start it again. Before `systemctl reset-failed` it may refuse to: that the unit
    /// was started too often, only newer systemds tell in `Result=` (262 does, 252 does not).
    GivenUp,
    /// It is stopped, or being stopped.
    Stopped,
}

/// A result of this module.
pub type Result<T, E = UnitError> = std::result::Result<T, E>;

/// Why it is not known what systemd is about to execute.
#[derive(Debug)]
pub enum UnitError {
    /// PID 1 has no socket for such questions.
    NoSystemd,
    /// PID 1 does not answer, refuses to, or answers something that is not understood.
    NoAnswer(io::Error),
    /// There is no such unit.
    NotFound,
    /// The unit is masked.
    Masked,
    /// systemd cannot load the unit, and why.
    Broken(String),
    /// The unit has no `ExecStart=`, or is no service.
    NoCommand,
    /// A file of `EnvironmentFile=` cannot be read; the unit will not start.
    EnvironmentFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The value of a variable in a command is known to the unit's own processes only.
    UnknownVariable {
        /// The variable.
        name: OsString,
        /// The setting that may set it, such as `PassEnvironment=` or `EnvironmentFile=/etc/kubelet/*.env`.
        setting: String,
    },
}

impl UnitError {
    /// True if systemd will not start the unit at all because of it.
    pub fn keeps_from_starting(&self) -> bool {
        match self {
            Self::NotFound
            | Self::Masked
            | Self::Broken(_)
            | Self::NoCommand
            | Self::EnvironmentFile { .. } => true,
            Self::NoSystemd | Self::NoAnswer(_) | Self::UnknownVariable { .. } => false,
        }
    }
}

/// Properties for [`exec_start`].
const START: [&str; 7] = [
    "Unit.LoadState",
    "Unit.LoadError",
    "Service.ExecStartEx",
    // Before systemd 243, as on Amazon Linux 2, there is only this one.
    "Service.ExecStart",
    "Service.ExecSearchPath",
    "Service.UnsetEnvironment",
    "Manager.Version",
];

/// More properties for [`load`].
const SURROUNDINGS: [&str; 11] = [
    "Service.ExecStartPreEx",
    "Service.ExecStartPre",
    "Service.PassEnvironment",
    "Service.Environment",
    "Service.EnvironmentFiles",
    "Service.WorkingDirectory",
    "Service.RootDirectory",
    "Service.RootImage",
    "Service.User",
    "Service.SetLoginEnvironment",
    "Manager.Environment",
];

/// Yet more, and the variables that each makes systemd set.
const DIRECTORIES: [(&str, &str); 5] = [
    ("Service.RuntimeDirectory", "RUNTIME_DIRECTORY"),
    ("Service.StateDirectory", "STATE_DIRECTORY"),
    ("Service.CacheDirectory", "CACHE_DIRECTORY"),
    ("Service.LogsDirectory", "LOGS_DIRECTORY"),
    ("Service.ConfigurationDirectory", "CONFIGURATION_DIRECTORY"),
];

/// Properties for [`next_start`].
const STATE: [&str; 7] = [
    "Unit.LoadState",
    "Unit.LoadError",
    "Unit.ActiveState",
    "Unit.SubState",
    "Service.MainPID",
    "Service.RestartUSec",
    // From systemd 254 on, which may wait longer each time.
    "Service.RestartUSecNext",
];

/// How long an answer may take where nobody waits to be started. A unit that is not active is loaded from its files for each
/// property.
const LIMIT_BY_HAND: Duration = Duration::from_secs(5);

/// Returns the commands of the unit that this process belongs to, with this process's environment.
///
/// # Errors
///
/// When PID 1 does not say, or the unit is none that can be started.
pub fn exec_start(root: &Path, unit: &OsStr) -> Result<ServiceInfo> {
    let deadline = Instant::now() + dbus::LIMIT;
    let name = full_name(unit)?;
    let properties = Properties::ask(root, &name, &START, deadline)?;
    let mut service = ServiceInfo {
        commands: exec_start_of(&properties)?,
        environment: Environment::own(),
        has_search_path: has_search_path(&properties)?,
    };
    let unset: Vec<String> = properties.get("Service.UnsetEnvironment")?;
    // Few units have that setting: another question then.
    if !unset.is_empty() && unsets_late(version(&properties)?) {
        let outside = load_until(root, name, deadline)?.service.environment;
        service.environment.add_unset(&outside, &unset);
    }
    Ok(service)
}

/// Returns a unit as a process of it would find itself, asked by a process that does not belong to it.
///
/// # Errors
///
/// As for [`exec_start`], or when a file of its environment that has to be there cannot be read.
pub fn load(root: &Path, unit: &OsStr) -> Result<Unit> {
    load_until(root, full_name(unit)?, Instant::now() + LIMIT_BY_HAND)
}

fn load_until(root: &Path, name: String, deadline: Instant) -> Result<Unit> {
    let directories = DIRECTORIES.map(|(property, _)| property);
    let names = [&START[..], &SURROUNDINGS, &directories].concat();
    let properties = Properties::ask(root, &name, &names, deadline)?;
    let service = ServiceInfo {
        commands: exec_start_of(&properties)?,
        environment: environment(root, &properties)?,
        has_search_path: has_search_path(&properties)?,
    };
    let own_root: String = properties.get("Service.RootDirectory")?;
    let image: String = properties.get("Service.RootImage")?;
    let user: String = properties.get("Service.User")?;
    let directory: String = properties.get("Service.WorkingDirectory")?;
    Ok(Unit {
        name,
        service,
        exec_start_pre: commands(&properties, "ExecStartPre")?,
        working_directory: working_directory(root, &directory, &user),
        has_own_root: !matches!(own_root.as_str(), "" | "/") || !image.is_empty(),
    })
}

fn has_search_path(properties: &Properties) -> Result<bool> {
    let folders: Vec<String> = properties.get("Service.ExecSearchPath")?;
    Ok(!folders.is_empty())
}

/// Finds out when systemd starts a unit next.
///
/// # Errors
///
/// When PID 1 does not say, or the unit cannot be loaded.
pub fn next_start(root: &Path, unit: &OsStr) -> Result<NextStart> {
    let deadline = Instant::now() + LIMIT_BY_HAND;
    next_start_of(&Properties::ask(root, &full_name(unit)?, &STATE, deadline)?)
}

fn next_start_of(properties: &Properties) -> Result<NextStart> {
    is_loaded(properties)?;
    let state: String = properties.get("Unit.ActiveState")?;
    let sub_state: String = properties.get("Unit.SubState")?;
    let main_process: u32 = properties.get("Service.MainPID")?;
    Ok(match state.as_str() {
        // `auto-restart-queued` is the end of the pause.
        "activating" if sub_state.starts_with("auto-restart") => {
            let next = properties.find("Service.RestartUSecNext")?;
            let pause = next.map_or_else(|| properties.get("Service.RestartUSec"), Ok)?;
            let within = Duration::from_micros(pause);
            NextStart::Retries { within }
        }
        "activating" if main_process == 0 => NextStart::Starting,
        "active" | "activating" | "reloading" | "refreshing" => NextStart::Running,
        "failed" => NextStart::GivenUp,
        _ => NextStart::Stopped,
    })
}

/// Refuses a unit that systemd cannot load.
fn is_loaded(properties: &Properties) -> Result<()> {
    let state: String = properties.get("Unit.LoadState")?;
    match state.as_str() {
        "loaded" | "merged" => Ok(()),
        "not-found" => Err(UnitError::NotFound),
        "masked" => Err(UnitError::Masked),
        _ => {
            let (_, text): (String, String) = properties.get("Unit.LoadError")?;
            let why = if text.is_empty() { state } else { text };
            Err(UnitError::Broken(why))
        }
    }
}

fn exec_start_of(properties: &Properties) -> Result<Vec<ExecCommand>> {
    is_loaded(properties)?;
    let commands = commands(properties, "ExecStart")?;
    if commands.is_empty() {
        return Err(UnitError::NoCommand);
    }
    Ok(commands)
}

/// A command: path, words, flags, when it ran, its PID and how it ended. The flags are texts in `ExecStartEx`; in
/// `ExecStart` a bool, true if failure is ignored.
type Exec<F> = (String, Vec<String>, F, u64, u64, u64, u64, u32, i32, i32);

fn commands(properties: &Properties, setting: &str) -> Result<Vec<ExecCommand>> {
    let exec = |program: String, argv: Vec<String>, flags: &[String]| ExecCommand {
        program: program.into(),
        argv: argv.into_iter().map(OsString::from).collect(),
        expands: !flags.iter().any(|flag| flag == "no-env-expand"),
        is_privileged: flags.iter().any(|flag| flag == "privileged"),
    };
    let name = format!("Service.{setting}");
    if let Some(execs) = properties.find::<Vec<Exec<Vec<String>>>>(&format!("{name}Ex"))? {
        let execs = execs.into_iter();
        let commands = execs.map(|(program, argv, flags, ..)| exec(program, argv, &flags));
        return Ok(commands.collect());
    }
    let execs = properties.get::<Vec<Exec<bool>>>(&name)?.into_iter();
    let commands = execs.map(|(program, argv, ..)| exec(program, argv, &[]));
    Ok(commands.collect())
}

/// Makes the environment of a process that is started now, without what systemd makes up for each process, such as
/// `INVOCATION_ID`.
///
/// Source: `exec_child()` and `build_environment()` in systemd's `src/core/execute.c`.
fn environment(root: &Path, properties: &Properties) -> Result<Environment> {
    const LOGIN: [&str; 4] = ["HOME", "LOGNAME", "SHELL", "USER"];
    let version = version(properties)?;
    let mut environment = Environment::default();
    environment.set(&properties.get::<Vec<_>>("Manager.Environment")?);
    let directory: String = properties.get("Service.WorkingDirectory")?;
    if directory.trim_start_matches('!') == "~" {
        environment.hide(&["HOME"], "WorkingDirectory=~");
    }
    let user: String = properties.get("Service.User")?;
    if user.is_empty() && version >= 257 {
        environment.set(&["USER=root".to_owned()]);
    }
    if properties.get("Service.SetLoginEnvironment")? {
        environment.hide(&LOGIN, "SetLoginEnvironment=");
    }
    if !user.is_empty() {
        environment.hide(&LOGIN, "User=");
    }
    for (property, variable) in DIRECTORIES {
        let folders: Vec<String> = properties.get(property)?;
        if !folders.is_empty() {
            let setting = property.trim_start_matches("Service.");
            environment.hide(&[variable], &format!("{setting}="));
        }
    }
    for name in properties.get::<Vec<String>>("Service.PassEnvironment")? {
        environment.hide(&[&name], "PassEnvironment=");
    }
    environment.set(&properties.get::<Vec<_>>("Service.Environment")?);
    let files: Vec<(String, bool)> = properties.get("Service.EnvironmentFiles")?;
    for (path, may_be_missing) in files {
        environment.add_file(root, &path, may_be_missing, version < 254)?;
    }
    if !unsets_late(version) {
        environment.unset(&properties.get::<Vec<_>>("Service.UnsetEnvironment")?);
    }
    Ok(environment)
}

/// True if this systemd takes the variables of `UnsetEnvironment=` away after those in commands are replaced, not before.
/// Source: systemd's pull request 43471; 257 does not yet.
fn unsets_late(version: u32) -> bool {
    version >= 262
}

/// Finds the directory that `WorkingDirectory=` stands for: `!` before it says that it may be missing, `~` is the user's
/// home. None where that has to be looked up.
///
/// Source: `property_get_working_directory()` in systemd's `src/core/dbus-execute.c`.
fn working_directory(root: &Path, property: &str, user: &str) -> Option<PathBuf> {
    let path = Path::new(match property.strip_prefix('!').unwrap_or(property) {
        "" => "/",
        "~" if matches!(user, "" | "root" | "0") => "/root",
        "~" => return None,
        path => path,
    });
    let is_missing = property.starts_with('!') && !environment::under(root, path).is_dir();
    Some(if is_missing { Path::new("/") } else { path }.to_owned())
}

/// Reads the number that systemd's version begins with, such as 252 of `252.38-1~deb12u1`; 0 where there is none.
fn version(properties: &Properties) -> Result<u32> {
    let version: String = properties.get("Manager.Version")?;
    let mut numbers = version.split(|letter: char| !letter.is_ascii_digit());
    let number = numbers.next().unwrap_or_default();
    Ok(number.parse().unwrap_or(0))
}

/// The longest name of a unit. Source: `UNIT_NAME_MAX` in systemd's `src/basic/unit-name.h`.
const NAME_LIMIT: usize = 255;

/// Completes a name with `.service` where it has no suffix of a unit, as `systemctl` completes it.
fn full_name(unit: &OsStr) -> Result<String> {
    const SUFFIXES: &str =
        "automount device mount path scope service slice socket swap target timer";
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let unit = unit.to_str().unwrap_or_default();
    let (_, suffix) = unit.rsplit_once('.').unwrap_or_default();
    let mut name = unit.to_owned();
    if !SUFFIXES.split(' ').any(|known| known == suffix) {
        name.push_str(".service");
    }
    // A template stands for its instances, and cannot be started itself.
    let is_template = name.contains("@.");
    if unit.is_empty() || !unit.bytes().all(is_valid) || name.len() > NAME_LIMIT || is_template {
        return Err(UnitError::NotFound);
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
