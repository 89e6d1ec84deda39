//! Decides what the state of a tunable means for a kubelet, and how the program ends. Pure: no files, no words.

use std::process::ExitCode;

/// The user's choice of how to treat a wrong tunable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Follow kubelet.
    #[default]
    AsKubelet,
    /// Warn, and start kubelet.
    Warn,
    /// Fail, whatever kubelet would do.
    Strict,
    /// Correct it first, then follow kubelet.
    Modify,
}

/// How kubelet treats a wrong tunable, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KubeletBehavior {
    /// It exits.
    Protects,
    /// No kubelet is given, so the strictest one is assumed.
    Assumed,
    /// It sets the value itself.
    Sets {
        /// True if it goes on where it cannot write; none if that depends on its version.
        ignores: Option<bool>,
    },
    /// A kubelet is started, but its configuration cannot be determined.
    Undetermined,
    /// It may not be a kubelet that is started, or one that looks at no tunable.
    Unknown,
    /// It exits before it looks at its tunables.
    FailsFirst,
}

/// The state of a tunable when kubelet starts, now or after the next boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The value that kubelet needs.
    Right,
    /// Another value, which the check in the unit corrects first.
    WillBeFixed,
    /// Another value.
    Wrong,
    /// Another value, which cannot be written.
    Stuck,
    /// Not readable, or not a number.
    Unreadable,
    /// Not predictable.
    Unknown {
        /// True if it cannot be written or read now.
        stuck: bool,
    },
}

/// The effect of a tunable's state on kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// None: the value is right.
    None,
    /// The check in the unit corrects it first.
    Fixed,
    /// kubelet sets the value.
    Set,
    /// kubelet cannot set the value and goes on.
    Ignored,
    /// kubelet never comes to look at it.
    NotChecked,
    /// kubelet may fail.
    MayFail,
    /// kubelet may fail, because the value cannot be predicted.
    Unpredicted,
    /// kubelet fails, or `--strict` says so.
    Fails(Exit),
}

/// How serious an effect is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Notice,
    /// kubelet may fail, or will, and is started.
    Warning,
    /// kubelet is not started.
    Error,
}

/// How the program ends, numbered as sysexits.h and systemd name it; of several the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: kubelet is not known to fail, or --warn was given.
    Success,
    /// 78: a tunable is wrong.
    Config,
    /// 74: a tunable could not be read or understood, which is not a pass.
    Io,
    /// 77: a tunable is wrong and could not be changed.
    NoPermission,
    /// 2: bad usage.
    Usage,
}

/// Decides the effect of a tunable's `state` on a kubelet that behaves like this.
///
/// kubelet exits if it cannot read a tunable, whether it protects or not, and if it cannot write one that it sets; only in
/// a user namespace it may go on. Source: `setupKernelTunables` in kubernetes' `container_manager_linux.go`.
pub fn effect(state: State, behavior: KubeletBehavior, mode: Mode) -> Effect {
    use KubeletBehavior as Kubelet;
    match (state, behavior, mode) {
        (_, Kubelet::FailsFirst, Mode::AsKubelet | Mode::Warn | Mode::Modify) => Effect::NotChecked,
        (State::Right, ..) => Effect::None,
        (State::Unreadable, _, Mode::Strict) => Effect::Fails(Exit::Io),
        (State::Unknown { .. }, _, Mode::Strict) => Effect::Unpredicted,
        (_, _, Mode::Strict) => Effect::Fails(Exit::Config),
        (State::WillBeFixed, ..) => Effect::Fixed,
        (_, Kubelet::Unknown, _) => Effect::MayFail,
        (State::Unreadable, ..) => Effect::Fails(Exit::Io),
        (State::Wrong | State::Unknown { stuck: false }, Kubelet::Sets { .. }, _) => Effect::Set,
        (
            _,
            Kubelet::Sets {
                ignores: Some(true),
            },
            _,
        ) => Effect::Ignored,
        (_, Kubelet::Sets { ignores: None }, _) => Effect::MayFail,
        (State::Unknown { .. }, ..) => Effect::Unpredicted,
        (_, Kubelet::Undetermined, _) => Effect::MayFail,
        (_, Kubelet::Sets { .. }, _) | (State::Stuck, _, Mode::Modify) => {
            Effect::Fails(Exit::NoPermission)
        }
        (State::Wrong | State::Stuck, ..) => Effect::Fails(Exit::Config),
    }
}

impl Effect {
    /// Returns true if kubelet will not run because of it, or may not.
    pub fn blocks_kubelet(self) -> bool {
        matches!(self, Self::MayFail | Self::Unpredicted | Self::Fails(_))
    }

