//! Finds what the next boot of a machine, or the first boot of an image, will set, and by whom: the kernel, its command
//! line, or a line of a file.

pub mod explain;
mod kernel_config;
pub mod kernel_parameters;
mod release;
mod suspect;
pub mod sysctl_d;

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::files::root::Root;
use crate::tunable::{TUNABLES, Tunable};
use kernel_config::{KernelConfig, decides, read_if_there};
use sysctl_d::{Assignment, SysctlD, VOLATILE_FOLDER};

pub use suspect::Suspect;

/// Bytes read of one file at the most; what is longer was not written by a person.
const FILE_LIMIT: u64 = 4 << 20;

/// What the kernel starts a tunable with, before systemd-sysctl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelStart {
    /// The value.
    pub value: i64,
    /// The word of the kernel's command line that says so; without one it is the kernel's own default.
    pub word: Option<String>,
}

/// A file that could not be read, so that what it says of the next boot is not known.
#[derive(Debug)]
pub struct ReadError {
    /// The file or folder.
    pub path: PathBuf,
    /// The system's own words.
    pub error: io::Error,
}

/// Who made a tunable what it is, as far as the files tell.
#[derive(Debug)]
pub enum Origin<'a> {
    /// A line of sysctl.d says so.
    File(&'a Assignment),
    /// The kernel started with it.
    Kernel {
        /// The word of the command line that says so; without one it is the kernel's own default.
        word: Option<String>,
        /// A line that says otherwise.
        unapplied: Option<Unapplied<'a>>,
    },
    /// Neither the kernel nor a file says so: somebody changed it since the boot.
    SinceBoot {
        /// A line that says otherwise.
        unapplied: Option<&'a Assignment>,
        /// What the kernel started with.
        start: KernelStart,
    },
    /// A file that might say so could not be read.
    Unknown(&'a ReadError),
}

/// A line of sysctl.d that does not show in the tunable, which is what the kernel started with.
#[derive(Debug)]
pub struct Unapplied<'a> {
    /// The line.
    pub line: &'a Assignment,
    /// Why it may not show.
    pub why: WhyUnapplied,
}

/// Why a line of sysctl.d does not show in the tunable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyUnapplied {
    /// The kernel refuses its text.
    Refused,
    /// Its file was written since the boot, so it was hardly applied then.
    FileIsNewer,
    /// Its file was there at boot: the value was changed back since, or the line was not applied.
    FileIsOlder,
    /// When its file was written does not tell.
    Unclear,
    /// Its file is /etc/sysctl.conf, which systemd-sysctl does not read.
    NotRead,
}

/// What an image tells of the kernel that it will boot. What is not there is assumed to be mainline's, or empty.
#[derive(Debug)]
pub struct ImageKernel<'a> {
    /// The release of the kernel, the newest in the image.
    pub kernel: Result<Option<&'a str>, &'a ReadError>,
    /// The file with the kernel's configuration.
    pub config: Option<&'a Path>,
    /// The file with the kernel's command line.
    pub cmdline: Result<Option<&'a Path>, &'a ReadError>,
}

/// The kernel's command line, and the file in an image that has it.
#[derive(Debug, Default)]
struct CommandLine {
    text: Vec<u8>,
    path: Option<PathBuf>,
}

/// What the files below a root say of the next boot.
#[derive(Debug)]
pub struct Boot {
    root: Root,
    ignored: Vec<PathBuf>,
    sysctl_d: OnceCell<SysctlD>,
    cmdline: OnceCell<Result<CommandLine, ReadError>>,
    kernel_config: OnceCell<Result<KernelConfig, ReadError>>,
    sysctl_conf: OnceCell<SysctlD>,
    /// The boot that comes next, where /run has something that it will not find.
    next: OnceCell<Option<Box<Boot>>>,
}

impl Boot {
    /// The files below `root`. Each is read when it is first needed; one that cannot be read is a [`ReadError`].
    pub fn new(root: &Root) -> Self {
        Self::without(root, Vec::new())
    }

    /// The same as if these files and folders of sysctl.d, such as `run/sysctl.d`, were not there.
    pub fn without(root: &Root, mut ignored: Vec<PathBuf>) -> Self {
        if root.is_image() {
            ignored.push(VOLATILE_FOLDER.into());
        }
        Self {
            root: root.clone(),
            ignored,
            sysctl_d: OnceCell::new(),
            cmdline: OnceCell::new(),
            kernel_config: OnceCell::new(),
            sysctl_conf: OnceCell::new(),
            next: OnceCell::new(),
        }
    }

