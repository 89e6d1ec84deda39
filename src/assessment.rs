//! Takes one look at a node, as plain data: what each tunable is, who set it, what the next boot makes of it, what kubelet
//! is about to do, and what follows. Every format of the report is made of this, and so is the exit code.

use std::io;
use std::path::{Path, PathBuf};

use crate::boot::{Boot, ImageKernel, Origin, ReadError, Suspect, WhyUnapplied};
use crate::check::{Reading, Readings};
use crate::files::file;
use crate::files::root::Root;
use crate::kubelet::{Kubelet, Protection};
use crate::persist::{PersistError, Persisted};
use crate::sysctl::{Operation, SysctlError};
use crate::systemd::UnitError;
use crate::tunable::TUNABLES;

/// What is to follow from a wrong tunable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// What kubelet makes of it.
    #[default]
    AsKubelet,
    /// A warning, and kubelet is started.
    Warn,
    /// An error, whatever kubelet makes of it.
    Strict,
    /// It is corrected first.
    Modify,
    /// The check in the unit will correct it. By hand nothing is changed.
    ModifiedInUnit,
}

/// What is known of the kubelet that is about to be started.
#[derive(Debug)]
pub enum TargetInfo {
    /// Not looked for: all six are right, now and after the next boot.
    NotAsked,
    /// There is no unit and no command line to judge by.
    Nothing,
    /// The words of its command line, and what it makes of them.
    Kubelet(Kubelet),
    /// Whether a kubelet is started, and with which words, is not known, and why.
    NotKnown(NotKnown),
    /// systemd will not start the unit at all, and why.
    NotStarted {
        /// The unit.
        unit: String,
        /// Why.
        why: UnitError,
    },
}

/// Why it is not known what kubelet was told.
#[derive(Debug)]
pub enum NotKnown {
    /// systemd does not say what it executes.
    Systemd(UnitError),
    /// The unit starts this program, and no kubelet is recognised in its command line.
    NoKubelet(PathBuf),
    /// The program named kubelet is a script.
    Script(PathBuf),
    /// A wrapper, which may change the directory, starts kubelet with a relative path to its configuration.
    WrappedRelativePath,
    /// Behind a wrapper, which may have words of its own, stands what this kubelet would not take.
    WrappedArguments(PathBuf),
    /// A wrapper, which may write it first, starts kubelet with this file or folder, which is not there or in a volatile place.
    WrappedFile(PathBuf),
    /// This flag makes a kubelet that has it leave its tunables alone.
    RunsOnce(String),
    /// The check, which another unit runs, was to look at a unit of this name, and there is none.
    NoSuchUnit(String),
    /// The command begins with `+`, so that it may see other files, and write where the check cannot.
    Privileged,
    /// The unit has a root directory of its own.
    OwnRoot(String),
}

/// What kubelet does about a wrong tunable, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// It fails because of it.
    Dies,
    /// It sets the value itself.
    Overwrites,
    /// It fails before it looks at it.
    FailsFirst,
    /// Not known.
    NotKnown,
}

impl TargetInfo {
    /// What kubelet does about a wrong tunable. Where there is no kubelet to judge by, it is taken for a strict one.
    pub fn stance(&self) -> Stance {
        match self {
            Self::NotAsked | Self::Nothing => Stance::Dies,
            Self::NotKnown(_) => Stance::NotKnown,
            Self::NotStarted { .. } => Stance::FailsFirst,
            Self::Kubelet(kubelet) => match kubelet.protection {
                Protection::On(_) => Stance::Dies,
                Protection::Off(_) => Stance::Overwrites,
                Protection::NotThereYet(_) | Protection::Fails(_) => Stance::FailsFirst,
                Protection::Unknown(_) => Stance::NotKnown,
            },
        }
    }

    /// The feature gate `KubeletInUserNamespace`, where something sets it.
    fn in_user_namespace(&self) -> Option<bool> {
        match self {
            Self::Kubelet(kubelet) => kubelet.in_user_namespace,
            _ => None,
        }
    }
}

