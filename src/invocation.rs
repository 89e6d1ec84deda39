//! Finds how the program was started: from a shell or by a unit, for which unit, and with which options of the check.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::path::PathBuf;

use clap::error::ErrorKind;
use rustix::fs::{FileType, fstat, major, minor};
use rustix::process::{Pid, geteuid, getppid};
use systemd_journal_logger::connected_to_journal;

use crate::assessment::Diagnostic;
use crate::cli::{Cli, Format};
use crate::files::root::Root;
use crate::systemd;
use crate::target::TargetSource;
use crate::verdict::Mode;

/// The variable that has the options of the check in the unit.
pub const OPTIONS: &str = "KUBELET_TUNABLES_ARGS";

/// Who started the program, which decides the form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A person or a script: the full report goes to stdout.
    Shell,
    /// systemd: it gets only what is wrong.
    Unit {
        /// True if standard error is a stream to the journal, or leads nowhere.
        journal: bool,
    },
}

/// How the program was started.
#[derive(Debug)]
pub struct Invocation {
    /// Who started it.
    pub caller: Caller,
    /// The command line.
    pub cli: Cli,
    /// Why the options are ignored, if they are.
    pub diagnostics: Vec<Diagnostic>,
}

impl Invocation {
    /// Reads how this process was started.
    ///
    /// # Errors
    ///
    /// Clap's, in a shell: its help and version too. In a unit, a misspelt option must not stop kubelet.
    pub fn read(root: &Root) -> Result<Self, clap::Error> {
        let caller = Caller::of_this_process();
        let (cli, ignored) = match (Cli::read(env::args_os()), caller) {
            (Err(answer), Caller::Shell) => return Err(answer),
            (Err(answer), Caller::Unit { .. }) => (None, Some(complaint(&answer))),
            (Ok(cli), Caller::Unit { .. }) if is_for_a_shell(root, &cli) => {
                (None, cli.option_for_a_shell().map(works_only_in_a_shell))
            }
            (Ok(cli), _) => (Some(cli), None),
        };
        let cli = cli.unwrap_or_else(|| Cli::without_options(env::args_os()));
        let is_text = cli.format() == Format::Text;
        Ok(Self {
            // Somebody reads standard output, also that of a service.
            caller: if is_text { caller } else { Caller::Shell },
            cli,
            diagnostics: Vec::from_iter(ignored.map(|it| options_ignored(root, it))),
        })
    }
}

/// Returns where kubelet's command line comes from; `own_unit` is the unit of this process.
pub fn source<'a>(cli: &'a Cli, caller: Caller, own_unit: Option<&'a str>) -> TargetSource<'a> {
    let is_shell = caller == Caller::Shell;
    match cli.unit.as_deref() {
        // Started by another unit, such as one that collects metrics, it looks from outside too.
        Some(unit) if is_shell || own_unit.is_some_and(|own| !is_same_unit(unit, own)) => {
            TargetSource::Unit(unit)
        }
        Some(unit) => TargetSource::OwnUnit(unit),
        None if !cli.kubelet.is_empty() => TargetSource::CommandLine(&cli.kubelet),
        None if is_shell && geteuid().is_root() => TargetSource::UsualUnit,
        None if is_shell => TargetSource::Nowhere,
        None => own_unit.map_or(TargetSource::Nowhere, |own| {
            TargetSource::OwnUnit(OsStr::new(own))
        }),
    }
}

impl Caller {
    /// Finds who started this process.
    ///
    /// `JOURNAL_STREAM` names the stream that systemd connected to the journal and `SYSTEMD_EXEC_PID` the process that
    /// it executed. A shell can inherit both, so both are compared with what this process is. The second is new in systemd
    /// 248; an older one sets `INVOCATION_ID`, which a shell can inherit too, but then its parent is not PID 1. Source:
    /// systemd.exec(5).
    fn of_this_process() -> Self {
        let is_named = || {
            let pid = env::var("SYSTEMD_EXEC_PID");
            pid.is_ok_and(|pid| pid == std::process::id().to_string())
        };
        let is_by_pid_1 = || {
            let is_set = |name| env::var_os(name).is_some();
            getppid() == Some(Pid::INIT) && (is_set("INVOCATION_ID") || is_set("NOTIFY_SOCKET"))
        };
        if connected_to_journal() {
            Self::Unit { journal: true }
        } else if is_named() || is_by_pid_1() {
            // Nobody would ever read what goes to /dev/null.
            let journal = is_null(std::io::stderr());
            Self::Unit { journal }
        } else {
            Self::Shell
        }
    }
}

/// Returns true if it is /dev/null. Source: Documentation/admin-guide/devices.txt.
pub fn is_null(stream: impl AsFd) -> bool {
    fstat(stream).is_ok_and(|stat| {
        let device = (major(stat.st_rdev), minor(stat.st_rdev));
        FileType::from_raw_mode(stat.st_mode).is_char_device() && device == (1, 3)
    })
}

