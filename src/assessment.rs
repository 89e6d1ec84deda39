//! Puts together everything known about a node, as plain data: each tunable, what set it, what the next boot sets, what
//! kubelet is about to do, and what follows. Each format of the report is made of it, and so is the exit code.

use std::io;
use std::path::PathBuf;

use crate::boot::{Boot, ImageKernel, Origin, ReadError, Suspect, When, WhyUnapplied};
use crate::files::root::Root;
use crate::kubelet::Protection;
use crate::persist::{PersistError, Persisted};
use crate::sysctl::{Operation, Reading, Readings, SysctlError};
use crate::systemd::NextStart;
use crate::target::{Target, TargetInfo};
use crate::tunable::TUNABLES;
use crate::verdict::{self, Effect, Exit, KubeletBehavior, Mode, Severity, State, effect};

/// The inputs of an assessment besides the readings.
#[derive(Debug)]
pub struct Request {
    /// The mode of this run.
    pub mode: Mode,
    /// The mode of the check in the unit, if this process is not that check.
    pub mode_in_unit: Option<Mode>,
    /// True if this user is root.
    pub is_root: bool,
    /// Remarks on the check itself.
    pub diagnostics: Vec<Diagnostic>,
    /// A unit, and what systemd does next with it, if it was asked.
    pub next_start: Option<(String, NextStart)>,
}

impl Request {
    /// Returns the mode that decides: that of the unit only if this run has none.
    fn deciding_mode(&self) -> Mode {
        match self.mode {
            Mode::AsKubelet => self.mode_in_unit.unwrap_or_default(),
            mode => mode,
        }
    }
}

/// Everything known about a node, complete when it is built.
#[derive(Debug)]
pub struct Assessment<'a> {
    /// The mode that decides: this run's, else that of the check in the unit.
    pub mode: Mode,
    /// True if `--modify` was given to this run, not to the check in the unit.
    pub is_fixing: bool,
    /// True if this user is root.
    pub is_root: bool,
    /// The kubelet that is about to start, and its unit.
    pub target: Target,
    /// How it treats a wrong tunable.
    pub behavior: KubeletBehavior,
    /// Remarks on the check itself.
    pub diagnostics: Vec<Diagnostic>,
    /// The image that was checked instead of a machine: `now` is then what its first boot sets.
    pub image: Option<Image<'a>>,
    /// True if this machine is a container, whose tunables are mostly the host's.
    pub is_container: bool,
    /// A unit, and what systemd does next with it, if it was asked.
    pub next_start: Option<(String, NextStart)>,
    /// The six, in the order of the table.
    pub tunables: [TunableStatus<'a>; TUNABLES.len()],
}

/// One tunable and everything known about it.
#[derive(Debug)]
pub struct TunableStatus<'a> {
    /// The value read; for an image, the one that its first boot sets.
    pub reading: Reading,
    /// The origin of the value, if it is wrong.
    pub origin: Option<Origin<'a>>,
    /// Programs that may have changed it since boot.
    pub suspects: Vec<Suspect>,
    /// A parameter on the kernel command line that was meant to set it and has no effect.
    pub parameter_without_prefix: Option<String>,
    /// The value after the next boot.
    pub next: NextBoot<'a>,
    /// Its state now.
    pub state: State,
    /// The effect of that state on kubelet.
    pub effect: Effect,
    /// The name of both in the report.
    pub outcome: Outcome,
    /// The effect on kubelet after the next boot.
    pub effect_after_boot: Effect,
}

/// A tunable's state and effect, as the report names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is right, and so after the next boot, as far as that matters.
    Right,
    /// It is right now, and the next boot sets a wrong value.
    RightUntilBoot,
    /// It was wrong and is corrected.
    Corrected,
    /// It is wrong, and the check in the unit corrects it before kubelet starts.
    WillBeCorrected,
    /// It is wrong, and kubelet overwrites it.
    Overwritten,
    /// It is wrong and cannot be changed, which kubelet ignores in this user namespace.
    Ignored,
    /// It is wrong, and its effect on kubelet is not known.
    Undecided,
    /// It is wrong.
    Wrong,
    /// It is wrong and cannot be changed, and kubelet fails because of that.
    Refused,
    /// It cannot be read, or predicted.
    Unreadable,
}

/// A tunable's value after the next boot.
#[derive(Debug)]
pub enum NextBoot<'a> {
    /// The value that kubelet needs.
    Right,
    /// Another value.
    Wrong {
        /// The value.
        value: i64,
        /// Its origin.
        origin: Origin<'a>,
    },
    /// Not known, because a file could not be read.
    Unknown(&'a ReadError),
}