/// What the next boot makes of a tunable.
#[derive(Debug)]
pub enum NextBoot<'a> {
    /// What kubelet needs.
    Right,
    /// Another value.
    Wrong {
        /// The value.
        value: i64,
        /// Who will set it.
        origin: Origin<'a>,
    },
    /// Nobody knows, as a file could not be read.
    Unknown(&'a ReadError),
}

/// What follows from what was found of one tunable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is right, and nothing is to be said of it.
    Right,
    /// It is right now, and the next boot makes it wrong.
    RightUntilBoot,
    /// It was wrong and is corrected.
    Corrected,
    /// It is wrong, and the check in the unit will correct it before kubelet starts.
    WillBeCorrected,
    /// It is wrong, and kubelet will overwrite it.
    Overwritten,
    /// It is wrong and cannot be changed, which kubelet ignores in this user namespace.
    Ignored,
    /// It is wrong, and what kubelet makes of it is not known.
    Undecided,
    /// It is wrong, and kubelet dies of it.
    Wrong,
    /// It is wrong and cannot be changed, and kubelet dies of it.
    Refused,
    /// It could not be read or understood.
    Unreadable,
}

impl Outcome {
    /// Whether kubelet will, or may, not run because of it.
    pub fn is_amiss(self) -> bool {
        matches!(
            self,
            Self::Wrong | Self::Refused | Self::Unreadable | Self::Undecided
        )
    }
}

/// One tunable and all that is known of it.
#[derive(Debug)]
pub struct TunableStatus<'a> {
    /// What was found.
    pub finding: Reading,
    /// Who set it, where it is wrong.
    pub origin: Option<Origin<'a>>,
    /// Who may have changed it since boot.
    pub suspects: Vec<Suspect>,
    /// A word of the kernel's command line that was meant to set it and does not.
    pub parameter_without_prefix: Option<String>,
    /// What the next boot makes of it.
    pub next: NextBoot<'a>,
    /// What follows.
    pub outcome: Outcome,
}

/// Something about the check itself that its user should know.
#[derive(Debug)]
pub enum Diagnostic {
    /// The check's options are not understood, so it goes on without any.
    OptionsNotUnderstood {
        /// Clap's first line and its suggestion.
        complaint: String,
        /// The file that the options come from.
        file: Option<PathBuf>,
    },
    /// A variable of the environment is nearly the one that holds the check's options.
    VariableMisspelt(String),
    /// By hand: the option that the check has in the unit.
    OptionInUnit(&'static str),
    /// By hand: the check does not run in this unit.
    NotInUnit(String),
    /// The values were made permanent.
    Persisted(Persisted),
    /// It could not be written, and why.
    NotPersisted(PersistError),
}

/// One look at a node.
#[derive(Debug)]
pub struct Assessment<'a> {
    /// What is to follow from a wrong tunable.
    pub mode: Mode,
    /// What is known of kubelet.
    pub told: TargetInfo,
    /// The unit that starts kubelet, where it is known.
    pub unit: Option<String>,
    /// systemd stops starting the unit after some failures.
    pub may_give_up: bool,
    /// What its user should know of the check itself.
    pub notes: Vec<Diagnostic>,
    /// The image that was looked at in the place of a machine: what is now is then what its first boot will set.
    pub image: Option<Image<'a>>,
    /// The six, in the order of the table.
    pub sights: [TunableStatus<'a>; TUNABLES.len()],
}

/// A file system tree that is not booted.
#[derive(Debug)]
pub struct Image<'a> {
    /// Where it is.
    pub path: PathBuf,
    /// What it tells of the kernel that it will boot.
    pub image_kernel: ImageKernel<'a>,
}

