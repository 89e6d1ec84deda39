//! Asks systemd what it is about to execute for a unit: the words of its commands and, by hand, the environment and the
//! working directory that they get.

pub mod argv;
mod current_unit;
pub mod dbus;
pub mod environment;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use zbus::Type;

use dbus::{Answer, Property};
use environment::{Environment, EnvironmentSettings};

pub use current_unit::current_unit;

/// A command of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecCommand {
    /// The program that is executed; it may have no path.
    pub program: OsString,
    /// What it gets, from the first argument on.
    pub argv: Vec<OsString>,
    /// Whether systemd replaces variables in `argv`; not where the command begins with `:`.
    pub expands: bool,
    /// Whether the command begins with `+`: what restricts the unit's other processes, and so the check, does not restrict
    /// it.
    pub is_privileged: bool,
}

impl ExecCommand {
    /// The words that are executed: the program first, then its arguments with variables replaced.
    ///
    /// The name that the prefix `@` gives the program counts only for what its variables are split into.
    pub fn words(&self, variable: impl Fn(&OsStr) -> Option<OsString>) -> Vec<OsString> {
        let mut words = if self.expands {
            argv::expand(&self.argv, variable)
        } else {
            self.argv.clone()
        };
        match words.first_mut() {
            Some(name) => name.clone_from(&self.program),
            None => words.push(self.program.clone()),
        }
        words
    }
}

/// What systemd is about to execute, and whether it tries again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInfo {
    /// The commands of `ExecStart=`: at least one, and more than one with `Type=oneshot` only.
    pub commands: Vec<ExecCommand>,
    /// When systemd starts the unit again.
    pub restart: Restart,
    /// Variables in the commands that the unit's own processes, and so the check, do not see, as `UnsetEnvironment=` takes
    /// them away only when the commands are complete.
    pub hidden: Environment,
}

/// When systemd starts a unit again that has failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restart {
    /// `Restart=`; empty where it is not known.
    pub policy: String,
    /// `RestartPreventExitStatus=`: exit codes after which it is not started again.
    pub prevented: Vec<i32>,
    /// `RestartSec=`.
    pub pause: Duration,
    /// `StartLimitIntervalSec=`; none where it is not known.
    pub interval: Option<Duration>,
    /// `StartLimitBurst=`: how many starts there may be in the interval.
    pub burst: u32,
}

impl Restart {
    /// Whether systemd starts the unit again each time that its check or kubelet exits with this status, and never gives
    /// up. Where that is not known: no.
    pub fn goes_on_after(&self, status: i32) -> bool {
        let is_limited = match self.interval {
            // An interval or a burst of 0 is no limit.
            Some(interval) => self.burst > 0 && self.pause.saturating_mul(self.burst) < interval,
            None => true,
        };
        matches!(self.policy.as_str(), "always" | "on-failure")
            && !self.prevented.contains(&status)
            && !is_limited
    }
}

/// A unit as a process of it would find itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name with the suffix.
    pub name: String,
    /// What is started.
    pub start: ServiceInfo,
    /// The commands of `ExecStartPre=`.
    pub exec_start_pre: Vec<ExecCommand>,
    /// The environment that variables in its commands are replaced from.
    pub environment: Environment,
    /// Their working directory.
    pub working_directory: PathBuf,
    /// Whether they have another root, by `RootDirectory=` or `RootImage=`.
    pub has_own_root: bool,
}

impl Unit {
    /// The options of each check in this unit's `ExecStartPre=`, as it will get them, in their order.
    pub fn options(&self) -> impl Iterator<Item = Vec<OsString>> {
        let is_check = |command: &&ExecCommand| {
            Path::new(&command.program).file_name() == Some(OsStr::new(env!("CARGO_PKG_NAME")))
        };
        let variable = |name: &OsStr| self.environment.get(name).cloned();
        let checks = self.exec_start_pre.iter().filter(is_check);
        checks.map(move |check| check.words(variable).split_off(1))
    }
}

/// Why it is not known what systemd is about to execute.
#[derive(Debug)]
pub enum UnitError {
    /// PID 1 has no socket for such questions.
    NoSystemd,
    /// PID 1 does not answer.
    NoAnswer(io::Error),
    /// PID 1 answers something that is not understood.
    Garbled(String),
    /// PID 1 refuses to answer.
    Refused {
        /// The name of the error.
        name: String,
        /// What it says of it.
        text: String,
    },
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
        /// What the system said.
        error: io::Error,
    },
}

