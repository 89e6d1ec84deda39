//! Owns what may be said on the command line.

use std::ffi::{OsStr, OsString};

use clap::Parser;

use crate::check::Behavior;

/// The command line, as clap reads it.
#[derive(Debug, Default, PartialEq, Parser)]
#[command(
    name = "kubelet-tunables",
    version,
    about = ABOUT,
    override_usage = "kubelet-tunables [--warn | --modify | --strict]\n                        [--unit UNIT | -- KUBELET [ARGUMENT]...]",
    after_help = AFTER_HELP
)]
pub struct Cli {
    /// Only warn of a wrong value: exit 0, change nothing
    #[arg(long, conflicts_with = "modify")]
    warn: bool,

    /// Correct each wrong value until the next boot (needs root)
    #[arg(long)]
    modify: bool,

    /// Call a wrong value an error whatever kubelet is told
    #[arg(long, conflicts_with_all = ["warn", "modify"])]
    strict: bool,

    /// Judge as the kubelet that this unit starts (needs root)
    #[arg(long, value_name = "UNIT", conflicts_with = "kubelet")]
    unit: Option<OsString>,

    /// Kubelet's own command line, its first word the program
    #[arg(last = true, value_name = "KUBELET")]
    kubelet: Vec<OsString>,
}

const ABOUT: &str = "\
Checks the six kernel tunables that kubelet insists on, before kubelet starts.

With protectKernelDefaults on, kubelet dies when one of them differs from the
value it needs. This program looks first, says which are wrong, and its exit
code keeps systemd from starting a kubelet that would die. It runs before
kubelet as ExecStartPre= of kubelet.service, and by hand whenever you like.

  vm.overcommit_memory       1         kernel.panic_on_oops       1
  vm.panic_on_oom            0         kernel.keys.root_maxkeys   1000000
  kernel.panic               10        kernel.keys.root_maxbytes  25000000";

const AFTER_HELP: &str = "\
Without these a wrong value is an error, and nothing is changed. For --unit, and
behind `--`, it is one only if that kubelet has protectKernelDefaults on, by its
flags or its configuration files: one that has it off sets the six itself.
Behind `--` a word such as $KUBELET_EXTRA_ARGS stands for that variable's words.

Exit codes:
   0  kubelet's check will pass (or --warn, and a value is wrong)
   2  the command line was not understood
  74  a value could not be read or understood, so nothing is known of it
  77  a value is wrong and could not be changed
  78  a value is wrong

Examples:
  kubelet-tunables             look, and exit non-zero when a value is wrong
  kubelet-tunables --unit kubelet.service
                               what the gate says of this node's kubelet
  kubelet-tunables --modify    put the wrong values right until the next boot";

impl Cli {
    /// Reads the words of a command line, the first of which is the program.
    ///
    /// # Errors
    ///
    /// Clap's, which is its help and version too.
    pub fn read(words: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        let words: Vec<_> = words.collect();
        match words.get(1..) {
            // So says the drop-in at each start of kubelet, and there is nothing in it for clap to do.
            Some([dashes, kubelet @ ..]) if dashes == "--" => Ok(Self {
                kubelet: kubelet.to_vec(),
                ..Self::default()
            }),
            None | Some([]) => Ok(Self::default()),
            _ => Self::try_parse_from(words),
        }
    }

    /// How a mismatch is to be treated; none where kubelet's command line is to decide.
    pub fn behavior(&self) -> Option<Behavior> {
        if self.modify {
            Some(Behavior::Modify)
        } else if self.warn {
            Some(Behavior::Warn)
        } else if self.strict || (self.kubelet.is_empty() && self.unit.is_none()) {
            Some(Behavior::Error)
        } else {
            None
        }
    }

    /// The unit to ask for kubelet's command line.
    pub fn unit(&self) -> Option<&OsStr> {
        self.unit.as_deref()
    }

    /// Kubelet's command line, its first word the program; empty where there is none.
    pub fn kubelet(&self) -> &[OsString] {
        &self.kubelet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use crate::exit::Exit;
    use crate::tunable::TUNABLES;

    fn parse(arguments: &[&str]) -> Result<Cli, ErrorKind> {
        let words = [&["kubelet-tunables"], arguments].concat();
        Cli::read(words.into_iter().map(OsString::from)).map_err(|error| error.kind())
    }

    #[test]
    fn is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_read_without_clap_is_read_as_clap_does() {
        for words in [
            &[][..],
            &["kubelet-tunables"],
            &["kubelet-tunables", "--"],
            &["kubelet-tunables", "--", "kubelet"],
            &[
                "kubelet-tunables",
                "--",
                "kubelet",
                "--help",
                "--",
                "",
                "-x=y",
            ],
            &["kubelet-tunables", "--", "--", "--warn"],
            &["kubelet-tunables", "--warn", "--", "kubelet"],
        ] {
            let read = Cli::read(words.iter().map(OsString::from)).unwrap();
            assert_eq!(read, Cli::try_parse_from(words).unwrap(), "{words:?}");
        }
    }

    #[test]
    fn flags_choose_the_behavior() {
        for (arguments, behavior) in [
            (&[][..], Some(Behavior::Error)),
            (&["--warn"], Some(Behavior::Warn)),
            (&["--modify"], Some(Behavior::Modify)),
            (&["--strict"], Some(Behavior::Error)),
            (&["--"], Some(Behavior::Error)),
            (&["--unit", "kubelet.service"], None),
            (&["--unit=kubelet", "--strict"], Some(Behavior::Error)),
            (&["--", "kubelet"], None),
            (&["--", "kubelet", "--modify"], None),
            (&["--strict", "--", "kubelet"], Some(Behavior::Error)),
            (&["--warn", "--", "kubelet", "--warn"], Some(Behavior::Warn)),
        ] {
            let cli = parse(arguments).unwrap_or_else(|kind| panic!("{arguments:?}: {kind:?}"));
            assert_eq!(cli.behavior(), behavior, "{arguments:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_bad_usage() {
        for (arguments, kind) in [
            (&["--warn", "--modify"][..], ErrorKind::ArgumentConflict),
            (&["--modify", "--warn"], ErrorKind::ArgumentConflict),
            (&["--strict", "--warn"], ErrorKind::ArgumentConflict),
            (
                &["--unit=kubelet", "--", "kubelet"],
                ErrorKind::ArgumentConflict,
            ),
            (&["--wran"], ErrorKind::UnknownArgument),
            (&["kubelet"], ErrorKind::UnknownArgument),
            (&["--warn=yes"], ErrorKind::TooManyValues),
        ] {
            assert_eq!(parse(arguments).err(), Some(kind), "{arguments:?}");
        }
    }

    #[test]
    fn help_fits_a_terminal() {
        let help = Cli::command().render_long_help().to_string();
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