/// Reads what the checks in a unit do about a wrong tunable, from the options of each; and what to tell the user of them.
///
/// Of several checks the first that does not only warn decides.
pub fn checks_in_unit(
    root: &Root,
    unit: &str,
    checks: &[Vec<OsString>],
) -> (Option<Mode>, Option<Diagnostic>) {
    let read: Vec<_> = checks
        .iter()
        .map(|options| check_options(options))
        .collect();
    let is_deciding = |it: &&Result<Mode, String>| !matches!(it, Ok(Mode::Warn));
    match read.iter().find(is_deciding).or(read.first()) {
        None => (None, Some(Diagnostic::NotInUnit(unit.to_string()))),
        Some(Err(complaint)) => (None, Some(options_ignored(root, complaint.clone()))),
        Some(Ok(mode)) => {
            let option = match mode {
                Mode::AsKubelet => return (None, None),
                Mode::Modify => "--modify",
                Mode::Warn => "--warn",
                Mode::Strict => "--strict",
            };
            (Some(*mode), Some(Diagnostic::OptionInUnit(option)))
        }
    }
}

fn check_options(options: &[OsString]) -> Result<Mode, String> {
    let program = OsString::from(env!("CARGO_PKG_NAME"));
    let words = [program].into_iter().chain(options.iter().cloned());
    let cli = Cli::read(words).map_err(|answer| complaint(&answer))?;
    match cli.option_for_a_shell() {
        Some(option) => Err(works_only_in_a_shell(option)),
        None => Ok(cli.mode()),
    }
}

/// Returns true if an option has no place in the unit that runs this.
fn is_for_a_shell(root: &Root, cli: &Cli) -> bool {
    let is_own_check = || {
        let own = systemd::current_unit(root.path());
        cli.unit
            .as_deref()
            .is_some_and(|unit| own.is_none_or(|own| is_same_unit(unit, &own)))
    };
    // Another unit, such as one that collects metrics, reads what it prints.
    cli.option_for_a_shell().is_some() && cli.root.is_none() && (cli.persist() || is_own_check())
}

/// Returns true if the unit that was named has this full name.
fn is_same_unit(named: &OsStr, own: &str) -> bool {
    named == own || own.strip_suffix(".service").is_some_and(|own| named == own)
}

/// Extracts clap's complaint and tip.
fn complaint(answer: &clap::Error) -> String {
    match answer.kind() {
        ErrorKind::DisplayHelp => return works_only_in_a_shell("--help"),
        ErrorKind::DisplayVersion => return works_only_in_a_shell("--version"),
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
    complaint.join("; ")
}

fn works_only_in_a_shell(option: &str) -> String {
    format!("'{option}' works only in a shell, not in a unit")
}

fn options_ignored(root: &Root, complaint: String) -> Diagnostic {
    Diagnostic::OptionsIgnored {
        complaint,
        file: file_of_options(root),
    }
}

/// Returns true if a line of the file gives the check options.
fn sets_options(line: &[u8]) -> bool {
    let value = line.trim_ascii().strip_prefix(OPTIONS.as_bytes());
    let value = value.and_then(|value| value.strip_prefix(b"="));
    value.is_some_and(|value| !value.iter().all(|byte| b"\"' ".contains(byte)))
}

/// Finds the file that the options of the check come from, as the drop-in names them: the last that sets them counts.
fn file_of_options(root: &Root) -> Option<PathBuf> {
    /// Bytes read of one at most.
    const LIMIT: u64 = 1 << 20;
    let mut text = Vec::new();
    [
        "/etc/sysconfig/kubelet-tunables",
        "/etc/default/kubelet-tunables",
    ]
    .into_iter()
    .find(|path| {
        root.read(path, LIMIT, &mut text).is_ok()
            && text.split(|&byte| byte == b'\n').any(sets_options)
    })
    .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rustix::fs::{CWD, mkfifoat};

    use super::*;

    fn words(options: &str) -> Vec<OsString> {
        let words = format!("--unit kubelet.service {options}");
        words.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn options_count_in_a_shell_as_they_do_in_the_unit() {
        let root = Root::machine(Path::new("/nonexistent"));
        for (options, mode, expected) in [
            ("", None, ""),
            ("--modify", Some(Mode::Modify), "--modify"),
            ("--warn", Some(Mode::Warn), "--warn"),
            ("--modify --format=json", None, "'--format' works only in a"),
            ("--modify --persist", None, "'--persist' works only in a"),
            ("--root=/mnt --strict", None, "cannot be used with"),
            ("--unit=other --warn", None, "cannot be used multiple times"),
            ("--strict --help", None, "'--help' works only in a shell"),
            ("--wran", None, "unexpected argument '--wran'"),
        ] {
            let (found, diagnostic) = checks_in_unit(&root, "k", &[words(options)]);
            let text = match diagnostic {
                Some(Diagnostic::OptionsIgnored { complaint, .. }) => complaint,
                Some(Diagnostic::OptionInUnit(option)) => option.to_string(),
                _ => String::new(),
            };
            assert_eq!(found, mode, "{options}");
            assert!(text.contains(expected), "{options}: {text}");
            assert!(!text.contains("-- --"), "it would be kubelet's: {text}");
        }
    }

    #[test]
    fn a_check_that_only_warns_leaves_it_to_the_next() {
        let root = Root::machine(Path::new("/nonexistent"));
        for (checks, expected) in [
            (&[][..], None),
            (&["--warn"], Some(Mode::Warn)),
            (&["--warn", ""], None),
            (&["", "--warn"], None),
            (&["--warn", "--strict"], Some(Mode::Strict)),
            (&["--modify", ""], Some(Mode::Modify)),
        ] {
            let options: Vec<_> = checks.iter().map(|options| words(options)).collect();
            let (mode, _) = checks_in_unit(&root, "k", &options);
            assert_eq!(mode, expected, "{checks:?}");
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