impl UnitError {
    /// Whether systemd will not start the unit at all because of it.
    pub fn keeps_from_starting(&self) -> bool {
        match self {
            Self::NotFound
            | Self::Masked
            | Self::Broken(_)
            | Self::NoCommand
            | Self::EnvironmentFile { .. } => true,
            Self::NoSystemd | Self::NoAnswer(_) | Self::Garbled(_) | Self::Refused { .. } => false,
        }
    }
}

impl From<io::Error> for UnitError {
    fn from(error: io::Error) -> Self {
        Self::NoAnswer(error)
    }
}

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// What is asked of every unit.
const START: [(&str, &str); 11] = [
    (UNIT, "LoadState"),
    (UNIT, "LoadError"),
    (SERVICE, "ExecStartEx"),
    // Before systemd 243, as on Amazon Linux 2, there is only this one.
    (SERVICE, "ExecStart"),
    (SERVICE, "Restart"),
    (SERVICE, "RestartPreventExitStatus"),
    (SERVICE, "RestartUSec"),
    (UNIT, "StartLimitIntervalUSec"),
    (UNIT, "StartLimitBurst"),
    (SERVICE, "UnsetEnvironment"),
    (MANAGER, "Version"),
];

/// What is asked of a unit in which the program does not run itself.
const ENVIRONMENT: [(&str, &str); 15] = [
    (SERVICE, "ExecStartPreEx"),
    (SERVICE, "ExecStartPre"),
    (SERVICE, "PassEnvironment"),
    (SERVICE, "Environment"),
    (SERVICE, "EnvironmentFiles"),
    (SERVICE, "WorkingDirectory"),
    (SERVICE, "RootDirectory"),
    (SERVICE, "RootImage"),
    (SERVICE, "User"),
    (SERVICE, "RuntimeDirectory"),
    (SERVICE, "StateDirectory"),
    (SERVICE, "CacheDirectory"),
    (SERVICE, "LogsDirectory"),
    (SERVICE, "ConfigurationDirectory"),
    (MANAGER, "Environment"),
];

/// How long an answer may take where nobody waits to be started. A unit that is not active is loaded from its files for each
/// property.
const LIMIT_BY_HAND: Duration = Duration::from_secs(5);

/// What systemd is about to execute for the unit that this process belongs to.
///
/// # Errors
///
/// When PID 1 does not say, or the unit is none that can be started.
pub fn exec_start(root: &Path, unit: &OsStr) -> Result<ServiceInfo, UnitError> {
    let deadline = Instant::now() + dbus::LIMIT;
    let name = full_name(unit)?;
    let (mut start, unset) = start(&ask(root, &name, &START, dbus::LIMIT)?)?;
    // Few units have that setting: another question then.
    if !unset.names.is_empty() && unset.is_late {
        let left = deadline.saturating_duration_since(Instant::now());
        start.hidden = load_within(root, name, left)?.environment;
        start.hidden.retain(|name, _| unset.takes(name));
    }
    Ok(start)
}

/// The unit as a process of it would find itself.
///
/// # Errors
///
/// As for [`exec_start`], or when a file of its environment that has to be there cannot be read.
pub fn load(root: &Path, unit: &OsStr) -> Result<Unit, UnitError> {
    load_within(root, full_name(unit)?, LIMIT_BY_HAND)
}