    /// Returns true if a wrong value with this effect is to be fixed.
    pub fn needs_fix(self) -> bool {
        self.blocks_kubelet() || self == Self::NotChecked
    }

    /// Decides how the program ends because of it.
    pub fn exit(self, mode: Mode) -> Exit {
        match self {
            // A tunable that cannot be read is a failure even with --warn.
            Self::Unpredicted | Self::Fails(Exit::Io) => Exit::Io,
            Self::Fails(exit) if mode != Mode::Warn => exit,
            _ => Exit::Success,
        }
    }

    /// Decides how serious it is.
    pub fn severity(self, mode: Mode) -> Severity {
        match self {
            _ if self.exit(mode) != Exit::Success => Severity::Error,
            _ if self.blocks_kubelet() => Severity::Warning,
            _ => Severity::Notice,
        }
    }

    /// Decides whether kubelet starts; none if that is not known, or does not depend on its tunables.
    pub fn starts(self, behavior: KubeletBehavior, mode: Mode) -> Option<bool> {
        match self {
            Self::None | Self::Fixed | Self::Set | Self::Ignored => Some(true),
            Self::NotChecked | Self::MayFail | Self::Unpredicted => None,
            // Every kubelet has to read all six; whether it minds a wrong one is not known where there is none.
            Self::Fails(Exit::Io) => Some(false),
            Self::Fails(_) if behavior == KubeletBehavior::Assumed && mode != Mode::Strict => None,
            Self::Fails(_) => Some(false),
        }
    }
}

/// Decides the exit code: the greatest of the six.
pub fn exit(effects: impl IntoIterator<Item = Effect>, mode: Mode) -> Exit {
    let exits = effects.into_iter().map(|effect| effect.exit(mode));
    exits.fold(Exit::Success, Exit::max)
}

/// Decides whether kubelet starts with the six: the least of their answers, so that one which stops it settles it.
pub fn starts(
    effects: impl IntoIterator<Item = Effect>,
    behavior: KubeletBehavior,
    mode: Mode,
) -> Option<bool> {
    let answers = effects.into_iter().map(|it| it.starts(behavior, mode));
    answers
        .min_by_key(|answer| match answer {
            Some(false) => 0,
            None => 1,
            Some(true) => 2,
        })
        .flatten()
}

/// A row for each exit, by their numbers: as `$?` shows it, as systemd's own log line has it (systemd.exec(5), "Process Exit
/// Codes"), and as the help, the README and the man page explain it.
const EXITS: [(Exit, u8, &str, &str); 5] = [
    (
        Exit::Success,
        0,
        "SUCCESS",
        "kubelet is not known to fail, or --warn is set",
    ),
    (
        Exit::Usage,
        2,
        "INVALIDARGUMENT",
        "bad usage (in a shell only)",
    ),
    (
        Exit::Io,
        74,
        "IOERR",
        "a value cannot be read, even with --warn",
    ),
    (
        Exit::NoPermission,
        77,
        "NOPERM",
        "a wrong value cannot be changed (or made permanent)",
    ),
    (Exit::Config, 78, "CONFIG", "a value is wrong"),
];

impl Exit {
    /// All of them, by their numbers.
    pub const ALL: [Self; 5] = [EXITS[0].0, EXITS[1].0, EXITS[2].0, EXITS[3].0, EXITS[4].0];

    /// Returns the number.
    pub fn code(self) -> u8 {
        self.row().1
    }