impl<'a> Image<'a> {
    /// The image of this root, of which the boot was read.
    pub fn new(root: &Root, boot: &'a Boot) -> Self {
        Self {
            path: root.path().to_path_buf(),
            image_kernel: boot.image_kernel(),
        }
    }
}

/// What the first boot of an image will make of the six. What cannot be known could not be read.
pub fn predict(boot: &Boot) -> Readings {
    TUNABLES.each_ref().map(|tunable| Reading {
        tunable,
        now: boot.forecast(tunable).map_err(unread),
        was: None,
        refused: None,
    })
}

fn unread(ReadError { path, error }: &ReadError) -> SysctlError {
    SysctlError::Io {
        operation: Operation::Read,
        path: path.clone(),
        source: match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), error.to_string()),
        },
    }
}

/// Whether it matters what kubelet was told: a tunable is wrong now, or may be after the next boot.
pub fn is_in_doubt(findings: &Readings, boot: &Boot) -> bool {
    findings.iter().any(|finding| {
        let next = boot.next().forecast(finding.tunable);
        !finding.is_right() || !matches!(next, Ok(next) if next == finding.tunable.expected)
    })
}

impl<'a> Assessment<'a> {
    /// Puts together what was found; `root` is where /proc is.
    pub fn new(
        mode: Mode,
        told: TargetInfo,
        findings: Readings,
        boot: &'a Boot,
        root: &Path,
    ) -> Self {
        let judge = Judge {
            mode,
            stance: told.stance(),
            gate: told.in_user_namespace(),
            root,
        };
        let sights = findings.map(|finding| judge.sight(finding, boot));
        Self {
            mode,
            told,
            unit: None,
            may_give_up: false,
            notes: Vec::new(),
            image: None,
            sights,
        }
    }

    /// Puts together what the first boot of an image will set.
    pub fn of_image(
        mode: Mode,
        told: TargetInfo,
        findings: Readings,
        boot: &'a Boot,
        root: &Root,
    ) -> Self {
        let mut look = Self {
            image: Some(Image::new(root, boot)),
            ..Self::new(mode, told, findings, boot, root.path())
        };
        let is_overwritten = look.told.stance() == Stance::Overwrites && mode != Mode::Strict;
        for sight in &mut look.sights {
            // Nothing has changed it since a boot.
            sight.suspects.clear();
            // Whatever the boot sets, kubelet sets it right.
            if is_overwritten && sight.outcome == Outcome::Unreadable {
                sight.outcome = Outcome::Overwritten;
            }
        }
        look
    }