    /// What the next boot will find: the same, but for what is in /run now.
    pub fn next(&self) -> &Self {
        let next = self.next.get_or_init(|| {
            let ignored = || [&self.ignored[..], &[VOLATILE_FOLDER.into()]].concat();
            let is_volatile = self.sysctl_d().is_volatile;
            is_volatile.then(|| Box::new(Self::without(&self.root, ignored())))
        });
        next.as_deref().unwrap_or(self)
    }

    /// The line of sysctl.d that systemd-sysctl will apply to this tunable, whether the kernel takes it or not.
    pub fn assignment(&self, tunable: &Tunable) -> Option<&Assignment> {
        self.sysctl_d().assignment(row(tunable))
    }

    /// The file that a file of ours has to be read after to have the last word on all six: the last one that sets one of
    /// them by its name, and not as kubelet needs it, or that could not be read.
    pub fn last_obstacle(&self) -> Option<&Path> {
        self.sysctl_d().last_obstacle()
    }

    /// Whether a folder of sysctl.d has a file, link or folder of this name.
    pub fn has_file(&self, file_name: &OsStr) -> bool {
        SysctlD::has_file(&self.root, &self.ignored, file_name)
    }

    /// What the kernel starts this tunable with, or the file that keeps it from being known.
    ///
    /// Kernels that distributions build differ in two defaults; a kernel whose configuration is not to be found is taken
    /// for a mainline one.
    fn kernel_start(&self, tunable: &Tunable) -> Result<KernelStart, &ReadError> {
        let cmdline = self.cmdline().as_ref()?;
        if let Some((value, word)) =
            kernel_parameters::setting(&cmdline.text, tunable.name, |text| {
                kernel_parse(tunable, text)
            })
        {
            return Ok(KernelStart {
                value,
                word: Some(word),
            });
        }
        let value = if decides(tunable) {
            self.kernel_config().as_ref()?.start_of(tunable)
        } else {
            tunable.default
        };
        Ok(KernelStart { value, word: None })
    }

    /// What a boot on these files makes of the tunable.
    ///
    /// # Errors
    ///
    /// The first file that could not be read and might say otherwise.
    pub fn forecast(&self, tunable: &Tunable) -> Result<i64, &ReadError> {
        if let Some(problem) = self.sysctl_d().doubt(row(tunable)) {
            return Err(problem);
        }
        match self.assigned(tunable) {
            Some(value) => Ok(value),
            None => self.kernel_start(tunable).map(|start| start.value),
        }
    }

    /// What a line of sysctl.d makes of the tunable.
    fn assigned(&self, tunable: &Tunable) -> Option<i64> {
        kernel_parse(tunable, &self.assignment(tunable)?.text)
    }

