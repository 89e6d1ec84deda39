//! Owns the two defaults that the kernel's own configuration decides.

use std::io;
use std::path::Path;

use memchr::{memchr, memmem};

use super::{Problem, read_file};
use crate::tunable::Tunable;

/// What the kernel that runs was built with, where that differs from mainline's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KernelConfig {
    panic_timeout: Option<i64>,
    panic_on_oops: Option<i64>,
}

impl KernelConfig {
    /// Reads the configuration of the kernel that runs, where a distribution put it; where there is none, it is mainline's.
    pub(super) fn read(root: &Path) -> Result<Self, Problem> {
        let mut buffer = Vec::new();
        let Some(release) = read_if_there(root, "proc/sys/kernel/osrelease", &mut buffer)? else {
            return Ok(Self::default());
        };
        let release = String::from_utf8_lossy(release).trim().to_string();
        for path in [
            format!("boot/config-{release}"),
            format!("lib/modules/{release}/config"),
        ] {
            if let Some(config) = read_if_there(root, &path, &mut buffer)? {
                return Ok(Self::parse(config));
            }
        }
        Ok(Self::default())
    }

    fn parse(config: &[u8]) -> Self {
        let mut parsed = Self::default();
        // The file has some ten thousand lines, of which these are the only ones to look at.
        for at in memmem::find_iter(config, b"CONFIG_PANIC_") {
            if at > 0 && config[at - 1] != b'\n' {
                continue;
            }
            let line = &config[at..];
            let end = memchr(b'\n', line).unwrap_or(line.len());
            let line = line[..end].trim_ascii_end();
            if let Some(value) = line.strip_prefix(b"CONFIG_PANIC_TIMEOUT=") {
                parsed.panic_timeout = str::from_utf8(value)
                    .ok()
                    .and_then(|value| value.trim().parse().ok());
            } else if line == b"CONFIG_PANIC_ON_OOPS=y" {
                parsed.panic_on_oops = Some(1);
            }
        }
        parsed
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

fn read_if_there<'a>(
    root: &Path,
    path: &str,
    buffer: &'a mut Vec<u8>,
) -> Result<Option<&'a [u8]>, Problem> {
    let path = root.join(path);
    match read_file(&path, buffer) {
        Ok(content) => Ok(Some(content)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(Problem { path, error }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_two_options() {
        let config = |panic_timeout, panic_on_oops| KernelConfig {
            panic_timeout,
            panic_on_oops,
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
            assert_eq!(KernelConfig::parse(text.as_bytes()), expected, "{text}");
        }
    }
}