    /// How many tunables ended in which way.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.sights
            .iter()
            .filter(|sight| sight.outcome == outcome)
            .count()
    }

    /// How many tunables stand in the way of kubelet, or may.
    pub fn amiss(&self) -> usize {
        self.sights
            .iter()
            .filter(|sight| sight.outcome.is_amiss())
            .count()
    }

    /// The first file that keeps the next boot of a tunable from being known, where that matters.
    pub fn doubt(&self) -> Option<&ReadError> {
        let matters = self.told.stance() == Stance::Dies || self.mode == Mode::Strict;
        // Of an image, a finding says so.
        if !matters || self.image.is_some() {
            return None;
        }
        self.sights.iter().find_map(|sight| match sight.next {
            NextBoot::Unknown(problem) => Some(problem),
            NextBoot::Right | NextBoot::Wrong { .. } => None,
        })
    }

    /// Whether the values were to be made permanent, and are not.
    pub fn failed_to_persist(&self) -> bool {
        let mut notes = self.notes.iter();
        let mut sights = self.sights.iter();
        notes.any(|note| matches!(note, Diagnostic::Persisted(_) | Diagnostic::NotPersisted(_)))
            && sights.any(|sight| !matches!(sight.next, NextBoot::Right))
    }

    /// Whether kubelet's configuration is merely not there yet, as before `kubeadm join`.
    pub fn is_not_configured(&self) -> bool {
        matches!(&self.told, TargetInfo::Kubelet(kubelet) if matches!(kubelet.protection, Protection::NotThereYet(_)))
    }

    /// Whether kubelet fails before it looks at its tunables, so that nothing follows from them.
    pub fn is_not_checked(&self) -> bool {
        self.told.stance() == Stance::FailsFirst && self.mode != Mode::Strict
    }

    /// Whether kubelet starts with the tunables as they are now; none where that is not known, or does not depend on them.
    pub fn will_start(&self) -> Option<bool> {
        if self.image.is_some() {
            return None;
        }
        self.lets_all_pass(|sight| match sight.outcome {
            Outcome::Wrong | Outcome::Refused => self.if_checked(),
            Outcome::Unreadable => match self.told {
                TargetInfo::NotKnown(_) => self.if_checked(),
                _ => Some(false),
            },
            Outcome::Undecided => None,
            Outcome::Right
            | Outcome::RightUntilBoot
            | Outcome::Corrected
            | Outcome::WillBeCorrected
            | Outcome::Overwritten
            | Outcome::Ignored => Some(true),
        })
    }

    /// Whether kubelet starts with the tunables as the next boot sets them; none as above.
    pub fn will_start_after_next_boot(&self) -> Option<bool> {
        self.lets_all_pass(|sight| {
            if sight.finding.now.is_err() && sight.outcome != Outcome::Overwritten {
                return None;
            }
            let is_refused = sight.finding.refused.is_some();
            match (&sight.next, self.told.stance()) {
                (NextBoot::Right, _) => Some(true),
                (NextBoot::Wrong { .. }, _) if self.mode == Mode::Strict => Some(false),
                (_, _) if self.mode == Mode::ModifiedInUnit && !is_refused => Some(true),
                (_, Stance::Overwrites) if !is_refused => Some(true),
                (_, Stance::Overwrites) if sight.outcome == Outcome::Ignored => Some(true),
                (_, Stance::NotKnown) | (NextBoot::Unknown(_), _) => None,
                (NextBoot::Wrong { .. }, _) => self.if_checked(),
            }
        })
    }

    /// What a wrong tunable leads to: without a kubelet to judge by it is not known whether there is a check to fail.
    fn if_checked(&self) -> Option<bool> {
        match self.told {
            TargetInfo::Nothing | TargetInfo::NotKnown(_) if self.mode != Mode::Strict => None,
            _ => Some(false),
        }
    }

    /// Whether no tunable keeps kubelet from starting: one that does settles it.
    fn lets_all_pass(&self, passes: impl Fn(&TunableStatus) -> Option<bool>) -> Option<bool> {
        if self.is_not_checked() {
            return None;
        }
        self.sights
            .iter()
            .map(passes)
            .min_by_key(|answer| match answer {
                Some(false) => 0,
                None => 1,
                Some(true) => 2,
            })
            .flatten()
    }
}

/// What decides about a tunable besides the tunable.
struct Judge<'a> {
    mode: Mode,
    stance: Stance,
    /// The feature gate `KubeletInUserNamespace`.
    gate: Option<bool>,
    root: &'a Path,
}

