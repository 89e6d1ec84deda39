//! Reads the command line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser};

use crate::assessment::Mode;
use crate::report::Format;
use crate::tunable::{self, TUNABLES, Tunable};

/// The command line, as clap reads it.
#[derive(Debug, Default, PartialEq, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
#[command(
    name = "kubelet-tunables",
    version,
    about = ABOUT,
    override_usage = "kubelet-tunables [--warn | --strict | --modify [--persist]]\n                        [--format FORMAT]\n                        [--unit UNIT | [--root DIR] [-- KUBELET [ARGUMENT]...]]\n       kubelet-tunables --explain SYSCTL [--root DIR]",
    after_help = AFTER_HELP
)]
pub struct Cli {
    /// Only warn of a wrong value
    #[arg(long, conflicts_with = "modify")]
    warn: bool,

    /// Fail on any wrong value, even if kubelet would not
    #[arg(long, conflicts_with_all = ["warn", "modify"])]
    strict: bool,

    /// Correct wrong values until the next boot (needs root)
    #[arg(long)]
    modify: bool,

    /// With --modify: make the values permanent
    #[arg(long, requires = "modify", conflicts_with_all = ["warn", "strict"])]
    persist: bool,

    /// Check against the kubelet of this unit (needs root)
    #[arg(long, value_name = "UNIT", conflicts_with = "kubelet")]
    unit: Option<OsString>,

    /// Check what the first boot of the image in DIR sets
    #[arg(long, value_name = "DIR", conflicts_with = "unit")]
    root: Option<PathBuf>,

    /// List what sets SYSCTL at boot, and mark what counts
    #[arg(long, value_name = "SYSCTL", value_parser = tunable,
        conflicts_with_all = ["warn", "strict", "modify", "persist", "unit", "kubelet", "format"])]
    explain: Option<&'static Tunable>,

    /// Print text, json or prometheus (not in kubelet's unit)
    #[arg(long, value_enum, hide_possible_values = true)]
    format: Option<Format>,

    /// Check against this command line of kubelet
    #[arg(last = true, value_name = "KUBELET")]
    kubelet: Vec<OsString>,
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
   0  no wrong value is known to stop kubelet (or --warn)
   2  bad usage (in a shell only)
  74  a value could not be read, even with --warn
  77  a wrong value cannot be changed (or made permanent)
  78  a value is wrong

Examples:
  kubelet-tunables                       check this node's kubelet
  kubelet-tunables --modify              fix wrong values until the next boot
  kubelet-tunables --modify --persist    fix them permanently
  kubelet-tunables -- kubelet --config=/etc/kubernetes/kubelet.yaml
                                         check against this command line
  kubelet-tunables --explain kernel.panic
                                         show what sets it, file by file
  kubelet-tunables --root /mnt/image     check an image before it is booted";