/// Something about the check itself that its user should know.
#[derive(Debug)]
pub enum Diagnostic {
    /// The options of the check are not understood, so it runs without any.
    OptionsIgnored {
        /// Clap's error and its suggestion.
        complaint: String,
        /// The file that the options come from.
        file: Option<PathBuf>,
    },
    /// In a shell: the option that the check has in the unit.
    OptionInUnit(&'static str),
    /// In a shell: the check does not run in this unit.
    NotInUnit(String),
    /// The values were made permanent.
    Persisted(Persisted),
    /// They could not be, and why.
    NotPersisted(PersistError),
}

/// A file system tree that is not booted.
#[derive(Debug)]
pub struct Image<'a> {
    /// Where it is.
    pub path: PathBuf,
    /// The kernel that it will boot.
    pub kernel: ImageKernel<'a>,
}

impl<'a> Image<'a> {
    /// Describes the image of this root, whose boot was read.
    pub fn new(root: &Root, boot: &'a Boot) -> Self {
        Self {
            path: root.path().to_path_buf(),
            kernel: boot.image_kernel(),
        }
    }
}

/// Predicts what the first boot of an image sets. What cannot be predicted counts as unreadable.
pub fn predict(boot: &Boot) -> Readings {
    TUNABLES.each_ref().map(|tunable| Reading {
        tunable,
        now: boot.value(tunable, When::NextBoot).map_err(unreadable),
        was: None,
        refused: None,
    })
}

fn unreadable(ReadError { path, error }: &ReadError) -> SysctlError {
    SysctlError::Io {
        operation: Operation::Read,
        path: path.clone(),
        source: io::Error::new(error.kind(), error.to_string()),
    }
}

/// Returns true if the verdict depends on kubelet: a tunable is wrong now, or may be after the next boot.
pub fn needs_kubelet(readings: &Readings, boot: &Boot) -> bool {
    readings.iter().any(|reading| {
        let next = boot.value(reading.tunable, When::NextBoot);
        !reading.is_right() || !matches!(next, Ok(next) if next == reading.tunable.expected)
    })
}

impl<'a> Assessment<'a> {
    /// Puts together what was found on the machine, or in the image, below `root`.
    pub fn new(
        root: &Root,
        request: Request,
        target: Target,
        readings: Readings,
        boot: &'a Boot,
    ) -> Self {
        let image = root.is_image().then(|| Image::new(root, boot));
        let is_stuck = readings.iter().any(|reading| reading.refused.is_some());
        let behavior = target.info.behavior(root, is_stuck);
        let builder = StatusBuilder {
            is_image: image.is_some(),
            is_fixed_in_unit: request.mode != Mode::Modify
                && request.deciding_mode() == Mode::Modify,
            behavior,
            mode: request.deciding_mode(),
        };
        Self {
            mode: builder.mode,
            is_fixing: request.mode == Mode::Modify,
            is_root: request.is_root,
            behavior,
            diagnostics: request.diagnostics,
            image,
            is_container: is_stuck && is_container(root),
            next_start: request.next_start,
            tunables: readings.map(|reading| builder.status(reading, boot)),
            target,
        }
    }

