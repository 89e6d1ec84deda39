//! Reads the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};

use crate::tunable::{self, TUNABLES, Tunable};
use crate::verdict::Mode;

/// The command line, as clap reads it.
// A switch is no `bool`, whose default clap parses as if it had been typed: 5,000 instructions each.
#[derive(Debug, Default, PartialEq, Parser)]
#[command(
    name = "kubelet-tunables",
    version,
    about = ABOUT,
    override_usage = "kubelet-tunables [--warn | --strict | --modify [--persist]]\n                        [--format FORMAT]\n                        [--unit UNIT | [--root DIR] [-- KUBELET [ARGUMENT]...]]\n       kubelet-tunables --explain SYSCTL [--root DIR]",
    after_help = AFTER_HELP
)]
pub struct Cli {
    /// Log wrong values as warnings (see 74 below)
    #[arg(
        long,
        num_args = 0,
        default_missing_value = "true",
        conflicts_with = "modify"
    )]
    warn: Option<bool>,

    /// Fail on any wrong value, whatever kubelet would do
    #[arg(long, num_args = 0, default_missing_value = "true",
        conflicts_with_all = ["warn", "modify"])]
    strict: Option<bool>,

    /// Fix wrong values until the next boot (needs root)
    #[arg(long, num_args = 0, default_missing_value = "true")]
    modify: Option<bool>,

    /// With --modify: make the values permanent
    #[arg(long, num_args = 0, default_missing_value = "true", requires = "modify",
        conflicts_with_all = ["warn", "strict"])]
    persist: Option<bool>,

    /// Check against the kubelet of this unit (needs root)
    #[arg(long, value_name = "UNIT", conflicts_with = "kubelet")]
    pub unit: Option<OsString>,

    /// Check an unbooted image in DIR
    #[arg(long, value_name = "DIR", conflicts_with = "unit")]
    pub root: Option<PathBuf>,

    /// List what sets SYSCTL at boot, in boot order
    #[arg(long, value_name = "SYSCTL", value_parser = tunable,
        conflicts_with_all = ["warn", "strict", "modify", "persist", "unit", "kubelet", "format"])]
    pub explain: Option<&'static Tunable>,

    /// Print text, json or prometheus (not in kubelet's unit)
    #[arg(long, value_enum, hide_possible_values = true)]
    format: Option<Format>,

    /// Check against this command line of kubelet
    #[arg(last = true, value_name = "KUBELET")]
    pub kubelet: Vec<OsString>,
}

const ABOUT: &str = "\
Checks the six kernel tunables that kubelet insists on, before kubelet starts.

If protectKernelDefaults is on, kubelet exits when one of them differs from the
value that it needs. This check runs before kubelet, as ExecStartPre= of its
unit: it logs which values are wrong, what set them, and the command that fixes
them, and stops a kubelet that would fail. Run it in a shell to see the same.

  vm.overcommit_memory       1         kernel.panic_on_oops       1
  vm.panic_on_oom            0         kernel.keys.root_maxkeys   1000000
  kernel.panic               10        kernel.keys.root_maxbytes  25000000";

const AFTER_HELP: &str = "\
Without --warn, --strict or --modify, a wrong value is an error only if kubelet
would fail because of it: that depends on kubelet's own flags and configuration
files. In a shell, as root, --unit kubelet.service is the default if that unit
is loaded. Without a kubelet to check against, every wrong value is an error.

Exit codes:
   0  kubelet is not known to fail, or --warn is set
   2  bad usage (in a shell only)
  74  a value cannot be read, even with --warn
  77  a wrong value cannot be changed (or made permanent)
  78  a value is wrong

Examples:
  kubelet-tunables                       check this node's kubelet
  kubelet-tunables --modify              fix wrong values until the next boot
  kubelet-tunables --modify --persist    fix them permanently
  kubelet-tunables -- kubelet --config=/etc/kubernetes/kubelet.yaml
                                         check against this command line
  kubelet-tunables --explain kernel.panic
                                         list what sets it, in boot order
  kubelet-tunables --root /mnt/image     check an unbooted image";