fn load_within(root: &Path, name: String, limit: Duration) -> Result<Unit, UnitError> {
    let properties = [&START[..], &ENVIRONMENT].concat();
    let answers = ask(root, &name, &properties, limit)?;
    let (of_start, of_environment) = answers.split_at(START.len());
    let (start, unset) = start(of_start)?;
    let [
        pre_ex,
        pre,
        pass,
        set,
        files,
        directory,
        own_root,
        image,
        user,
        runtime,
        state,
        cache,
        logs,
        configuration,
        manager,
    ] = of_environment
    else {
        unreachable!("each property has an answer");
    };
    let user: String = or_default(user)?;
    let mut made = environment::of_user(root, &user);
    for (variable, base, folders) in [
        ("RUNTIME_DIRECTORY", "/run", runtime),
        ("STATE_DIRECTORY", "/var/lib", state),
        ("CACHE_DIRECTORY", "/var/cache", cache),
        ("LOGS_DIRECTORY", "/var/log", logs),
        ("CONFIGURATION_DIRECTORY", "/etc", configuration),
    ] {
        let folders: Vec<String> = or_default(folders)?;
        made.extend(environment::of_folders(variable, base, &folders));
    }
    let sources = EnvironmentSettings {
        made,
        manager: or_default(manager)?,
        pass: or_default(pass)?,
        set: or_default(set)?,
        files: or_default(files)?,
        comments_continue: unset.version < 254,
        unset: if unset.is_late {
            Vec::new()
        } else {
            unset.names
        },
    };
    let own_root: (String, String) = (or_default(own_root)?, or_default(image)?);
    Ok(Unit {
        name,
        start,
        exec_start_pre: commands(pre_ex, pre)?,
        working_directory: working_directory(
            root,
            &or_default::<String>(directory)?,
            sources.made.get(OsStr::new("HOME")),
        ),
        environment: sources.environment(root)?,
        has_own_root: !matches!(own_root.0.as_str(), "" | "/") || !own_root.1.is_empty(),
    })
}

/// Asks for properties of the unit and of systemd itself.
fn ask(
    root: &Path,
    unit: &str,
    properties: &[(&str, &str)],
    limit: Duration,
) -> Result<Vec<Answer>, UnitError> {
    let object = object(unit);
    let properties: Vec<_> = (properties.iter())
        .map(|&(interface, name)| Property {
            object: if interface == MANAGER {
                "/org/freedesktop/systemd1"
            } else {
                &object
            },
            interface,
            name,
        })
        .collect();
    dbus::ask(root, &properties, limit)
}

/// Reads the answers to [`START`].
fn start(answers: &[Answer]) -> Result<(ServiceInfo, Unset), UnitError> {
    let [
        state,
        error,
        ex,
        plain,
        policy,
        prevented,
        pause,
        interval,
        burst,
        unset,
        version,
    ] = answers
    else {
        unreachable!("each property has an answer");
    };
    match state.read::<String>()?.as_str() {
        "loaded" | "merged" => {}
        "not-found" => return Err(UnitError::NotFound),
        "masked" => return Err(UnitError::Masked),
        state => {
            let (_, text): (String, String) = or_default(error)?;
            return Err(UnitError::Broken(if text.is_empty() {
                state.to_owned()
            } else {
                text
            }));
        }
    }
    let commands = commands(ex, plain)?;
    if commands.is_empty() {
        return Err(UnitError::NoCommand);
    }
    let (prevented, _): (Vec<i32>, Vec<i32>) = or_default(prevented)?;
    let start = ServiceInfo {
        commands,
        restart: Restart {
            policy: or_default(policy)?,
            prevented,
            pause: Duration::from_micros(or_default(pause)?),
            interval: interval.read_if_known()?.map(Duration::from_micros),
            burst: or_default(burst)?,
        },
        hidden: Environment::new(),
    };
    let version = number(&or_default::<String>(version)?);
    Ok((
        start,
        Unset {
            names: or_default(unset)?,
            version,
            is_late: version >= 262,
        },
    ))
}

/// `UnsetEnvironment=`, and what depends on the version of systemd.
struct Unset {
    names: Vec<String>,
    /// The version, such as 252.
    version: u32,
    /// Whether variables are taken away after those in commands are replaced, not before. Source: systemd's pull request
    /// 43471; 257 does not yet.
    is_late: bool,
}

impl Unset {
    /// Whether the setting may take a variable of this name.
    fn takes(&self, name: &OsStr) -> bool {
        let names = (self.names.iter())
            .map(|text| text.split_once('=').map_or(text.as_str(), |(name, _)| name));
        names.into_iter().any(|unset| name == unset)
    }
}

/// A property that is empty where this systemd does not know it.
fn or_default<T: Default + DeserializeOwned + Type>(answer: &Answer) -> Result<T, UnitError> {
    Ok(answer.read_if_known()?.unwrap_or_default())
}