    /// Counts the tunables with this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.count_if(|status| status.outcome == outcome)
    }

    /// Counts the tunables of which this is true.
    pub fn count_if(&self, is: impl Fn(&TunableStatus) -> bool) -> usize {
        self.tunables.iter().filter(|status| is(status)).count()
    }

    /// Counts the tunables because of which kubelet will not run, or may not.
    pub fn blocking(&self) -> usize {
        self.count_if(|status| status.effect.blocks_kubelet())
    }

    /// Counts the tunables that are not what kubelet needs, or are not known to be.
    pub fn not_right(&self) -> usize {
        self.count_if(|status| status.state != State::Right)
    }

    /// Finds the first file because of which the next boot is not known, if that matters.
    pub fn unknown_next_boot(&self) -> Option<&ReadError> {
        // In an image, what is not known is a finding.
        let mut statuses = self.tunables.iter().filter(|_| self.image.is_none());
        statuses.find_map(|status| match (&status.next, status.effect_after_boot) {
            (NextBoot::Unknown(error), Effect::Unpredicted) => Some(*error),
            _ => None,
        })
    }

    /// Returns true if the values were to be made permanent, and are not.
    pub fn failed_to_persist(&self) -> bool {
        let is_persist =
            |it: &Diagnostic| matches!(it, Diagnostic::Persisted(_) | Diagnostic::NotPersisted(_));
        self.diagnostics.iter().any(is_persist)
            && self.count_if(|status| !matches!(status.next, NextBoot::Right)) > 0
    }

    /// Returns true if kubelet's configuration file does not exist yet, as before `kubeadm join`.
    pub fn is_not_configured(&self) -> bool {
        matches!(&self.target.info, TargetInfo::Kubelet(kubelet)
            if matches!(kubelet.protection, Protection::NotThereYet(_)))
    }

    /// Returns true if kubelet exits before it looks at its tunables, so that nothing follows from them.
    pub fn is_not_checked(&self) -> bool {
        self.behavior == KubeletBehavior::FailsFirst && self.mode != Mode::Strict
    }

    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        if self.failed_to_persist() {
            return Exit::NoPermission;
        }
        self.exit_of_tunables()
    }

    /// Returns the exit code, whether the values could be made permanent or not.
    pub fn exit_of_tunables(&self) -> Exit {
        verdict::exit(self.tunables.iter().map(|status| status.effect), self.mode)
    }

    /// Returns true if kubelet starts with the tunables as they are; none if that is not known.
    pub fn will_start(&self) -> Option<bool> {
        if self.image.is_some() {
            return None;
        }
        let effects = self.tunables.iter().map(|status| status.effect);
        verdict::starts(effects, self.behavior, self.mode)
    }

    /// Returns true if kubelet starts with the tunables as the next boot sets them; none if that is not known.
    pub fn will_start_after_next_boot(&self) -> Option<bool> {
        let effects = self.tunables.iter().map(|status| status.effect_after_boot);
        verdict::starts(effects, self.behavior, self.mode)
    }
}

impl TunableStatus<'_> {
    /// Returns the value that the next boot sets; none if that is not known.
    pub fn next_value(&self) -> Option<i64> {
        match self.next {
            NextBoot::Right => Some(self.reading.tunable.expected),
            NextBoot::Wrong { value, .. } => Some(value),
            NextBoot::Unknown(_) => None,
        }
    }

    /// Decides how serious it is, now and after the next boot.
    pub fn severity(&self, mode: Mode) -> Severity {
        match self.outcome {
            Outcome::RightUntilBoot if self.effect_after_boot.blocks_kubelet() => Severity::Warning,
            _ => self.effect.severity(mode),
        }
    }
}

impl Outcome {
    fn of(reading: &Reading, next: &NextBoot, state: State, now: Effect, later: Effect) -> Self {
        let is_lost = matches!(next, NextBoot::Wrong { .. }) && later.needs_fix();
        match (state, now) {
            (State::Right, _) if reading.was.is_some() => Self::Corrected,
            (State::Right, _) if is_lost => Self::RightUntilBoot,
            (State::Right, _) => Self::Right,
            (_, Effect::Fixed) => Self::WillBeCorrected,
            (_, Effect::Set) => Self::Overwritten,
            (_, Effect::Ignored) => Self::Ignored,
            (State::Unreadable | State::Unknown { .. }, _) => Self::Unreadable,
            (_, Effect::MayFail) => Self::Undecided,
            (_, Effect::Fails(Exit::NoPermission)) => Self::Refused,
            _ => Self::Wrong,
        }
    }
}

/// Everything that a status depends on besides the tunable.
struct StatusBuilder {
    is_image: bool,
    is_fixed_in_unit: bool,
    behavior: KubeletBehavior,
    mode: Mode,
}