impl Cli {
    /// Reads the words of a command line, the first of which is the program.
    ///
    /// # Errors
    ///
    /// Clap's, which is its help and version too.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        // The program ends soon: taking the command apart would be wasted.
        let command = Box::leak(Box::new(Self::command()));
        let matches = command.try_get_matches_from_mut(words);
        let parsed = matches.and_then(|mut matches| Self::from_arg_matches_mut(&mut matches));
        let cli = parsed.map_err(|mut answer| {
            // Clap proposes to put what it does not know behind `--`; here that would make it kubelet's command line.
            answer.remove(ContextKind::Suggested);
            answer
        })?;
        if cli.root.is_some() && cli.modify.is_some() && !cli.persist() {
            // No kernel runs there whose values could be changed.
            let what = "with '--root', '--modify' needs '--persist'";
            return Err(Self::command().error(ErrorKind::MissingRequiredArgument, what));
        }
        Ok(cli)
    }

    /// Reads only what is to be checked, as one of the options is not understood.
    pub fn without_options(words: impl IntoIterator<Item = OsString>) -> Self {
        let mut cli = Self::default();
        let mut words = words.into_iter().skip(1);
        while let Some(word) = words.next() {
            if word == "--" {
                cli.kubelet = words.collect();
                break;
            }
            cli.unit = if word == "--unit" {
                words.next()
            } else {
                let value = word.to_str().and_then(|word| word.strip_prefix("--unit="));
                value.map(OsString::from)
            };
            if cli.unit.is_some() {
                break;
            }
        }
        cli
    }

    /// Returns what the user wants done about a wrong tunable.
    pub fn mode(&self) -> Mode {
        match (self.modify, self.warn, self.strict) {
            (Some(_), ..) => Mode::Modify,
            (_, Some(_), _) => Mode::Warn,
            (.., Some(_)) => Mode::Strict,
            _ => Mode::AsKubelet,
        }
    }

    /// Returns true if the values are to be made permanent.
    pub fn persist(&self) -> bool {
        self.persist.is_some()
    }

    /// Finds an option that works only in a shell; in kubelet's unit all options are ignored because of it.
    pub fn option_for_a_shell(&self) -> Option<&'static str> {
        if self.persist.is_some() {
            Some("--persist")
        } else if self.format() != Format::Text {
            Some("--format")
        } else {
            None
        }
    }

    /// Returns the form of what is printed.
    pub fn format(&self) -> Format {
        self.format.unwrap_or_default()
    }
}

/// Finds the tunable of this name.
fn tunable(name: &str) -> Result<&'static Tunable, String> {
    tunable::named(name).ok_or_else(|| {
        let names = TUNABLES.map(|tunable| tunable.name).join("\n  ");
        format!("not one of the six tunables that kubelet checks:\n  {names}")
    })
}