impl Cli {
    /// Reads the words of a command line, the first of which is the program.
    ///
    /// # Errors
    ///
    /// Clap's, which is its help and version too.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(words).map_err(|mut answer| {
            // Clap proposes to put what it does not know behind `--`; here that would make it kubelet's command line.
            answer.remove(ContextKind::Suggested);
            answer
        })?;
        if cli.root.is_some() && cli.modify && !cli.persist {
            // No kernel runs there whose values could be changed.
            let what = "with '--root', '--modify' needs '--persist'";
            return Err(Self::command().error(ErrorKind::MissingRequiredArgument, what));
        }
        Ok(cli)
    }

    /// What a command line asks to be checked, its options left out since one of them is not understood.
    pub fn without_options(words: impl IntoIterator<Item = OsString>) -> Self {
        let mut words = words.into_iter().skip(1);
        while let Some(word) = words.next() {
            if word == "--" {
                return Self {
                    kubelet: words.collect(),
                    ..Self::default()
                };
            }
            let unit = if word == "--unit" {
                words.next()
            } else {
                let value = word.to_str().and_then(|word| word.strip_prefix("--unit="));
                value.map(OsString::from)
            };
            if unit.is_some() {
                return Self {
                    unit,
                    ..Self::default()
                };
            }
        }
        Self::default()
    }

    /// What is to follow from a wrong tunable.
    pub fn mode(&self) -> Mode {
        if self.modify {
            Mode::Modify
        } else if self.warn {
            Mode::Warn
        } else if self.strict {
            Mode::Strict
        } else {
            Mode::AsKubelet
        }
    }

    /// Whether the values are to be made permanent.
    pub fn persist(&self) -> bool {
        self.persist
    }

    /// An option that is for a shell: in kubelet's own unit it is ignored, and so are all others with it.
    pub fn option_for_a_shell(&self) -> Option<&'static str> {
        if self.persist {
            Some("--persist")
        } else if self.format() != Format::Text {
            Some("--format")
        } else {
            None
        }
    }

    /// The form of what is printed.
    pub fn format(&self) -> Format {
        self.format.unwrap_or_default()
    }

    /// The unit whose kubelet is to be checked against.
    pub fn unit(&self) -> Option<&OsStr> {
        self.unit.as_deref()
    }

    /// The image to be checked in the place of the machine.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The tunable to be explained.
    pub fn explain(&self) -> Option<&'static Tunable> {
        self.explain
    }

    /// kubelet's command line, its first word the program; empty where there is none.
    pub fn kubelet(&self) -> &[OsString] {
        &self.kubelet
    }
}

/// The tunable of this name.
fn tunable(name: &str) -> Result<&'static Tunable, String> {
    tunable::named(name).ok_or_else(|| {
        let names = TUNABLES.map(|tunable| tunable.name).join("\n  ");
        format!("it is none of kubelet's six:\n  {names}")
    })
}

/// Whether the name of a variable is nearly that of the check's options, so that a slip is to be warned of.
pub fn is_nearly_options(variable: &OsStr) -> bool {
    /// Letters wrong at the most; kubeadm's own variables differ in more.
    const SLIPS: usize = 3;
    variable.to_str().is_some_and(|variable| {
        let upper = variable.to_ascii_uppercase();
        variable != OPTIONS
            && (upper.starts_with("KUBELET_TUNABLE")
                // A length that differs by more settles it at no cost.
                || (upper.len().abs_diff(OPTIONS.len()) <= SLIPS
                    && strsim::damerau_levenshtein(&upper, OPTIONS) <= SLIPS))
    })
}

/// The variable that holds the options of the check in the unit.
pub const OPTIONS: &str = "KUBELET_TUNABLES_ARGS";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

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
                assert_eq!(cli.explain(), Some(tunable), "{name}");
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
            assert_eq!(cli.unit(), unit.map(OsStr::new), "{words:?}");
            assert_eq!(cli.kubelet(), kubelet, "{words:?}");
            assert_eq!(cli.mode(), Mode::AsKubelet, "{words:?}");
        }
    }

    #[test]
    fn a_slip_in_the_variable_is_seen_and_kubeadms_are_none() {
        for (variable, expected) in [
            ("KUBELET_TUNABLES_ARGS", false),
            ("KUBELET_TUNABLE_ARGS", true),
            ("KUBELET_TUNABLES_ARG", true),
            ("KUBELET_TUNABLES_OPTS", true),
            ("KUBELET_TUNEABLES_ARGS", true),
            ("KUBLET_TUNABLES_ARGS", true),
            ("KUBE_TUNABLES_ARGS", true),
            ("kubelet_tunables_args", true),
            ("KUBELET_EXTRA_ARGS", false),
            ("KUBELET_KUBEADM_ARGS", false),
            ("KUBELET_CONFIG_ARGS", false),
            ("KUBELET_KUBECONFIG_ARGS", false),
            ("KUBELET_NETWORK_ARGS", false),
            ("NODEADM_KUBELET_ARGS", false),
            ("PATH", false),
        ] {
            assert_eq!(
                is_nearly_options(OsStr::new(variable)),
                expected,
                "{variable}"
            );
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