impl StatusBuilder {
    fn status<'a>(&self, reading: Reading, boot: &'a Boot) -> TunableStatus<'a> {
        let tunable = reading.tunable;
        let next = match boot.value(tunable, When::NextBoot) {
            Ok(value) if value == tunable.expected => NextBoot::Right,
            Ok(value) => NextBoot::Wrong {
                value,
                origin: boot.origin(tunable, value, When::NextBoot),
            },
            Err(error) => NextBoot::Unknown(error),
        };
        let origin = reading
            .wrong()
            .map(|wrong| boot.origin(tunable, wrong, When::Now));
        let state = self.state_now(&reading);
        let now = effect(state, self.behavior, self.mode);
        let later = self.state_after_boot(&reading, &next);
        let later = effect(later, self.behavior, self.mode);
        let is_by_unknown_hand = match &origin {
            Some(Origin::SinceBoot { .. }) => true,
            Some(Origin::Kernel {
                unapplied: Some(unapplied),
                ..
            }) => unapplied.why != WhyUnapplied::NotRead,
            _ => false,
        };
        let is_ever_wrong = origin.is_some() || matches!(next, NextBoot::Wrong { .. });
        TunableStatus {
            suspects: if is_by_unknown_hand && !self.is_image {
                boot.suspects(tunable, reading.wrong())
            } else {
                Vec::new()
            },
            parameter_without_prefix: is_ever_wrong
                .then(|| boot.parameter_without_prefix(tunable))
                .flatten(),
            outcome: Outcome::of(&reading, &next, state, now, later),
            reading,
            origin,
            next,
            state,
            effect: now,
            effect_after_boot: later,
        }
    }

    fn state_now(&self, reading: &Reading) -> State {
        match reading.now {
            // Nothing of an image can be read: it is predicted.
            Err(_) if self.is_image => State::Unknown { stuck: false },
            Err(_) => State::Unreadable,
            Ok(now) if now == reading.tunable.expected => State::Right,
            Ok(_) => self.wrong(reading.refused.is_some()),
        }
    }

    /// Takes what cannot be written or read now to be so after the next boot.
    fn state_after_boot(&self, reading: &Reading, next: &NextBoot) -> State {
        let stuck = reading.refused.is_some() || (reading.now.is_err() && !self.is_image);
        match next {
            _ if reading.now.is_err() => State::Unknown { stuck },
            NextBoot::Right => State::Right,
            NextBoot::Wrong { .. } => self.wrong(stuck),
            NextBoot::Unknown(_) if self.is_fixed_in_unit && !stuck => State::WillBeFixed,
            NextBoot::Unknown(_) => State::Unknown { stuck },
        }
    }

    fn wrong(&self, is_stuck: bool) -> State {
        match (is_stuck, self.is_fixed_in_unit) {
            (true, _) => State::Stuck,
            (false, true) => State::WillBeFixed,
            (false, false) => State::Wrong,
        }
    }
}

