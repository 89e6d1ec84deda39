//! Reads and writes the six tunables under /proc/sys. Knows nothing of kubelet's options, journals or exits.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::files::file;
use crate::tunable::{TUNABLES, Tunable, slashed};

/// Bytes read of one file at the most: an integer of 64 bits has 20, the rest is room for spaces and leading zeros.
const LIMIT: usize = 256;

/// The kernel's tunables as files, under the /proc/sys of one root.
#[derive(Debug, Clone)]
pub struct ProcSys {
    base: PathBuf,
}

impl ProcSys {
    /// Takes the /proc/sys below `root`, which is `/` but in tests.
    pub fn new(root: &Path) -> Self {
        Self {
            // The names are put behind its slash.
            base: root.join("proc/sys/"),
        }
    }

    /// Reads the tunable of the dotted `name` as kubelet does.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or read, is longer than any integer, or holds what kubelet does not take for a
    /// number.
    pub fn read(&self, name: &str) -> Result<i64, SysctlError> {
        let path = self.path(name);
        let mut buffer = [0; LIMIT + 1];
        let length = read_at_most(&path, &mut buffer)?;
        let content = &buffer[..length];
        if length > LIMIT {
            return Err(SysctlError::TooLong { path });
        }
        parse(content).ok_or_else(|| SysctlError::NotAnInteger {
            path,
            content: content.to_vec(),
        })
    }

    /// Writes `value` to the tunable of the dotted `name`, as kubelet does: the decimal number, no newline.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened (it is never created) or the kernel refuses the value.
    pub fn write(&self, name: &str, value: i64) -> Result<(), SysctlError> {
        let path = self.path(name);
        let file = open_to_write(&path, true);
        let mut file = file.map_err(failed(Operation::OpenToWrite, &path))?;
        let written = file.write_all(value.to_string().as_bytes());
        written.map_err(failed(Operation::Write(value), &path))
    }

    /// Finds whether the tunable of the dotted `name` could be written: opens it for that, and writes nothing.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened for writing, as in a container or without being root.
    pub fn could_write(&self, name: &str) -> Result<(), SysctlError> {
        let path = self.path(name);
        let file = open_to_write(&path, false);
        file.map(drop)
            .map_err(failed(Operation::OpenToWrite, &path))
    }

    fn path(&self, name: &str) -> PathBuf {
        let base = self.base.as_os_str().as_bytes().iter().copied();
        OsString::from_vec(base.chain(slashed(name)).collect()).into()
    }
}

/// One tunable, as it was read.
#[derive(Debug)]
pub struct Reading {
    /// The row of the table.
    pub tunable: &'static Tunable,
    /// The value that it has now, in the tunable's own unit.
    pub now: Result<i64, SysctlError>,
    /// The value that it had before it was corrected.
    pub was: Option<i64>,
    /// Why a wrong value cannot be changed.
    pub refused: Option<SysctlError>,
}

impl Reading {
    /// Returns the value if it is not the one that kubelet needs.
    pub fn wrong(&self) -> Option<i64> {
        match self.now {
            Ok(now) if now != self.tunable.expected => Some(now),
            _ => None,
        }
    }

    /// Returns true if it has the value that kubelet needs.
    pub fn is_right(&self) -> bool {
        matches!(self.now, Ok(now) if now == self.tunable.expected)
    }
}

/// All six, in the order of the table.
pub type Readings = [Reading; TUNABLES.len()];

/// Reads all six, and finds whether kubelet could change a wrong one; changes nothing.
///
/// `is_root` is true if this user is kubelet's.
pub fn read_all(proc_sys: &ProcSys, is_root: bool) -> Readings {
    TUNABLES.each_ref().map(|tunable| {
        let now = proc_sys.read(tunable.name);
        let is_wrong = matches!(now, Ok(now) if now != tunable.expected);
        let refused = is_wrong.then(|| proc_sys.could_write(tunable.name).err());
        Reading {
            tunable,
            now,
            was: None,
            // What an ordinary user is not allowed to write, root's kubelet is.
            refused: (refused.flatten()).filter(|error| is_root || !error.is_permission_denied()),
        }
    })
}

/// Writes those that are wrong, and reads them again.
pub fn fix(proc_sys: &ProcSys, readings: Readings) -> Readings {
    readings.map(|reading| match reading.wrong() {
        Some(wrong) => fixed(proc_sys, reading, wrong),
        None => reading,
    })
}

fn fixed(proc_sys: &ProcSys, reading: Reading, wrong: i64) -> Reading {
    let Tunable { name, expected, .. } = *reading.tunable;
    if let Err(error) = proc_sys.write(name, expected) {
        return Reading {
            refused: Some(error),
            ..reading
        };
    }
    let now = proc_sys.read(name);
    let is_refused = matches!(now, Ok(now) if now != expected);
    let refused = is_refused.then(|| SysctlError::NotTaken {
        path: proc_sys.path(name),
        written: expected,
    });
    Reading {
        now,
        was: Some(wrong),
        refused,
        ..reading
    }
}