impl Judge<'_> {
    fn sight<'b>(&self, finding: Reading, boot: &'b Boot) -> TunableStatus<'b> {
        let tunable = finding.tunable;
        let next = match boot.next().forecast(tunable) {
            Ok(value) if value == tunable.expected => NextBoot::Right,
            Ok(value) => NextBoot::Wrong {
                value,
                origin: boot.next().origin(tunable, value),
            },
            Err(problem) => NextBoot::Unknown(problem),
        };
        let outcome = self.outcome(&finding, &next);
        let origin = finding.wrong().map(|wrong| boot.origin(tunable, wrong));
        let is_by_unknown_hand = match &origin {
            Some(Origin::SinceBoot { .. }) => true,
            Some(Origin::Kernel {
                unapplied: Some(unapplied),
                ..
            }) => unapplied.why != WhyUnapplied::NotRead,
            _ => false,
        };
        let is_wrong_some_time = origin.is_some() || matches!(next, NextBoot::Wrong { .. });
        TunableStatus {
            suspects: if is_by_unknown_hand {
                boot.suspects(tunable, finding.wrong())
            } else {
                Vec::new()
            },
            parameter_without_prefix: is_wrong_some_time
                .then(|| boot.parameter_without_prefix(tunable))
                .flatten(),
            finding,
            origin,
            next,
            outcome,
        }
    }

    fn outcome(&self, finding: &Reading, next: &NextBoot) -> Outcome {
        if finding.now.is_err() {
            return Outcome::Unreadable;
        }
        if finding.wrong().is_none() {
            let is_fleeting = matches!(next, NextBoot::Wrong { .. });
            return match self.stance {
                _ if finding.was.is_some() => Outcome::Corrected,
                Stance::Overwrites if self.mode != Mode::Strict => Outcome::Right,
                _ if is_fleeting => Outcome::RightUntilBoot,
                _ => Outcome::Right,
            };
        }
        let is_refused = finding.refused.is_some();
        match (self.mode, self.stance) {
            (Mode::Strict, _) => Outcome::Wrong,
            (Mode::ModifiedInUnit, _) if !is_refused => Outcome::WillBeCorrected,
            (_, Stance::NotKnown) => Outcome::Undecided,
            (_, Stance::Overwrites) if !is_refused => Outcome::Overwritten,
            (_, Stance::Overwrites) => self.when_kubelet_cannot_write(),
            (Mode::Modify | Mode::ModifiedInUnit, _) if is_refused => Outcome::Refused,
            _ => Outcome::Wrong,
        }
    }

    /// In a user namespace the feature gate decides, whose default depends on kubelet's version: off up to 1.36, on from
    /// 1.37. Source: `setupKernelTunables` in kubernetes' `container_manager_linux.go`, kubernetes issue 134639.
    fn when_kubelet_cannot_write(&self) -> Outcome {
        if !is_in_user_namespace(self.root) {
            return Outcome::Refused;
        }
        match self.gate {
            Some(true) => Outcome::Ignored,
            Some(false) => Outcome::Refused,
            None => Outcome::Undecided,
        }
    }
}