/// Finds whether this machine is a container. Sources: systemd's Container Interface (/run/systemd/container,
/// /run/host/container-manager), podman-run(1) (/run/.containerenv); Docker makes /.dockerenv.
fn is_container(root: &Root) -> bool {
    [
        "run/systemd/container",
        "run/host/container-manager",
        "run/.containerenv",
        ".dockerenv",
    ]
    .iter()
    .any(|path| root.lstat(path).is_ok())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;
    use crate::kubelet::{Kubelet, SetBy};
    use crate::systemd::UnitError;
    use crate::target::NotKnown;

    pub(crate) fn refusal() -> SysctlError {
        SysctlError::TooLong {
            path: "/proc/sys/kernel/panic".into(),
        }
    }

    /// Makes a reading of `kernel.panic`.
    pub(crate) fn reading(now: Option<i64>, refused: bool, was: Option<i64>) -> Reading {
        Reading {
            tunable: &TUNABLES[2],
            now: now.ok_or_else(refusal),
            was,
            refused: refused.then(refusal),
        }
    }

    /// Makes a kubelet of this protection.
    pub(crate) fn kubelet(protection: Protection) -> TargetInfo {
        TargetInfo::Kubelet(Kubelet {
            protection,
            in_user_namespace: None,
        })
    }

    pub(crate) fn masked() -> TargetInfo {
        TargetInfo::NotStarted {
            unit: "kubelet.service".to_string(),
            why: UnitError::Masked,
        }
    }

    /// Makes the request of a run with this mode; `None` stands for `--modify` in the unit.
    pub(crate) fn request(mode: Option<Mode>) -> Request {
        Request {
            mode: mode.unwrap_or_default(),
            mode_in_unit: mode.is_none().then_some(Mode::Modify),
            is_root: true,
            diagnostics: Vec::new(),
            next_start: None,
        }
    }

    /// Assesses a machine on which `kernel.panic` is as read, and the others are right.
    pub(crate) fn assess(
        request: Request,
        info: TargetInfo,
        panic: Reading,
        boot: &Boot,
    ) -> Assessment<'_> {
        let mut panic = Some(panic);
        let readings = TUNABLES.each_ref().map(|tunable| match tunable.name {
            "kernel.panic" => panic.take().unwrap(),
            _ => Reading {
                tunable,
                now: Ok(tunable.expected),
                was: None,
                refused: None,
            },
        });
        let root = Root::machine(Path::new("/nonexistent"));
        let target = Target::without_unit(info);
        Assessment::new(&root, request, target, readings, boot)
    }

    /// What is read, the mode, and a letter for each kubelet: of the start now, and of that after the next boot.
    type Row<'a> = (&'a dyn Fn() -> Reading, Option<Mode>, &'a str, &'a str);

    #[test]
    fn whether_kubelet_starts_is_said_only_where_it_is_known() {
        let on = || kubelet(Protection::On(SetBy::Default));
        let off = || kubelet(Protection::Off(SetBy::Default));
        let fails = || kubelet(Protection::Fails("x".to_string().into()));
        let unknown = || kubelet(Protection::Unknown("x".to_string().into()));
        let not_known = || TargetInfo::NotKnown(NotKnown::Privileged);
        let none = || TargetInfo::None;
        let infos: [&dyn Fn() -> TargetInfo; 7] =
            [&on, &off, &fails, &unknown, &not_known, &none, &masked];
        let right = || reading(Some(10), false, None);
        let wrong = || reading(Some(0), false, None);
        let refused = || reading(Some(0), true, None);
        let unreadable = || reading(None, false, None);
        let as_kubelet = Some(Mode::AsKubelet);
        let found: [Row; 9] = [
            (&right, as_kubelet, "yy-yyy-", "ny-----"),
            (&wrong, as_kubelet, "ny-----", "ny-----"),
            (&wrong, Some(Mode::Warn), "ny-----", "ny-----"),
            (&wrong, Some(Mode::Strict), "nnnnnnn", "nnnnnnn"),
            (&wrong, None, "yy-yyy-", "yy-yyy-"),
            (&refused, as_kubelet, "nn-----", "nn-----"),
            (&refused, None, "nn-----", "nn-----"),
            (&unreadable, as_kubelet, "nn-n-n-", "n------"),
            (&unreadable, Some(Mode::Strict), "nnnnnnn", "nnnnnnn"),
        ];
        // No file sets anything here, so the next boot leaves the kernel's defaults, of which three are wrong.
        let root = std::env::temp_dir().join(format!("kubelet-tunables-l-{}", std::process::id()));
        std::fs::create_dir_all(root.join("proc")).unwrap();
        std::fs::write(root.join("proc/cmdline"), "quiet\n").unwrap();
        let boot = Boot::new(&Root::machine(&root));
        let letter = |answer| match answer {
            Some(true) => 'y',
            Some(false) => 'n',
            None => '-',
        };
        for (found, mode, now, later) in found {
            let assess =
                |info: &dyn Fn() -> TargetInfo| assess(request(mode), info(), found(), &boot);
            let starts = infos.map(|info| letter(assess(info).will_start()));
            assert_eq!(String::from_iter(starts), now, "{:?}, {mode:?}", found());
            let starts = infos.map(|info| letter(assess(info).will_start_after_next_boot()));
            assert_eq!(String::from_iter(starts), later, "{:?}, {mode:?}", found());
        }
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_state_says_the_same_now_and_after_the_next_boot() {
        // Nothing else sets kernel.panic, so both starts have the value 0, which cannot be changed.
        let root = std::env::temp_dir().join(format!("kubelet-tunables-b-{}", std::process::id()));
        std::fs::create_dir_all(root.join("proc")).unwrap();
        std::fs::create_dir_all(root.join("etc/sysctl.d")).unwrap();
        std::fs::write(root.join("proc/cmdline"), "quiet\n").unwrap();
        let right = "vm.overcommit_memory = 1\nkernel.panic_on_oops = 1\n";
        std::fs::write(root.join("etc/sysctl.d/a.conf"), right).unwrap();
        let boot = Boot::new(&Root::machine(&root));
        let stuck = || reading(Some(0), true, None);
        for mode in [
            None,
            Some(Mode::AsKubelet),
            Some(Mode::Warn),
            Some(Mode::Strict),
        ] {
            for info in [
                kubelet(Protection::On(SetBy::Default)),
                kubelet(Protection::Off(SetBy::Default)),
                TargetInfo::None,
            ] {
                let it = assess(request(mode), info, stuck(), &boot);
                let info = &it.target.info;
                let later = it.will_start_after_next_boot();
                assert_eq!(it.will_start(), later, "{info:?}, {mode:?}");
                for status in &it.tunables {
                    assert_eq!(
                        status.effect, status.effect_after_boot,
                        "{info:?}, {mode:?}"
                    );
                }
            }
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