/// A command in `ExecStartEx`: path, words, flags, then when it ran, its PID and how it ended.
type CommandEx = (
    String,
    Vec<String>,
    Vec<String>,
    u64,
    u64,
    u64,
    u64,
    u32,
    i32,
    i32,
);
/// The same in `ExecStart`, where instead of flags stands only whether failure is ignored.
type Command = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);

fn commands(ex: &Answer, plain: &Answer) -> Result<Vec<ExecCommand>, UnitError> {
    let exec = |program: String, argv: Vec<String>, flags: &[String]| ExecCommand {
        program: program.into(),
        argv: argv.into_iter().map(OsString::from).collect(),
        expands: !flags.iter().any(|flag| flag == "no-env-expand"),
        is_privileged: flags.iter().any(|flag| flag == "privileged"),
    };
    Ok(match ex.read_if_known::<Vec<CommandEx>>()? {
        Some(commands) => commands
            .into_iter()
            .map(|(program, argv, flags, ..)| exec(program, argv, &flags))
            .collect(),
        None => or_default::<Vec<Command>>(plain)?
            .into_iter()
            .map(|(program, argv, ..)| exec(program, argv, &[]))
            .collect(),
    })
}

/// The directory that `WorkingDirectory=` stands for: `!` before it says that it may be missing, `~` is the user's home.
///
/// Source: `property_get_working_directory()` in systemd's `src/core/dbus-execute.c`.
fn working_directory(root: &Path, property: &str, home: Option<&OsString>) -> PathBuf {
    let (path, may_be_missing) = match property.strip_prefix('!') {
        Some(path) => (path, true),
        None => (property, false),
    };
    let path = match path {
        "" => Path::new("/"),
        "~" => home.map_or(Path::new("/root"), Path::new),
        path => Path::new(path),
    };
    let is_missing = !root.join(path.strip_prefix("/").unwrap_or(path)).is_dir();
    if may_be_missing && is_missing {
        return PathBuf::from("/");
    }
    path.to_owned()
}

/// The number at the beginning of a version such as `252.38-1~deb12u1`; 0 where there is none.
fn number(version: &str) -> u32 {
    let end = version.find(|character: char| !character.is_ascii_digit());
    version[..end.unwrap_or(version.len())].parse().unwrap_or(0)
}

/// The longest name of a unit. Source: `UNIT_NAME_MAX` in systemd's `src/basic/unit-name.h`.
const NAME_LIMIT: usize = 255;

/// The name with `.service` where it has no suffix of a unit, as `systemctl` completes it.
fn full_name(unit: &OsStr) -> Result<String, UnitError> {
    const SUFFIXES: [&str; 11] = [
        "automount",
        "device",
        "mount",
        "path",
        "scope",
        "service",
        "slice",
        "socket",
        "swap",
        "target",
        "timer",
    ];
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(byte);
    let name = unit
        .to_str()
        .filter(|name| !name.is_empty() && name.as_bytes().iter().all(is_valid));
    let name = name.ok_or(UnitError::NotFound)?;
    let has_suffix = name
        .rsplit_once('.')
        .is_some_and(|(_, suffix)| SUFFIXES.contains(&suffix));
    let name = if has_suffix {
        name.to_owned()
    } else {
        format!("{name}.service")
    };
    // A template stands for its instances, and cannot be started itself.
    if name.len() > NAME_LIMIT || name.contains("@.") {
        return Err(UnitError::NotFound);
    }
    Ok(name)
}