/// Whether this process, and so kubelet, is in a user namespace, as kubelet finds it out: the map of user ids is not the
/// identity. Source: `RunningInUserNS` in `github.com/moby/sys/userns`.
fn is_in_user_namespace(root: &Path) -> bool {
    /// Bytes read at the most; the map has 340 lines at the most.
    const LIMIT: u64 = 1 << 20;
    let mut map = Vec::new();
    if file::read(&root.join("proc/self/uid_map"), LIMIT, &mut map).is_err() {
        return false;
    }
    let first = map.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let numbers = first
        .split(u8::is_ascii_whitespace)
        .filter(|number| !number.is_empty());
    !numbers.eq([&b"0"[..], b"0", b"4294967295"])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::kubelet::SetBy;
    use crate::sysctl::SysctlError;

    pub(crate) fn refusal() -> SysctlError {
        SysctlError::TooLong {
            path: "/proc/sys/kernel/panic".into(),
        }
    }

    /// A finding of `kernel.panic`.
    pub(crate) fn finding(now: Option<i64>, refused: bool, was: Option<i64>) -> Reading {
        Reading {
            tunable: &TUNABLES[2],
            now: now.ok_or_else(refusal),
            was,
            refused: refused.then(refusal),
        }
    }

    /// What is known of a kubelet of this protection.
    pub(crate) fn kubelet(protection: Protection) -> TargetInfo {
        TargetInfo::Kubelet(Kubelet {
            protection,
            in_user_namespace: None,
            may_refuse: None,
        })
    }

    pub(crate) fn masked() -> TargetInfo {
        TargetInfo::NotStarted {
            unit: "kubelet.service".to_string(),
            why: UnitError::Masked,
        }
    }

    /// A look at a machine on which `kernel.panic` is as found, the others right, and the next boot is the kernel's.
    pub(crate) fn look(
        mode: Mode,
        told: TargetInfo,
        panic: Reading,
        boot: &Boot,
    ) -> Assessment<'_> {
        let mut panic = Some(panic);
        let findings = TUNABLES.each_ref().map(|tunable| match tunable.name {
            "kernel.panic" => panic.take().unwrap(),
            _ => Reading {
                tunable,
                now: Ok(tunable.expected),
                was: None,
                refused: None,
            },
        });
        Assessment::new(mode, told, findings, boot, Path::new("/nonexistent"))
    }

    /// A name, what is found, how it is to be treated, and the exit codes for each kubelet.
    type Row<'a> = (&'a str, &'a dyn Fn() -> Reading, Mode, [u8; 8]);

    #[test]
    fn exit_is_what_becomes_of_kubelet() {
        use Mode::{AsKubelet, ModifiedInUnit, Modify, Strict, Warn};
        let on = || kubelet(Protection::On(SetBy::Default));
        let off = || kubelet(Protection::Off(SetBy::Default));
        let fails = || kubelet(Protection::Fails("x".to_string()));
        let not_there = || kubelet(Protection::NotThereYet("/x".into()));
        let unknown = || kubelet(Protection::Unknown("x".to_string()));
        let not_known = || TargetInfo::NotKnown(NotKnown::WrappedRelativePath);
        let nothing = || TargetInfo::Nothing;
        let told: [(&str, &dyn Fn() -> TargetInfo); 8] = [
            ("nothing", &nothing),
            ("on", &on),
            ("off", &off),
            ("fails", &fails),
            ("not there yet", &not_there),
            ("unknown", &unknown),
            ("not known", &not_known),
            ("masked", &masked),
        ];
        let wrong = || finding(Some(0), false, None);
        let refused = || finding(Some(0), true, None);
        let unreadable = || finding(None, false, None);
        let corrected = || finding(Some(10), false, Some(0));
        let found: [Row; 13] = [
            //                                     nothing on off fails not-there unknown not-known masked
            ("wrong", &wrong, AsKubelet, [78, 78, 0, 0, 0, 0, 0, 0]),
            ("wrong", &wrong, Warn, [0; 8]),
            ("wrong", &wrong, Strict, [78; 8]),
            ("wrong", &wrong, ModifiedInUnit, [0; 8]),
            ("refused", &refused, AsKubelet, [78, 78, 77, 0, 0, 0, 0, 0]),
            ("refused", &refused, Warn, [0; 8]),
            ("refused", &refused, Strict, [78; 8]),
            ("refused", &refused, Modify, [77, 77, 77, 0, 0, 0, 0, 0]),
            (
                "refused",
                &refused,
                ModifiedInUnit,
                [77, 77, 77, 0, 0, 0, 0, 0],
            ),
            (
                "unreadable",
                &unreadable,
                AsKubelet,
                [74, 74, 74, 0, 0, 74, 0, 0],
            ),
            (
                "unreadable",
                &unreadable,
                Warn,
                [74, 74, 74, 0, 0, 74, 0, 0],
            ),
            ("unreadable", &unreadable, Strict, [74; 8]),
            ("corrected", &corrected, Modify, [0; 8]),
        ];
        let boot = Boot::new(&Root::machine(Path::new("/nonexistent")));
        for (name, found, mode, codes) in found {
            for ((who, told), code) in told.iter().zip(codes) {
                let look = look(mode, told(), found(), &boot);
                assert_eq!(Exit::of(&look).code(), code, "{name}, {who}, {mode:?}");
            }
        }
    }

    #[test]
    fn whether_kubelet_starts_is_said_only_where_it_is_known() {
        use Mode::{AsKubelet, ModifiedInUnit, Strict, Warn};
        let on = || kubelet(Protection::On(SetBy::Default));
        let off = || kubelet(Protection::Off(SetBy::Default));
        let fails = || kubelet(Protection::Fails("x".to_string()));
        let unknown = || kubelet(Protection::Unknown("x".to_string()));
        let not_known = || TargetInfo::NotKnown(NotKnown::WrappedRelativePath);
        let nothing = || TargetInfo::Nothing;
        let told: [&dyn Fn() -> TargetInfo; 6] =
            [&on, &off, &fails, &unknown, &not_known, &nothing];
        let right = || finding(Some(10), false, None);
        let wrong = || finding(Some(0), false, None);
        let refused = || finding(Some(0), true, None);
        let unreadable = || finding(None, false, None);
        let found: [(&dyn Fn() -> Reading, Mode, &str, &str); 9] = [
            // One letter for each of the above, of the start now and of that after the next boot.
            (&right, AsKubelet, "yy-yyy", "ny----"),
            (&wrong, AsKubelet, "ny----", "ny----"),
            (&wrong, Warn, "ny----", "ny----"),
            (&wrong, Strict, "nnnnnn", "nnnnnn"),
            (&wrong, ModifiedInUnit, "yy-yyy", "yy-yyy"),
            (&refused, AsKubelet, "nn----", "nn----"),
            (&refused, ModifiedInUnit, "nn----", "nn----"),
            (&unreadable, AsKubelet, "nn-n-n", "n-----"),
            (&unreadable, Strict, "nnnnnn", "nnnnnn"),
        ];
        // No file sets anything here, so the next boot leaves the kernel's defaults, of which three are wrong.
        let root = std::env::temp_dir().join(format!("kubelet-tunables-l-{}", std::process::id()));
        std::fs::create_dir_all(root.join("proc")).unwrap();
        std::fs::write(root.join("proc/cmdline"), "quiet\n").unwrap();
        let boot = Boot::new(&Root::machine(&root));
        for (found, mode, now, later) in found {
            for (n, told) in told.iter().enumerate() {
                let look = look(mode, told(), found(), &boot);
                let letter = |answer| match answer {
                    Some(true) => 'y',
                    Some(false) => 'n',
                    None => '-',
                };
                let answers = (
                    letter(look.will_start()),
                    letter(look.will_start_after_next_boot()),
                );
                let expected = (now.chars().nth(n).unwrap(), later.chars().nth(n).unwrap());
                assert_eq!(answers, expected, "{:?}, {mode:?}", look.told);
            }
        }
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn in_a_user_namespace_the_feature_gate_decides() {
        let root = std::env::temp_dir().join(format!("kubelet-tunables-u-{}", std::process::id()));
        std::fs::create_dir_all(root.join("proc/self")).unwrap();
        let outcome = |map: &str, gate, stance| {
            std::fs::write(root.join("proc/self/uid_map"), map).unwrap();
            let judge = Judge {
                mode: Mode::AsKubelet,
                stance,
                gate,
                root: &root,
            };
            judge.outcome(&finding(Some(0), true, None), &NextBoot::Right)
        };
        let (inside, initial) = (
            "         0       1000          1\n",
            "         0          0 4294967295\n",
        );
        for (map, gate, expected) in [
            (inside, Some(true), Outcome::Ignored),
            (inside, Some(false), Outcome::Refused),
            (inside, None, Outcome::Undecided),
            ("", Some(true), Outcome::Ignored),
            (initial, Some(true), Outcome::Refused),
            (initial, None, Outcome::Refused),
        ] {
            let outcome = |stance| outcome(map, gate, stance);
            assert_eq!(outcome(Stance::Overwrites), expected, "{map:?} {gate:?}");
            assert_eq!(outcome(Stance::Dies), Outcome::Wrong, "{map:?} {gate:?}");
        }
        std::fs::remove_dir_all(&root).unwrap();
        assert!(!is_in_user_namespace(&root));
    }
}