    /// Who made the tunable the `actual` that it is now.
    pub fn origin(&self, tunable: &Tunable, actual: i64) -> Origin<'_> {
        let assignment = self.assignment(tunable);
        if let Some(assignment) = assignment
            && kernel_parse(tunable, &assignment.text) == Some(actual)
        {
            return Origin::File(assignment);
        }
        if let Some(problem) = self.sysctl_d().doubt(row(tunable)) {
            return Origin::Unknown(problem);
        }
        match self.kernel_start(tunable) {
            Err(problem) => Origin::Unknown(problem),
            Ok(start) if start.value == actual => Origin::Kernel {
                word: start.word,
                unapplied: match assignment {
                    Some(line) => Some(Unapplied {
                        line,
                        why: self.why_unapplied(tunable, line),
                    }),
                    None => self.in_sysctl_conf(tunable, actual),
                },
            },
            Ok(start) => Origin::SinceBoot {
                unapplied: assignment,
                start,
            },
        }
    }

    /// A line of the file that sysctl(8) reads and systemd-sysctl does not, if it asks for another value.
    fn in_sysctl_conf(&self, tunable: &Tunable, actual: i64) -> Option<Unapplied<'_>> {
        let file = self.sysctl_conf.get_or_init(|| {
            let mut file = SysctlD::default();
            let mut content = Vec::new();
            let path = Path::new("etc/sysctl.conf");
            if self.root.read(path, FILE_LIMIT, &mut content).is_ok() {
                file.add_file(path, &content);
            }
            file
        });
        let line = file.assignment(row(tunable))?;
        (kernel_parse(tunable, &line.text) != Some(actual)).then_some(Unapplied {
            line,
            why: WhyUnapplied::NotRead,
        })
    }

    fn why_unapplied(&self, tunable: &Tunable, line: &Assignment) -> WhyUnapplied {
        if kernel_parse(tunable, &line.text).is_none() {
            return WhyUnapplied::Refused;
        }
        let file = self.root.open(&line.path).and_then(|file| file.metadata());
        let stamps = file.ok().and_then(|file| {
            let stamp = |seconds: i64| Some(Duration::from_secs(u64::try_from(seconds).ok()?));
            Some((stamp(file.mtime())?, stamp(file.ctime())?))
        });
        match (stamps, self.booted_at()) {
            (Some((modified, changed)), Some(booted)) => age(modified, changed, booted),
            _ => WhyUnapplied::Unclear,
        }
    }

    /// Who may have made this tunable the `actual` that it is since boot; without it, who may set it at all.
    pub fn suspects(&self, tunable: &Tunable, actual: Option<i64>) -> Vec<Suspect> {
        suspect::suspects(&self.root, tunable, actual)
    }

    /// A word of the kernel's command line that names this tunable without the prefix that would make it count.
    pub fn parameter_without_prefix(&self, tunable: &Tunable) -> Option<String> {
        let cmdline = self.cmdline().as_ref().ok()?;
        kernel_parameters::without_prefix(&cmdline.text, tunable.name)
    }

    /// All files of sysctl.d that could not be read, and the command line.
    pub fn problems(&self) -> impl Iterator<Item = &ReadError> {
        self.sysctl_d()
            .problems()
            .chain(self.cmdline().as_ref().err())
    }

    /// When the machine was booted, since the epoch. Source: `proc_uptime(5)`.
    fn booted_at(&self) -> Option<Duration> {
        let mut text = Vec::new();
        self.root.read("proc/uptime", FILE_LIMIT, &mut text).ok()?;
        let seconds = text.split(|&byte| byte == b'.').next()?;
        let up = str::from_utf8(seconds).ok()?.parse().ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        now.checked_sub(Duration::from_secs(up))
    }

    fn sysctl_d(&self) -> &SysctlD {
        self.sysctl_d
            .get_or_init(|| SysctlD::read(&self.root, &self.ignored))
    }

    /// What is known of the kernel that an image boots.
    pub fn image_kernel(&self) -> ImageKernel<'_> {
        let kernel = self.kernel_config().as_ref();
        let cmdline = self.cmdline().as_ref();
        ImageKernel {
            kernel: kernel.map(|kernel| kernel.release.as_deref()),
            config: kernel.ok().and_then(|kernel| kernel.path.as_deref()),
            cmdline: cmdline.map(|cmdline| cmdline.path.as_deref()),
        }
    }

    fn cmdline(&self) -> &Result<CommandLine, ReadError> {
        self.cmdline.get_or_init(|| {
            if self.root.is_image() {
                return self.cmdline_of_image();
            }
            let mut text = Vec::new();
            match self.root.read("proc/cmdline", FILE_LIMIT, &mut text) {
                Ok(()) => Ok(CommandLine { text, path: None }),
                Err(error) => Err(ReadError {
                    path: "/proc/cmdline".into(),
                    error,
                }),
            }
        })
    }

    /// The command line that kernel-install(8) gives to the kernels of an image.
    fn cmdline_of_image(&self) -> Result<CommandLine, ReadError> {
        for path in ["/etc/kernel/cmdline", "/usr/lib/kernel/cmdline"] {
            if let Some(text) = read_if_there(&self.root, path)? {
                return Ok(CommandLine {
                    text: without_comments(&text),
                    path: Some(path.into()),
                });
            }
        }
        Ok(CommandLine::default())
    }

    fn kernel_config(&self) -> &Result<KernelConfig, ReadError> {
        self.kernel_config
            .get_or_init(|| KernelConfig::read(&self.root))
    }
}

/// The lines that are no comments. Source: systemd's `90-loaderentry.install`, which makes one line of the others.
fn without_comments(text: &[u8]) -> Vec<u8> {
    text.split_inclusive(|&byte| byte == b'\n')
        .filter(|line| !line.trim_ascii_start().starts_with(b"#"))
        .collect::<Vec<_>>()
        .concat()
}