/// The path of the unit's object; asking it for a property loads the unit.
///
/// Source: `bus_label_escape()` in systemd's `src/shared/bus-util.c`.
fn object(name: &str) -> String {
    let mut path = String::from("/org/freedesktop/systemd1/unit/");
    for (at, byte) in name.as_bytes().iter().enumerate() {
        if byte.is_ascii_alphabetic() || at > 0 && byte.is_ascii_digit() {
            path.push(char::from(*byte));
        } else {
            let _ = write!(path, "_{byte:02x}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::dbus::tests::{answer, unknown};
    use super::*;

    type Line<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

    fn command_ex((program, argv, flags): Line<'_>) -> CommandEx {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        (
            program.to_owned(),
            texts(argv),
            texts(flags),
            1,
            2,
            3,
            4,
            5,
            6,
            7,
        )
    }

    fn command((program, argv, _): Line<'_>) -> Command {
        let (program, argv, ..) = command_ex((program, argv, &[]));
        (program, argv, false, 1, 2, 3, 4, 5, 6, 7)
    }

    const KUBELET: Line<'_> = (
        "/usr/bin/kubelet",
        &["/usr/bin/kubelet", "--x=y z", "$A"],
        &["no-env-expand", "privileged"],
    );
    const PLAIN: Line<'_> = ("/bin/x", &["name", "$A", "${A}"], &["ignore-failure"]);

    /// The answers for a unit that is loaded, with one of them replaced.
    fn answers(at: usize, other: Answer) -> Vec<Answer> {
        let texts = |text: &str| text.to_owned();
        let mut answers = vec![
            answer(&texts("loaded")),
            answer(&(String::new(), String::new())),
            answer(&vec![command_ex(KUBELET), command_ex(PLAIN)]),
            answer(&vec![command(KUBELET), command(PLAIN)]),
            answer(&texts("on-failure")),
            answer(&(vec![78_i32], vec![9_i32])),
            answer(&2_000_000_u64),
            answer(&10_000_000_u64),
            answer(&5_u32),
            answer(&vec![texts("A"), texts("B=c=d")]),
            answer(&texts("262-1")),
        ];
        answers[at] = other;
        answers
    }

    #[test]
    fn reads_what_is_started() {
        let (read, unset) = start(&answers(0, answer(&"loaded".to_owned()))).unwrap();
        assert!(unset.is_late && ["A", "B"].iter().all(|name| unset.takes(OsStr::new(name))));
        assert!(
            !["", "C", "B=c=d"]
                .iter()
                .any(|name| unset.takes(OsStr::new(name)))
        );
        let flags = |command: &ExecCommand| (command.expands, command.is_privileged);
        let flags: Vec<_> = read.commands.iter().map(flags).collect();
        assert_eq!(flags, [(false, true), (true, false)]);
        let variable = |_: &OsStr| Some(OsString::from("b c"));
        assert_eq!(
            read.commands[0].words(variable),
            ["/usr/bin/kubelet", "--x=y z", "$A"]
        );
        assert_eq!(
            read.commands[1].words(variable),
            ["/bin/x", "b", "c", "b c"]
        );
        assert_eq!(
            read.restart,
            Restart {
                policy: "on-failure".to_owned(),
                prevented: vec![78],
                pause: Duration::from_secs(2),
                interval: Some(Duration::from_secs(10)),
                burst: 5,
            }
        );
        // systemd before 243.
        let (old, _) = start(&answers(2, unknown())).unwrap();
        assert!(old.commands.iter().all(|command| command.expands));
        assert_eq!(old.commands[0].argv, read.commands[0].argv);
        // systemd before 230.
        assert_eq!(
            start(&answers(7, unknown())).unwrap().0.restart.interval,
            None
        );
    }

    #[test]
    fn knows_what_is_wrong_with_a_unit() {
        let broken = |text: &str| {
            let mut answers = answers(0, answer(&"bad-setting".to_owned()));
            answers[1] = answer(&("name".to_owned(), text.to_owned()));
            answers
        };
        let mut no_service = answers(2, unknown());
        no_service[3] = unknown();
        let no_commands = answer(&Vec::<CommandEx>::new());
        let state = |state: &str| answers(0, answer(&state.to_owned()));
        for (answers, expected) in [
            (state("not-found"), "NotFound"),
            (state("masked"), "Masked"),
            (broken(""), "Broken(\"bad-setting\")"),
            (broken("Unit x is bad."), "Broken(\"Unit x is bad.\")"),
            (answers(2, no_commands), "NoCommand"),
            (no_service, "NoCommand"),
        ] {
            assert_eq!(format!("{:?}", start(&answers).err().unwrap()), expected);
        }
        let garbled = start(&answers(2, answer(&1_u32)));
        assert!(matches!(garbled, Err(UnitError::Garbled(_))));
    }

    #[test]
    fn knows_when_systemd_gives_up() {
        let restart = |policy: &str, pause, interval: Option<u64>, burst| Restart {
            policy: policy.to_owned(),
            prevented: vec![77],
            pause: Duration::from_millis(pause),
            interval: interval.map(Duration::from_secs),
            burst,
        };
        for (restart, goes_on) in [
            // kubeadm, one without StartLimitInterval=0, AKS, and systemd's defaults.
            (restart("always", 10_000, Some(0), 5), true),
            (restart("on-failure", 10_000, Some(10), 5), true),
            (restart("always", 2_000, Some(10), 5), true),
            (restart("always", 100, Some(10), 5), false),
            (restart("always", 1_999, Some(10), 5), false),
            (restart("always", 0, Some(10), 0), true),
            (restart("no", 10_000, Some(0), 5), false),
            (restart("on-abnormal", 10_000, Some(0), 5), false),
            (restart("", 10_000, Some(0), 5), false),
            (restart("always", 10_000, None, 5), false),
        ] {
            assert_eq!(restart.goes_on_after(78), goes_on, "{restart:?}");
            assert!(!restart.goes_on_after(77), "{restart:?}");
        }
    }

    #[test]
    fn completes_names_and_makes_paths_of_them() {
        for (unit, name, path) in [
            ("kubelet", "kubelet.service", "kubelet_2eservice"),
            (
                "k8s-kubelet.service",
                "k8s-kubelet.service",
                "k8s_2dkubelet_2eservice",
            ),
            ("3.target", "3.target", "_33_2etarget"),
            (
                "a.b@c_d\\x2d",
                "a.b@c_d\\x2d.service",
                "a_2eb_40c_5fd_5cx2d_2eservice",
            ),
        ] {
            let full = full_name(OsStr::new(unit)).unwrap();
            assert_eq!(full, name);
            assert_eq!(
                object(&full),
                format!("/org/freedesktop/systemd1/unit/{path}")
            );
        }
        for unit in ["", "a b", "/x", "a/b.service", "é", "a@", &"x".repeat(248)] {
            assert!(
                matches!(full_name(OsStr::new(unit)), Err(UnitError::NotFound)),
                "{unit}"
            );
        }
        assert!(full_name(OsStr::new(&"x".repeat(247))).is_ok());
    }

    #[test]
    fn reads_the_working_directory_and_the_version() {
        let root = Path::new("/");
        for (property, expected) in [
            ("", "/"),
            ("/etc", "/etc"),
            ("/no/where", "/no/where"),
            ("!/no/where", "/"),
            ("!/etc", "/etc"),
            ("~", "/home/k"),
        ] {
            assert_eq!(
                working_directory(root, property, Some(&OsString::from("/home/k"))),
                Path::new(expected),
                "{property}"
            );
        }
        assert_eq!(working_directory(root, "~", None), Path::new("/root"));
        assert_eq!(number("252.38-1~deb12u1"), 252);
        assert_eq!(number("262"), 262);
        assert_eq!(number("v262"), 0);
    }

    #[test]
    fn finds_the_options_of_the_check() {
        let exec = |line: Line<'_>| {
            let (program, argv, flags, ..) = command_ex(line);
            ExecCommand {
                program: program.into(),
                argv: argv.into_iter().map(OsString::from).collect(),
                expands: flags.is_empty(),
                is_privileged: false,
            }
        };
        let unit = |checks: &[Line<'_>]| Unit {
            name: "kubelet.service".to_owned(),
            start: start(&answers(0, answer(&"loaded".to_owned()))).unwrap().0,
            exec_start_pre: checks.iter().copied().map(exec).collect(),
            environment: [("ARGS".into(), "--warn 'a b'".into())].into(),
            working_directory: PathBuf::from("/"),
            has_own_root: false,
        };
        let check: Line<'_> = (
            "/usr/bin/kubelet-tunables",
            &[
                "/usr/bin/kubelet-tunables",
                "--unit",
                "kubelet.service",
                "$ARGS",
                "$UNSET",
            ],
            &[],
        );
        let other: Line<'_> = (
            "/sbin/sysctl",
            &["sysctl", "/usr/bin/kubelet-tunables"],
            &[],
        );
        let expected = ["--unit", "kubelet.service", "--warn", "a b"];
        for (commands, checks) in [
            (&[other, check][..], 1),
            (&[check, other, check], 2),
            (&[other], 0),
        ] {
            let options: Vec<_> = unit(commands).options().collect();
            assert_eq!(options, vec![expected; checks]);
        }
    }
}