/// The form of what is printed to standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table and sentences, for people
    #[default]
    Text,
    /// One JSON object, for programs
    Json,
    /// Metrics for the textfile collector of `node_exporter`
    Prometheus,
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::verdict::Exit;

    fn parse(arguments: &[&str]) -> Result<Cli, ErrorKind> {
        let words = [&["kubelet-tunables"], arguments].concat();
        Cli::read(words.into_iter().map(OsString::from)).map_err(|error| error.kind())
    }

    #[test]
    fn is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_choose_the_mode() {
        for (arguments, mode) in [
            (&[][..], Mode::AsKubelet),
            (&["--warn"], Mode::Warn),
            (&["--modify"], Mode::Modify),
            (&["--strict"], Mode::Strict),
            (&["--"], Mode::AsKubelet),
            (&["--unit=kubelet", "--strict"], Mode::Strict),
            (&["--", "kubelet", "--modify"], Mode::AsKubelet),
            (&["--warn", "--", "kubelet", "--strict"], Mode::Warn),
            (&["--modify", "--persist"], Mode::Modify),
            (&["--root=/x", "--strict", "--", "kubelet"], Mode::Strict),
            (&["--root=/x", "--modify", "--persist"], Mode::Modify),
        ] {
            let cli = parse(arguments).unwrap_or_else(|kind| panic!("{arguments:?}: {kind:?}"));
            assert_eq!(cli.mode(), mode, "{arguments:?}");
            assert_eq!(cli.persist(), arguments.contains(&"--persist"));
        }
    }

    #[test]
    fn what_is_not_understood_is_bad_usage() {
        for (arguments, kind) in [
            (&["--warn", "--modify"][..], ErrorKind::ArgumentConflict),
            (&["--modify", "--warn"], ErrorKind::ArgumentConflict),
            (&["--strict", "--warn"], ErrorKind::ArgumentConflict),
            (&["--persist"], ErrorKind::MissingRequiredArgument),
            (&["--warn", "--persist"], ErrorKind::ArgumentConflict),
            (
                &["--unit=kubelet", "--", "kubelet"],
                ErrorKind::ArgumentConflict,
            ),
            (&["--unit=a", "--unit=b"], ErrorKind::ArgumentConflict),
            (&["--unit=a", "--root=b"], ErrorKind::ArgumentConflict),
            (
                &["--root=a", "--modify"],
                ErrorKind::MissingRequiredArgument,
            ),
            (
                &["--explain=kernel.panic", "--strict"],
                ErrorKind::ArgumentConflict,
            ),
            (&["--explain=kernel.pid_max"], ErrorKind::ValueValidation),
            (&["--explain=kernel"], ErrorKind::ValueValidation),
            (&["--wran"], ErrorKind::UnknownArgument),
            (&["kubelet"], ErrorKind::UnknownArgument),
            (&["--warn=yes"], ErrorKind::TooManyValues),
        ] {
            assert_eq!(parse(arguments).err(), Some(kind), "{arguments:?}");
        }
    }

    #[test]
    fn a_tunable_may_be_written_with_slashes() {
        for tunable in &TUNABLES {
            for name in [tunable.name.to_string(), tunable.name.replace('.', "/")] {
                let cli = parse(&["--explain", &name]).unwrap();
                assert_eq!(cli.explain, Some(tunable), "{name}");
            }
        }
    }

    #[test]
    fn without_its_options_a_command_line_still_says_what_to_check() {
        let read = |words: &[&str]| {
            let words = words.iter().map(OsString::from);
            Cli::without_options(
                [OsString::from("kubelet-tunables")]
                    .into_iter()
                    .chain(words),
            )
        };
        for (words, unit, kubelet) in [
            (
                &["--unit", "a.service", "--wran"][..],
                Some("a.service"),
                &[][..],
            ),
            (&["--wran", "--unit=a.service"], Some("a.service"), &[]),
            (&["--unit", "a", "--unit", "b"], Some("a"), &[]),
            (
                &["--wran", "--", "k", "--unit", "x"],
                None,
                &["k", "--unit", "x"],
            ),
            (&["--help"], None, &[]),
            (&["--unit"], None, &[]),
        ] {
            let cli = read(words);
            assert_eq!(cli.unit.as_deref(), unit.map(OsStr::new), "{words:?}");
            assert_eq!(cli.kubelet, kubelet, "{words:?}");
            assert_eq!(cli.mode(), Mode::AsKubelet, "{words:?}");
        }
    }

    #[test]
    fn help_fits_a_terminal() {
        // What --help prints, as no option has a longer help.
        let help = Cli::command().render_help().to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn help_names_each_exit_code() {
        for exit in Exit::ALL {
            let line = format!("\n  {:>2}  {}\n", exit.code(), exit.meaning());
            assert!(AFTER_HELP.contains(&line), "{line}");
        }
    }

    #[test]
    fn help_names_each_tunable_with_its_value() {
        let help = Cli::command().render_long_help().to_string();
        for tunable in TUNABLES {
            let words: Vec<_> = help.split_whitespace().collect();
            let value = tunable.expected.to_string();
            assert!(
                words.windows(2).any(|pair| pair == [tunable.name, &value]),
                "{} {value}",
                tunable.name
            );
        }
    }
}
