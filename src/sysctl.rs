//! Reads and writes one integer under /proc/sys. Knows nothing of kubelet's options, journals or exits.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::files::file;
use crate::tunable::slashed;

/// Bytes read of one file at the most: an integer of 64 bits has 20, the rest is room for spaces and leading zeros.
const LIMIT: usize = 256;

/// The kernel's tunables as files, under the /proc/sys of one root.
#[derive(Debug, Clone)]
pub struct ProcSys {
    base: PathBuf,
}

impl ProcSys {
    /// The /proc/sys below `root`, which is `/` but in tests.
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
        let length = match read_at_most(&path, &mut buffer) {
            Ok(length) => length,
            Err((operation, source)) => {
                return Err(SysctlError::Io {
                    operation,
                    path,
                    source,
                });
            }
        };
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
        let outcome = open_to_write(&path, true)
            .map_err(|source| (Operation::OpenToWrite, source))
            .and_then(|mut file| {
                file.write_all(value.to_string().as_bytes())
                    .map_err(|source| (Operation::Write(value), source))
            });
        outcome.map_err(|(operation, source)| SysctlError::Io {
            operation,
            path,
            source,
        })
    }

    /// Whether the tunable of the dotted `name` could be written: it is opened for that, and nothing is written.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened for writing, as in a container or without being root.
    pub fn could_write(&self, name: &str) -> Result<(), SysctlError> {
        let path = self.path(name);
        match open_to_write(&path, false) {
            Ok(_) => Ok(()),
            Err(source) => Err(SysctlError::Io {
                operation: Operation::OpenToWrite,
                path,
                source,
            }),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        let base = self.base.as_os_str().as_bytes().iter().copied();
        OsString::from_vec(base.chain(slashed(name)).collect()).into()
    }
}

/// Fills `buffer` from the file and returns how much of it is filled.
fn read_at_most(path: &Path, buffer: &mut [u8]) -> Result<usize, (Operation, io::Error)> {
    let mut file = file::open(path).map_err(|source| (Operation::Open, source))?;
    let mut length = 0;
    while let room @ [_, ..] = &mut buffer[length..] {
        match file::read_some(&mut file, room) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(source) => return Err((Operation::Read, source)),
        }
        // The kernel gives a value as one line by one read, and nothing to the next (`proc_dointvec` in kernel/sysctl.c).
        if buffer[..length].ends_with(b"\n") {
            break;
        }
    }
    Ok(length)
}

fn open_to_write(path: &Path, truncate: bool) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        // Kubelet truncates too. The kernel's own files do not care; a plain file mounted over one would keep its tail.
        .truncate(truncate)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
}

/// The integer that kubelet reads from `content`: Go's `strconv.Atoi(strings.Trim(content, " \n"))`.
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

/// What was being done to a file when it failed.
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
        /// What was refused.
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
        /// What it holds.
        content: Vec<u8>,
    },
    /// The value was written without an error, yet the file holds another one.
    NotTaken {
        /// The file.
        path: PathBuf,
        /// What was written.
        written: i64,
    },
}

impl SysctlError {
    /// Whether the one who asked was not allowed to.
    pub fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// The error of a value that the kernel took without a word and did not keep.
    pub fn not_taken(proc_sys: &ProcSys, name: &str, written: i64) -> Self {
        Self::NotTaken {
            path: proc_sys.path(name),
            written,
        }
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
