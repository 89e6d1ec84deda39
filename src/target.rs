//! Finds out what the kubelet that is about to be started was told, and by which unit.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::assessment::{Diagnostic, Mode, NotKnown, TargetInfo};
use crate::cli::{Cli, OPTIONS};
use crate::exit::Exit;
use crate::files::file;
use crate::files::root::Root;
use crate::kubelet::{self, Kubelet, Protection, flags::Arguments};
use crate::systemd::{self, ExecCommand, ServiceInfo, Unit, UnitError, argv};

/// Where the words of kubelet's command line are to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSource<'a> {
    /// From our own command line; variables and the working directory are our own.
    Words(&'a [OsString]),
    /// From the unit that this process runs in, whose variables and working directory are our own.
    OwnUnit(&'a OsStr),
    /// From a unit that this process does not run in.
    Unit(&'a OsStr),
    /// From kubelet.service, if that is loaded.
    UsualUnit,
    /// There is nothing to be had.
    Nowhere,
}

/// What was found out.
#[derive(Debug)]
pub struct Target {
    /// What kubelet was told.
    pub told: TargetInfo,
    /// The unit that starts it.
    pub unit: Option<String>,
    /// systemd stops starting the unit after some failures.
    pub may_give_up: bool,
    /// What the options of the check in that unit make of a wrong tunable, where this process is not that check.
    pub mode_in_unit: Option<Mode>,
    /// What the user should know of the check in that unit.
    pub notes: Vec<Diagnostic>,
}

impl Target {
    /// What is known without asking.
    pub fn nothing(told: TargetInfo) -> Self {
        Self {
            told,
            unit: None,
            may_give_up: false,
            mode_in_unit: None,
            notes: Vec::new(),
        }
    }
}

/// Finds out what kubelet was told on this machine, whose files are in `files`.
///
/// # Errors
///
/// That systemd knows no such unit as was named from outside.
pub fn ask(files: &Root, source: TargetSource) -> Result<Target, UnitError> {
    let root = files.path();
    match source {
        TargetSource::Nowhere => Ok(Target::nothing(TargetInfo::Nothing)),
        TargetSource::Words(words) => Ok(Target::nothing(by_words(files, words))),
        TargetSource::OwnUnit(unit) => Ok(told_by_own_unit(files, unit)),
        TargetSource::Unit(unit) => match systemd::load(root, unit) {
            Err(trouble @ UnitError::NotFound) => Err(trouble),
            loaded => Ok(told_by_unit(files, unit, loaded)),
        },
        TargetSource::UsualUnit => {
            let unit = OsStr::new("kubelet.service");
            match systemd::load(root, unit) {
                Err(UnitError::NotFound | UnitError::NoSystemd) => {
                    Ok(Target::nothing(TargetInfo::Nothing))
                }
                loaded => Ok(told_by_unit(files, unit, loaded)),
            }
        }
    }
}

/// What kubelet is told by a command line, of which variables are our own; `root` is where its files are.
pub fn by_words(root: &Root, words: &[OsString]) -> TargetInfo {
    let words = argv::expand(words, |name| env::var_os(name));
    let directory = if root.is_image() {
        PathBuf::from("/")
    } else {
        own_directory()
    };
    told_by_command(root, &words, &directory).unwrap_or_else(|| {
        let program = words.first().map(PathBuf::from).unwrap_or_default();
        let name = program.file_name().unwrap_or_default().as_encoded_bytes();
        // It may be called kubelet-1.36; a shell, a container or an option is none.
        if !name.starts_with(b"kubelet") || name.contains(&b' ') {
            TargetInfo::NotKnown(NotKnown::NoKubelet(program))
        } else if is_script(root, &program) {
            TargetInfo::NotKnown(NotKnown::Script(program))
        } else {
            told_by_kubelet(root, &directory, &words)
        }
    })
}

fn told_by_own_unit(files: &Root, unit: &OsStr) -> Target {
    let is_this_program = |command: &ExecCommand| {
        Path::new(&command.program).file_name() == Some(OsStr::new(env!("CARGO_PKG_NAME")))
    };
    match systemd::exec_start(files.path(), unit) {
        // The check is all that the unit starts.
        Ok(start) if start.commands.iter().all(is_this_program) => {
            Target::nothing(TargetInfo::Nothing)
        }
        Ok(start) => Target {
            unit: Some(unit.to_string_lossy().into_owned()),
            ..told_by_start(files, &start, &own_directory(), |name| {
                env::var_os(name).or_else(|| start.hidden.get(name).cloned())
            })
        },
        Err(trouble) => Target::nothing(TargetInfo::NotKnown(NotKnown::Systemd(trouble))),
    }
}

fn told_by_unit(files: &Root, name: &OsStr, loaded: Result<Unit, UnitError>) -> Target {
    let unit = match loaded {
        Ok(unit) => unit,
        Err(trouble) => {
            return Target::nothing(if trouble.keeps_from_starting() {
                TargetInfo::NotStarted {
                    unit: name.to_string_lossy().into_owned(),
                    why: trouble,
                }
            } else {
                TargetInfo::NotKnown(NotKnown::Systemd(trouble))
            });
        }
    };
    let variable = |name: &OsStr| unit.environment.get(name).cloned();
    let mut asked = told_by_start(files, &unit.start, &unit.working_directory, variable);
    if unit.has_own_root {
        asked.told = TargetInfo::NotKnown(NotKnown::OwnRoot(unit.name.clone()));
    }
    let checks = unit.options();
    match decisive(checks.map(|options| options_in_unit(files, options))) {
        None => asked.notes.push(Diagnostic::NotInUnit(unit.name.clone())),
        Some((mode, note)) => {
            asked.mode_in_unit = mode;
            asked.notes.extend(note);
        }
    }
    asked.unit = Some(unit.name);
    asked
}

/// What the options of a check in a unit make of a wrong tunable, and what is to be said of them.
type InUnit = (Option<Mode>, Option<Diagnostic>);

/// Of several checks in a unit the one that decides: the first that does not only warn.
fn decisive(mut checks: impl Iterator<Item = InUnit>) -> Option<InUnit> {
    let first = checks.next()?;
    if first.0 != Some(Mode::Warn) {
        return Some(first);
    }
    Some(
        checks
            .find(|(mode, _)| *mode != Some(Mode::Warn))
            .unwrap_or(first),
    )
}

fn options_in_unit(files: &Root, options: Vec<OsString>) -> InUnit {
    let program = OsString::from(env!("CARGO_PKG_NAME"));
    let words = [program].into_iter().chain(options);
    let cli = match Cli::read(words) {
        Ok(cli) => cli,
        Err(answer) => return (None, Some(not_understood(files, &answer))),
    };
    if let Some(option) = cli.option_for_a_shell() {
        return (None, Some(not_for_a_unit(files, option)));
    }
    match cli.mode() {
        Mode::AsKubelet => (None, None),
        Mode::Modify => (
            Some(Mode::ModifiedInUnit),
            Some(Diagnostic::OptionInUnit("--modify")),
        ),
        Mode::Warn => (Some(Mode::Warn), Some(Diagnostic::OptionInUnit("--warn"))),
        mode => (Some(mode), Some(Diagnostic::OptionInUnit("--strict"))),
    }
}

/// Of several commands that a unit starts one after the other, the first that is a kubelet counts.
fn told_by_start(
    files: &Root,
    start: &ServiceInfo,
    directory: &Path,
    variable: impl Fn(&OsStr) -> Option<OsString>,
) -> Target {
    let told = start.commands.iter().find_map(|command| {
        let told = told_by_command(files, &command.words(&variable), directory)?;
        Some(if command.is_privileged {
            TargetInfo::NotKnown(NotKnown::Privileged)
        } else {
            told
        })
    });
    let told = told.unwrap_or_else(|| {
        TargetInfo::NotKnown(match start.commands.first() {
            Some(command) => NotKnown::NoKubelet(PathBuf::from(&command.program)),
            None => NotKnown::Systemd(UnitError::NoCommand),
        })
    });
    Target {
        may_give_up: !start.restart.goes_on_after(Exit::Config.code().into()),
        ..Target::nothing(told)
    }
}

/// What a command tells kubelet; none where no kubelet is recognised in it.
fn told_by_command(files: &Root, words: &[OsString], directory: &Path) -> Option<TargetInfo> {
    let is_executable = |path: &Path| {
        let mode = files.stat(path).map(|stat| stat.st_mode);
        mode.is_ok_and(|mode| FileType::from_raw_mode(mode).is_file() && mode & 0o111 != 0)
    };
    let kubelet = argv::kubelet(words, is_executable)?;
    let program = Path::new(&kubelet[0]);
    let not_known = |why| Some(TargetInfo::NotKnown(why));
    if is_script(files, program) {
        return not_known(NotKnown::Script(program.to_path_buf()));
    }
    let is_wrapped = kubelet.len() < words.len()
        && Path::new(&words[0]).file_name() != Some(OsStr::new("hyperkube"));
    if !is_wrapped {
        return Some(told_by_kubelet(files, directory, kubelet));
    }
    let Ok(arguments) = Arguments::parse(kubelet) else {
        return not_known(NotKnown::WrappedArguments(PathBuf::from(&words[0])));
    };
    let paths = arguments.config.iter().chain(&arguments.config_dir);
    let mut paths = paths.map(Path::new);
    if paths.clone().any(Path::is_relative) {
        // The wrapper may be one that changes the directory, as env(1) can.
        return not_known(NotKnown::WrappedRelativePath);
    }
    // What an earlier start has left there, the wrapper may write anew.
    let is_volatile = |path: &&Path| {
        ["/run", "/var/run", "/tmp"]
            .iter()
            .any(|it| path.starts_with(it))
    };
    if let Some(path) = paths.find(is_volatile) {
        return not_known(NotKnown::WrappedFile(path.to_path_buf()));
    }
    Some(match told_by_kubelet(files, directory, kubelet) {
        TargetInfo::Kubelet(kubelet) => match kubelet.protection {
            Protection::NotThereYet(path) => TargetInfo::NotKnown(NotKnown::WrappedFile(path)),
            // Until the wrapper has written it, or made the folder.
            Protection::Fails(why) => TargetInfo::Kubelet(Kubelet {
                protection: Protection::Unknown(why),
                ..kubelet
            }),
            _ => TargetInfo::Kubelet(kubelet),
        },
        told => told,
    })
}

/// What the words of a kubelet's own command line tell it.
fn told_by_kubelet(files: &Root, directory: &Path, words: &[OsString]) -> TargetInfo {
    match Arguments::parse(words) {
        Ok(Arguments {
            run_once: Some(word),
            ..
        }) => TargetInfo::NotKnown(NotKnown::RunsOnce(word)),
        _ => TargetInfo::Kubelet(kubelet::read(files, directory, words)),
    }
}

/// Whether the kernel would hand this program to an interpreter.
fn is_script(files: &Root, program: &Path) -> bool {
    let mut beginning = [0; 2];
    // Where a name without a path is looked for, is not known.
    program.is_absolute()
        && files
            .open(program)
            .and_then(|mut file| file::read_some(&mut file, &mut beginning))
            .is_ok_and(|_| beginning == *b"#!")
}

/// The working directory of this process; systemd's default where it is gone.
fn own_directory() -> PathBuf {
    env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}

/// The options of the check are not understood, in clap's words.
pub fn not_understood(files: &Root, answer: &clap::Error) -> Diagnostic {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    match answer.kind() {
        DisplayHelp => return not_for_a_unit(files, "--help"),
        DisplayVersion => return not_for_a_unit(files, "--version"),
        _ => {}
    }
    let text = answer.render().to_string();
    let lines = text.lines().map(str::trim);
    let complaint: Vec<_> = lines
        .filter_map(|line| {
            line.strip_prefix("error: ")
                .or_else(|| line.starts_with("tip: ").then_some(line))
        })
        .collect();
    Diagnostic::OptionsNotUnderstood {
        complaint: complaint.join("; "),
        file: file_of_options(files),
    }
}

/// An option that a person may give in a shell, and a unit may not.
pub fn not_for_a_unit(files: &Root, option: &str) -> Diagnostic {
    Diagnostic::OptionsNotUnderstood {
        complaint: format!("the option '{option}' is for a shell"),
        file: file_of_options(files),
    }
}

/// The file that the options of the check come from, as the drop-in names them: the last that sets them counts.
fn file_of_options(files: &Root) -> Option<PathBuf> {
    /// Bytes read of one at the most.
    const LIMIT: u64 = 1 << 20;
    let mut text = Vec::new();
    [
        "/etc/sysconfig/kubelet-tunables",
        "/etc/default/kubelet-tunables",
    ]
    .into_iter()
    .find(|path| {
        files.read(path, LIMIT, &mut text).is_ok()
            && text
                .split(|&byte| byte == b'\n')
                .any(|line| line.trim_ascii_start().starts_with(OPTIONS.as_bytes()))
    })
    .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{CWD, mkfifoat};

    use super::*;

    /// What is said of these options in a unit, and what they make of a wrong tunable.
    fn in_unit(files: &Root, options: &str) -> (Option<Mode>, String) {
        let words = format!("--unit kubelet.service {options}");
        let words = words.split_whitespace().map(OsString::from).collect();
        let (mode, note) = options_in_unit(files, words);
        let said = match note {
            Some(Diagnostic::OptionsNotUnderstood { complaint, .. }) => complaint,
            Some(Diagnostic::OptionInUnit(option)) => option.to_string(),
            _ => String::new(),
        };
        (mode, said)
    }

    #[test]
    fn options_count_by_hand_as_they_do_in_the_unit() {
        let files = Root::machine(Path::new("/nonexistent"));
        for (options, mode, expected) in [
            ("", None, ""),
            ("--modify", Some(Mode::ModifiedInUnit), "--modify"),
            ("--warn", Some(Mode::Warn), "--warn"),
            ("--modify --format=json", None, "'--format' is for a shell"),
            ("--modify --persist", None, "'--persist' is for a shell"),
            ("--root=/mnt --strict", None, "cannot be used with"),
            ("--unit=other --warn", None, "cannot be used multiple times"),
            ("--strict --help", None, "'--help' is for a shell"),
            ("--wran", None, "a similar argument exists: '--warn'"),
        ] {
            let (found, said) = in_unit(&files, options);
            assert_eq!(found, mode, "{options}");
            assert!(said.contains(expected), "{options}: {said}");
            assert!(!said.contains("-- --"), "it would be kubelet's: {said}");
        }
    }

    #[test]
    fn a_check_that_only_warns_leaves_it_to_the_next() {
        use Mode::{ModifiedInUnit, Strict, Warn};
        for (modes, expected) in [
            (&[][..], None),
            (&[Some(Warn)], Some(Some(Warn))),
            (&[Some(Warn), None], Some(None)),
            (&[None, Some(Warn)], Some(None)),
            (&[Some(Warn), Some(Strict)], Some(Some(Strict))),
            (&[Some(ModifiedInUnit), None], Some(Some(ModifiedInUnit))),
        ] {
            let checks = modes.iter().map(|mode| (*mode, None));
            assert_eq!(decisive(checks).map(|it| it.0), expected, "{modes:?}");
        }
    }

    #[test]
    fn the_file_of_the_options_is_not_waited_for() {
        let root = env::temp_dir().join(format!("kubelet-tunables-t-{}", std::process::id()));
        fs::create_dir_all(root.join("etc/default")).unwrap();
        fs::create_dir_all(root.join("etc/sysconfig")).unwrap();
        mkfifoat(
            CWD,
            root.join("etc/sysconfig/kubelet-tunables"),
            0o600.into(),
        )
        .unwrap();
        let path = "/etc/default/kubelet-tunables";
        fs::write(
            root.join(&path[1..]),
            "# x\n KUBELET_TUNABLES_ARGS=\"--wran\"\n",
        )
        .unwrap();
        let found = file_of_options(&Root::machine(&root));
        assert_eq!(found.as_deref(), Some(Path::new(path)));
        fs::remove_dir_all(&root).unwrap();
    }
}
