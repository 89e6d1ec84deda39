//! Lists what sets a tunable at boot, in the order in which a boot applies it: the kernel, its command line, the lines of
//! sysctl.d. Who set a tunable, what the next boot sets and what is overridden are questions of that list.

mod image_kernel;
mod kernel_config;
pub mod kernel_parameters;
mod origin;
mod setting;
mod suspect;
pub mod sysctl_d;

use std::array;
use std::cell::OnceCell;
use std::io;
use std::iter;
use std::path::PathBuf;

use crate::files::root::Root;
use crate::tunable::Tunable;
use kernel_config::KernelConfig;
use kernel_parameters::CommandLine;
use sysctl_d::{SysctlD, VOLATILE_FOLDER};

pub use image_kernel::ImageKernel;
pub use origin::{Origin, Unapplied, WhyUnapplied};
pub use setting::{Effect, Place, Setting};
pub use suspect::Suspect;
pub use sysctl_d::{Assignment, Line};

/// Bytes read of one file at most; a longer one was not written by a person.
const FILE_LIMIT: u64 = 4 << 20;

/// The boot that is meant, by what it finds in /run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The state of the machine now, with what is in /run.
    Now,
    /// The next boot, or the first of an image. It begins with an empty /run.
    NextBoot,
}

/// A file that could not be read, so that what it sets is not known.
#[derive(Debug)]
pub struct ReadError {
    /// The file or folder.
    pub path: PathBuf,
    /// The system's own words.
    pub error: io::Error,
}

/// Makes the error of reading this file or folder.
fn unread<E: Into<io::Error>>(path: impl Into<PathBuf>) -> impl FnOnce(E) -> ReadError {
    |error| ReadError {
        path: path.into(),
        error: error.into(),
    }
}

/// All that sets tunables at boot, in the files below a root. Each file is read once, when it is first needed.
#[derive(Debug)]
pub struct Boot {
    root: Root,
    ignored: Vec<PathBuf>,
    sysctl_d: OnceCell<SysctlD>,
    command_line: OnceCell<Result<CommandLine, ReadError>>,
    kernel_config: OnceCell<Result<KernelConfig, ReadError>>,
    other_files: [OnceCell<SysctlD>; suspect::FILES.len()],
}

impl Boot {
    /// Takes the files below `root`.
    pub fn new(root: &Root) -> Self {
        Self::without(root, Vec::new())
    }

    /// Takes the files below `root` as if these files and folders of sysctl.d, such as `run/sysctl.d`, were not there.
    pub fn without(root: &Root, mut ignored: Vec<PathBuf>) -> Self {
        if root.is_image() {
            ignored.push(VOLATILE_FOLDER.into());
        }
        Self {
            root: root.clone(),
            ignored,
            sysctl_d: OnceCell::new(),
            command_line: OnceCell::new(),
            kernel_config: OnceCell::new(),
            other_files: array::from_fn(|_| OnceCell::new()),
        }
    }

    /// Lists what sets the tunable, in the order in which a boot applies it. A stage is read when it is asked for, so that
    /// the last one is enough if it decides.
    fn settings(
        &self,
        tunable: &Tunable,
        when: When,
    ) -> impl DoubleEndedIterator<Item = Setting<'_>> {
        let kernel = iter::once_with(|| vec![self.kernel_setting(tunable)]);
        let command_line = iter::once_with(|| self.parameters(tunable));
        let sysctl_d = iter::once_with(move || self.sysctl_d().settings(tunable, when));
        kernel.chain(command_line).chain(sysctl_d).flatten()
    }

    fn kernel_setting(&self, tunable: &Tunable) -> Setting<'_> {
        if kernel_config::decides(tunable) {
            kernel_config::setting(self.kernel_config(), tunable)
        } else {
            Setting::of_kernel(tunable.default, None)
        }
    }

    fn parameters(&self, tunable: &Tunable) -> Vec<Setting<'_>> {
        match self.command_line() {
            Ok(command_line) => command_line.settings(tunable),
            Err(problem) => {
                let path = self.root.is_image().then_some(&*problem.path);
                let parameter = b"";
                let place = Place::CommandLine { parameter, path };
                vec![Setting::unread(place, problem)]
            }
        }
    }

    /// Returns what a boot sets the tunable to: `Now` is a boot that would find what is in /run.
    ///
    /// # Errors
    ///
    /// The first file that could not be read and might set it otherwise.
    pub fn value(&self, tunable: &Tunable, when: When) -> Result<i64, &ReadError> {
        let mut settings = self.settings(tunable, when).rev();
        let effective = settings.find_map(|setting| match setting.effect {
            Effect::Sets(value) => Some(Ok(value)),
            Effect::Unread(problem) => Some(Err(problem)),
            _ => None,
        });
        effective.unwrap_or(Ok(tunable.default))
    }

    /// Lists everything that sets the tunable at the next boot, in boot order, with its effect; and what is in /run now.
    pub fn explain(&self, tunable: &Tunable) -> Vec<Setting<'_>> {
        let mut settings: Vec<_> = self.settings(tunable, When::NextBoot).collect();
        let sets = |setting: &Setting| matches!(setting.effect, Effect::Sets(_));
        if let Some(effective) = settings.iter().rposition(sets) {
            let place = settings[effective].place;
            for overridden in settings[..effective].iter_mut().filter(|it| sets(it)) {
                overridden.effect = Effect::Overridden(place);
            }
        }
        settings.extend(self.sysctl_d().not_read(&self.root, tunable));
        settings.sort_by(|one, other| one.reading_order().cmp(&other.reading_order()));
        settings
    }

    /// Returns a parameter of the kernel command line that names this tunable without the prefix that it needs.
    pub fn parameter_without_prefix(&self, tunable: &Tunable) -> Option<String> {
        let command_line = self.command_line().as_ref().ok()?;
        command_line.parameter_without_prefix(tunable)
    }

    /// Returns the files of sysctl.d.
    pub fn sysctl_d(&self) -> &SysctlD {
        self.sysctl_d
            .get_or_init(|| SysctlD::read(&self.root, &self.ignored))
    }

    fn command_line(&self) -> &Result<CommandLine, ReadError> {
        self.command_line
            .get_or_init(|| CommandLine::read(&self.root))
    }

    fn kernel_config(&self) -> &Result<KernelConfig, ReadError> {
        self.kernel_config
            .get_or_init(|| KernelConfig::read(&self.root))
    }
}