/// Fills `buffer` from the file and returns how much of it is filled.
fn read_at_most(path: &Path, buffer: &mut [u8]) -> Result<usize, SysctlError> {
    let mut file = file::open(path).map_err(failed(Operation::Open, path))?;
    let mut length = 0;
    while let room @ [_, ..] = &mut buffer[length..] {
        match file::read_some(&mut file, room).map_err(failed(Operation::Read, path))? {
            0 => break,
            count => length += count,
        }
        // The kernel gives a value as one line by one read, and nothing to the next (`proc_dointvec` in kernel/sysctl.c).
        if buffer[..length].ends_with(b"\n") {
            break;
        }
    }
    Ok(length)
}

/// Makes the error of an operation on this path.
fn failed(operation: Operation, path: &Path) -> impl FnOnce(io::Error) -> SysctlError {
    move |source| SysctlError::Io {
        operation,
        path: path.to_path_buf(),
        source,
    }
}

fn open_to_write(path: &Path, truncate: bool) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        // Kubelet truncates too. The kernel's own files do not care; a plain file mounted over one would keep its tail.
        .truncate(truncate)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
}

/// Parses `content` as kubelet does: Go's `strconv.Atoi(strings.Trim(content, " \n"))`.
///
/// Source: `GetSysctl` in `k8s.io/component-helpers/node/util/sysctl`. Go's `int` has 64 bits on every platform that
/// kubelet is released for but 32-bit ARM.
pub fn parse(content: &[u8]) -> Option<i64> {
    let mut trimmed = content;
    while let [b' ' | b'\n', rest @ ..] | [rest @ .., b' ' | b'\n'] = trimmed {
        trimmed = rest;
    }
    // What is left, Rust reads by Atoi's rule: one sign at the most, then decimal digits and nothing else.
    str::from_utf8(trimmed).ok()?.parse().ok()
}

/// The operation on a file that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Opening to read.
    Open,
    /// Reading.
    Read,
    /// Opening to write.
    OpenToWrite,
    /// Writing this value.
    Write(i64),
}

/// Why a tunable could not be read or written.
#[derive(Debug)]
pub enum SysctlError {
    /// The system refused `operation` on `path`.
    Io {
        /// The operation.
        operation: Operation,
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// The file is longer than any integer.
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file does not hold what kubelet takes for an integer.
    NotAnInteger {
        /// The file.
        path: PathBuf,
        /// Its content.
        content: Vec<u8>,
    },
    /// The value was written without an error, yet the file holds another one.
    NotTaken {
        /// The file.
        path: PathBuf,
        /// The value written.
        written: i64,
    },
}

impl SysctlError {
    /// Returns true if /proc/sys is mounted read-only here.
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem)
    }

    /// Returns true if this user is not allowed to.
    pub fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_kubelet_parses() {
        let cases: &[(&[u8], Option<i64>)] = &[
            (b"1\n", Some(1)),
            (b"0", Some(0)),
            (b" \n+001 \n", Some(1)),
            (b"-1\n", Some(-1)),
            (b"-0", Some(0)),
            (b"\n\n  10\n  \n", Some(10)),
            (b"9223372036854775807", Some(i64::MAX)),
            (b"-9223372036854775808", Some(i64::MIN)),
            (b"9223372036854775808", None),
            (b"-9223372036854775809", None),
            (b"", None),
            (b" \n", None),
            (b"+", None),
            (b"-", None),
            (b"+-1", None),
            (b"1\t", None),
            (b"\t1", None),
            (b"1\r\n", None),
            (b"1\0", None),
            (b"0x1", None),
            (b"1_0", None),
            (b"1 0", None),
            (b"1e1", None),
            (b"1.0", None),
            (b"\xff", None),
            ("\u{0661}".as_bytes(), None),
            ("\u{a0}1".as_bytes(), None),
        ];
        for (content, expected) in cases {
            assert_eq!(
                parse(content),
                *expected,
                "of \"{}\"",
                content.escape_ascii()
            );
        }
    }

    /// A root with this content as `kernel.panic`, removed with the guard.
    struct Root(PathBuf);

    impl Root {
        fn with(name: &str, content: &str) -> Self {
            let root = std::env::temp_dir().join(format!(
                "kubelet-tunables-sysctl-{}-{name}",
                std::process::id()
            ));
            std::fs::create_dir_all(root.join("proc/sys/kernel")).unwrap();
            std::fs::write(root.join("proc/sys/kernel/panic"), content).unwrap();
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn reads_what_fits_and_nothing_longer() {
        let read = |name, length| {
            let root = Root::with(name, &format!("{:0>length$}", 10));
            ProcSys::new(&root.0).read("kernel.panic")
        };
        assert_eq!(read("short", 2).unwrap(), 10);
        assert_eq!(read("full", LIMIT).unwrap(), 10);
        assert!(matches!(
            read("over", LIMIT + 1),
            Err(SysctlError::TooLong { .. })
        ));
    }
}