/// What a file's stamps, content and inode, tell of a line in it. A package or `cp -p` brings an old content at a late
/// time.
fn age(modified: Duration, changed: Duration, booted: Duration) -> WhyUnapplied {
    /// The clock may have been set in the first minute after the boot.
    const MARGIN: Duration = Duration::from_secs(60);
    if modified > booted + MARGIN {
        WhyUnapplied::FileIsNewer
    } else if changed + MARGIN < booted {
        WhyUnapplied::FileIsOlder
    } else {
        WhyUnapplied::Unclear
    }
}

fn row(tunable: &Tunable) -> usize {
    TUNABLES
        .iter()
        .position(|row| row.name == tunable.name)
        .expect("a row of the table")
}

/// What the kernel makes of a text written to the tunable's file; none where it refuses it.
///
/// Source: `proc_get_long` in `kernel/sysctl.c` and the ranges of the tables in `mm/util.c`, `mm/oom_kill.c`,
/// `kernel/panic.c` and `security/keys/sysctl.c`.
pub fn kernel_parse(tunable: &Tunable, text: &[u8]) -> Option<i64> {
    /// Longer ones are refused, leading zeros or not (`TMPBUFLEN`).
    const LONGEST: usize = 20;
    let start = text.iter().position(|&byte| !is_space(byte))?;
    let number = text[start..]
        .split(|byte| matches!(byte, b' ' | b'\t' | b'\n'))
        .next()
        .filter(|number| number.len() <= LONGEST)?;
    let number = str::from_utf8(number).ok()?;
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    let magnitude = from_any_base(digits)?;
    let value = if negative { -magnitude } else { magnitude };
    let range = match tunable.name {
        "vm.overcommit_memory" | "vm.panic_on_oom" => 0..=2,
        "kernel.keys.root_maxkeys" | "kernel.keys.root_maxbytes" => 1..=i64::from(i32::MAX),
        _ => i64::from(i32::MIN)..=i64::from(i32::MAX),
    };
    range.contains(&value).then_some(value)
}

/// The kernel's `isspace` (`lib/ctype.c`), to which the no-break space of Latin-1 is one too.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0)
}

/// An unsigned number as C's `strtoul` reads it in base 0.
fn from_any_base(digits: &str) -> Option<i64> {
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if !digits.as_bytes().first()?.is_ascii_alphanumeric() {
        return None;
    }
    i64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamps_of_a_file_tell_whether_it_was_there_at_boot() {
        let at = Duration::from_secs;
        for (modified, changed, why) in [
            (2000, 2000, WhyUnapplied::FileIsNewer),
            (500, 500, WhyUnapplied::FileIsOlder),
            (500, 2000, WhyUnapplied::Unclear),
            (1030, 1030, WhyUnapplied::Unclear),
            (980, 980, WhyUnapplied::Unclear),
        ] {
            let booted = at(1000);
            assert_eq!(
                age(at(modified), at(changed), booted),
                why,
                "{modified} {changed}"
            );
        }
    }

    #[test]
    fn takes_what_the_kernel_takes() {
        let panic = &TUNABLES[2];
        let overcommit = &TUNABLES[0];
        let maxkeys = &TUNABLES[4];
        let cases: &[(&Tunable, &str, Option<i64>)] = &[
            (panic, "10", Some(10)),
            (panic, " 10 \n", Some(10)),
            (panic, "-1", Some(-1)),
            (panic, "0x0a", Some(10)),
            (panic, "012", Some(10)),
            (panic, "0", Some(0)),
            (panic, "\u{b}10", Some(10)),
            (panic, "00000000000000000010", Some(8)),
            (panic, "000000000000000000010", None),
            (panic, "10 20", Some(10)),
            (panic, "10\t", Some(10)),
            (panic, "10,20", None),
            (panic, "10s", None),
            (panic, "+10", None),
            (panic, "- 1", None),
            (panic, "--1", None),
            (panic, "08", None),
            (panic, "0x", None),
            (panic, "0x-1", None),
            (panic, "", None),
            (panic, "ten", None),
            (panic, "2147483647", Some(2_147_483_647)),
            (panic, "2147483648", None),
            (panic, "-2147483648", Some(-2_147_483_648)),
            (panic, "-2147483649", None),
            (overcommit, "2", Some(2)),
            (overcommit, "3", None),
            (overcommit, "-1", None),
            (maxkeys, "1000000", Some(1_000_000)),
            (maxkeys, "0", None),
            (maxkeys, "-1", None),
        ];
        for (tunable, text, value) in cases {
            assert_eq!(
                kernel_parse(tunable, text.as_bytes()),
                *value,
                "{} \"{text}\"",
                tunable.name
            );
        }
    }
}
