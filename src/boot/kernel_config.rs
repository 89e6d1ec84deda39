//! Reads the two defaults that the configuration of the kernel decides that runs or, in an image, will be booted.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use memchr::{memchr, memmem, memrchr};

use super::{FILE_LIMIT, ReadError, release};
use crate::files::file;
use crate::files::root::Root;
use crate::tunable::Tunable;

/// Bytes looked at at once.
const PIECE: usize = 64 << 10;

/// What a kernel was built with, where that differs from mainline's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KernelConfig {
    /// The release of the kernel, if it is known.
    pub(super) release: Option<String>,
    /// The file that tells.
    pub(super) path: Option<PathBuf>,
    panic_timeout: Option<i64>,
    panic_on_oops: Option<i64>,
}

impl KernelConfig {
    /// Reads the configuration of the kernel where a distribution put it; where there is none, it is mainline's.
    pub(super) fn read(root: &Root) -> Result<Self, ReadError> {
        let release = if root.is_image() {
            release::newest(root)?
        } else {
            running(root)?
        };
        let Some(release) = release else {
            return Ok(Self::default());
        };
        for path in [
            format!("/boot/config-{release}"),
            format!("/lib/modules/{release}/config"),
        ] {
            if let Some(config) = if_there(root, &path, |file| Self::parse(file))? {
                return Ok(Self {
                    release: Some(release),
                    path: Some(path.into()),
                    ..config
                });
            }
        }
        Ok(Self {
            release: Some(release),
            ..Self::default()
        })
    }

    /// Looks for the two options piece by piece: the file has some ten thousand lines, in 250 KB.
    fn parse(mut config: impl Read) -> io::Result<Self> {
        let mut parsed = Self::default();
        let mut piece = vec![0; PIECE];
        let mut total = 0;
        let mut begun = 0;
        loop {
            let count = file::read_some(&mut config, &mut piece[begun..])?;
            let filled = begun + count;
            let at_end = count == 0;
            // A line that goes on in the next piece is looked at there.
            let whole = if at_end {
                filled
            } else {
                memrchr(b'\n', &piece[..filled]).map_or(0, |end| end + 1)
            };
            parsed.look_at(&piece[..whole]);
            if at_end {
                return Ok(parsed);
            }
            total += count as u64;
            if total > FILE_LIMIT {
                return Err(file::too_large(FILE_LIMIT));
            }
            piece.copy_within(whole..filled, 0);
            begun = filled - whole;
            if begun == PIECE {
                return Err(io::Error::other("it has a line of 64 KiB or more"));
            }
        }
    }

    fn look_at(&mut self, lines: &[u8]) {
        for at in memmem::find_iter(lines, b"CONFIG_PANIC_") {
            if at > 0 && lines[at - 1] != b'\n' {
                continue;
            }
            let line = &lines[at..];
            let end = memchr(b'\n', line).unwrap_or(line.len());
            let line = line[..end].trim_ascii_end();
            if let Some(value) = line.strip_prefix(b"CONFIG_PANIC_TIMEOUT=") {
                self.panic_timeout = str::from_utf8(value)
                    .ok()
                    .and_then(|value| value.trim().parse().ok());
            } else if line == b"CONFIG_PANIC_ON_OOPS=y" {
                self.panic_on_oops = Some(1);
            }
        }
    }

    /// What a kernel built like this starts the tunable with.
    pub(super) fn start_of(&self, tunable: &Tunable) -> i64 {
        match tunable.name {
            "kernel.panic" => self.panic_timeout,
            "kernel.panic_on_oops" => self.panic_on_oops,
            _ => None,
        }
        .unwrap_or(tunable.default)
    }
}

/// Whether the configuration has a say in what the kernel starts the tunable with.
pub(super) fn decides(tunable: &Tunable) -> bool {
    matches!(tunable.name, "kernel.panic" | "kernel.panic_on_oops")
}

/// The release of the kernel that runs.
fn running(root: &Root) -> Result<Option<String>, ReadError> {
    let release = read_if_there(root, "/proc/sys/kernel/osrelease")?;
    Ok(release.map(|release| String::from_utf8_lossy(&release).trim().to_string()))
}

/// What a file holds; none where there is no file.
pub(super) fn read_if_there(root: &Root, path: &str) -> Result<Option<Vec<u8>>, ReadError> {
    if_there(root, path, |file| {
        let mut content = Vec::new();
        file::read_to_end(file, FILE_LIMIT, &mut content).map(|()| content)
    })
}

/// What `work` makes of a file; none where there is no file.
fn if_there<T>(
    root: &Root,
    path: &str,
    work: impl FnOnce(&mut File) -> io::Result<T>,
) -> Result<Option<T>, ReadError> {
    match root.open(path).and_then(|mut file| work(&mut file)) {
        Ok(done) => Ok(Some(done)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(ReadError {
                path: path.into(),
                error,
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunable::TUNABLES;

    #[test]
    fn reads_the_two_options() {
        let config = |panic_timeout, panic_on_oops| KernelConfig {
            panic_timeout,
            panic_on_oops,
            ..KernelConfig::default()
        };
        let cases = [
            (
                "CONFIG_PANIC_TIMEOUT=5\nCONFIG_PANIC_ON_OOPS=y\n",
                config(Some(5), Some(1)),
            ),
            ("CONFIG_PANIC_TIMEOUT=-1", config(Some(-1), None)),
            (
                "# CONFIG_PANIC_ON_OOPS is not set\nCONFIG_PANIC_ON_OOPS_VALUE=0\n",
                config(None, None),
            ),
            (
                "XCONFIG_PANIC_TIMEOUT=5\n#CONFIG_PANIC_ON_OOPS=y\n",
                config(None, None),
            ),
            ("", config(None, None)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    fn parse(text: &str) -> KernelConfig {
        KernelConfig::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn decides_what_its_options_change() {
        let built = parse("CONFIG_PANIC_TIMEOUT=5\nCONFIG_PANIC_ON_OOPS=y\n");
        for tunable in &TUNABLES {
            let changes = built.start_of(tunable) != parse("").start_of(tunable);
            assert_eq!(decides(tunable), changes, "{}", tunable.name);
            assert_eq!(parse("").start_of(tunable), tunable.default);
        }
        assert_eq!(built.start_of(&TUNABLES[2]), 5);
        assert_eq!(built.start_of(&TUNABLES[3]), 1);
    }

    #[test]
    fn reads_an_option_that_two_pieces_share() {
        const OPTION: &str = "CONFIG_PANIC_TIMEOUT=45\n";
        for before in PIECE - OPTION.len() - 1..=PIECE + 1 {
            let others = "CONFIG_OPTION=y\n".repeat(before / 16);
            let comment = "#".repeat(before - others.len());
            let text = format!("{others}{comment}\n{OPTION}");
            assert_eq!(parse(&text).panic_timeout, Some(45), "after {before} bytes");
        }
    }

    #[test]
    fn gives_up_what_is_no_configuration() {
        let full = "CONFIG_OPTION=y\n".repeat((4 << 20) / 16);
        assert_eq!(parse(&full), KernelConfig::default());
        let long = format!("\n{}\nCONFIG_PANIC_TIMEOUT=5\n", "#".repeat(PIECE - 1));
        assert_eq!(parse(&long).panic_timeout, Some(5));
        for (text, why) in [
            ("=".repeat(PIECE), "it has a line of 64 KiB or more"),
            (full + "\n", "it is longer than 4 MiB"),
        ] {
            let error = KernelConfig::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), why);
        }
    }
}