    /// Returns systemd's name.
    pub fn systemd_name(self) -> &'static str {
        self.row().2
    }

    /// Returns the meaning.
    pub fn meaning(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> (Self, u8, &'static str, &'static str) {
        let row = EXITS.iter().find(|row| row.0 == self);
        *row.unwrap_or(&EXITS[0])
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use KubeletBehavior::{Assumed, FailsFirst, Protects, Sets, Undetermined, Unknown};

    const BEHAVIORS: [KubeletBehavior; 8] = [
        Protects,
        Assumed,
        Sets {
            ignores: Some(true),
        },
        Sets {
            ignores: Some(false),
        },
        Sets { ignores: None },
        Undetermined,
        Unknown,
        FailsFirst,
    ];
    const STATES: [State; 7] = [
        State::Right,
        State::WillBeFixed,
        State::Wrong,
        State::Stuck,
        State::Unreadable,
        State::Unknown { stuck: false },
        State::Unknown { stuck: true },
    ];
    const MODES: [Mode; 4] = [Mode::AsKubelet, Mode::Warn, Mode::Modify, Mode::Strict];

    fn letter(effect: Effect) -> char {
        match effect {
            Effect::None => '.',
            Effect::Fixed => 'f',
            Effect::Set => 's',
            Effect::Ignored => 'i',
            Effect::NotChecked => 'n',
            Effect::MayFail => 'm',
            Effect::Unpredicted => 'u',
            Effect::Fails(Exit::Config) => 'C',
            Effect::Fails(Exit::NoPermission) => 'P',
            Effect::Fails(Exit::Io) => 'I',
            Effect::Fails(exit) => panic!("nothing fails with {exit:?}"),
        }
    }

    #[test]
    fn each_combination_has_its_effect() {
        // A row for each state, and in it a letter for each behavior.
        let as_kubelet = [
            ".......n", "fffffffn", "CCsssmmn", "CCiPmmmn", "IIIIIImn", "uusssumn", "uuiumumn",
        ];
        let modify = [
            ".......n", "fffffffn", "CCsssmmn", "PPiPmmmn", "IIIIIImn", "uusssumn", "uuiumumn",
        ];
        let strict = [
            "........", "CCCCCCCC", "CCCCCCCC", "CCCCCCCC", "IIIIIIII", "uuuuuuuu", "uuuuuuuu",
        ];
        for (mode, rows) in MODES
            .into_iter()
            .zip([as_kubelet, as_kubelet, modify, strict])
        {
            for (state, row) in STATES.into_iter().zip(rows) {
                let effects = BEHAVIORS.map(|behavior| letter(effect(state, behavior, mode)));
                assert_eq!(String::from_iter(effects), row, "{state:?}, {mode:?}");
            }
        }
    }

    #[test]
    fn each_effect_has_its_exit_severity_and_start() {
        use Severity::{Error, Notice, Warning};
        let yes = [Some(true); 2];
        for (effect, exit, with_warn, severity, starts) in [
            (Effect::None, 0, 0, Notice, yes),
            (Effect::Fixed, 0, 0, Notice, yes),
            (Effect::Set, 0, 0, Notice, yes),
            (Effect::Ignored, 0, 0, Notice, yes),
            (Effect::NotChecked, 0, 0, Notice, [None; 2]),
            (Effect::MayFail, 0, 0, Warning, [None; 2]),
            (Effect::Unpredicted, 74, 74, Error, [None; 2]),
            (
                Effect::Fails(Exit::Config),
                78,
                0,
                Error,
                [Some(false), None],
            ),
            (
                Effect::Fails(Exit::NoPermission),
                77,
                0,
                Error,
                [Some(false), None],
            ),
            (Effect::Fails(Exit::Io), 74, 74, Error, [Some(false); 2]),
        ] {
            assert_eq!(effect.exit(Mode::AsKubelet).code(), exit, "{effect:?}");
            assert_eq!(effect.exit(Mode::Warn).code(), with_warn, "{effect:?}");
            assert_eq!(effect.severity(Mode::AsKubelet), severity, "{effect:?}");
            let found = [Protects, Assumed].map(|it| effect.starts(it, Mode::AsKubelet));
            assert_eq!(found, starts, "{effect:?}");
        }
    }

    #[test]
    fn nothing_holds_a_kubelet_that_may_start() {
        for (state, behavior) in STATES
            .iter()
            .flat_map(|it| BEHAVIORS.map(|other| (*it, other)))
        {
            for mode in [Mode::AsKubelet, Mode::Warn, Mode::Modify] {
                let effect = effect(state, behavior, mode);
                // What cannot be predicted is never the state of a start.
                if effect.exit(mode) != Exit::Success && effect != Effect::Unpredicted {
                    let starts = effect.starts(behavior, mode);
                    let is_known = starts == Some(false) || behavior == Assumed;
                    assert!(is_known, "{state:?}, {behavior:?}, {mode:?}");
                }
            }
        }
    }

    #[test]
    fn the_worst_of_the_six_decides() {
        let (fine, stuck) = (Effect::None, Effect::Fails(Exit::NoPermission));
        let exit = |effects: &[Effect]| exit(effects.iter().copied(), Mode::AsKubelet).code();
        assert_eq!(exit(&[fine, fine]), 0);
        assert_eq!(
            exit(&[fine, Effect::Fails(Exit::Config), Effect::Fails(Exit::Io)]),
            74
        );
        assert_eq!(exit(&[stuck, Effect::Fails(Exit::Io)]), 77);
        let starts =
            |effects: &[Effect]| starts(effects.iter().copied(), Protects, Mode::AsKubelet);
        assert_eq!(starts(&[fine, Effect::Set]), Some(true));
        assert_eq!(starts(&[fine, Effect::MayFail]), None);
        assert_eq!(starts(&[Effect::MayFail, stuck]), Some(false));
        assert_eq!(Exit::Usage.code(), 2, "clap's own");
    }
}
