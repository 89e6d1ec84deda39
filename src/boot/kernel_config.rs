//! Reads the two defaults that depend on the kernel's build configuration: that of the running kernel, or of an image's
//! newest one.

use std::io;
use std::path::PathBuf;

use memchr::memmem;

use super::setting::{Place, Setting};
use super::{FILE_LIMIT, ReadError, image_kernel, unread};
use crate::files::root::Root;
use crate::tunable::Tunable;

/// Bytes made room for at first: a configuration has some 280 KB.
const CAPACITY: usize = 320 << 10;

/// The options of a kernel that differ from mainline's.
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
    /// Reads the configuration of the kernel where a distribution put it. A kernel whose configuration is not there is taken
    /// for a mainline one.
    pub(super) fn read(root: &Root) -> Result<Self, ReadError> {
        let release = if root.is_image() {
            image_kernel::newest(root)?
        } else {
            running(root)?
        };
        let Some(release) = release else {
            return Ok(Self::default());
        };
        let in_boot = format!("/boot/config-{release}");
        let in_modules = format!("/lib/modules/{release}/config");
        let (path, config) = read_first(root, &[&in_boot, &in_modules])?.unzip();
        Ok(Self {
            release: Some(release),
            path,
            ..Self::parse(&config.unwrap_or_default())
        })
    }

    /// Looks for the two options among some ten thousand lines.
    fn parse(config: &[u8]) -> Self {
        let mut parsed = Self::default();
        for at in memmem::find_iter(config, b"CONFIG_PANIC_") {
            if at > 0 && config[at - 1] != b'\n' {
                continue;
            }
            let mut lines = config[at..].split(|&byte| byte == b'\n');
            let line = lines.next().unwrap_or_default().trim_ascii_end();
            if let Some(value) = line.strip_prefix(b"CONFIG_PANIC_TIMEOUT=") {
                let value = str::from_utf8(value).ok();
                parsed.panic_timeout = value.and_then(|value| value.trim().parse().ok());
            } else if line == b"CONFIG_PANIC_ON_OOPS=y" {
                parsed.panic_on_oops = Some(1);
            }
        }
        parsed
    }

    /// Returns the default of the tunable in a kernel built like this.
    fn default_of(&self, tunable: &Tunable) -> i64 {
        match tunable.name {
            "kernel.panic" => self.panic_timeout,
            "kernel.panic_on_oops" => self.panic_on_oops,
            _ => None,
        }
        .unwrap_or(tunable.default)
    }
}

/// Makes the setting of a tunable of which the configuration [`decides`].
pub(super) fn setting<'a>(
    config: &'a Result<KernelConfig, ReadError>,
    tunable: &Tunable,
) -> Setting<'a> {
    match config {
        Ok(config) => Setting::of_kernel(config.default_of(tunable), config.path.as_deref()),
        Err(problem) => {
            let (default, config) = (None, Some(&*problem.path));
            let place = Place::Kernel { default, config };
            Setting::unread(place, problem)
        }
    }
}

/// True if the kernel's configuration changes the tunable's default.
pub(super) fn decides(tunable: &Tunable) -> bool {
    matches!(tunable.name, "kernel.panic" | "kernel.panic_on_oops")
}

fn running(root: &Root) -> Result<Option<String>, ReadError> {
    let release = read_first(root, &["/proc/sys/kernel/osrelease"])?;
    Ok(release.map(|(_, release)| String::from_utf8_lossy(&release).trim().to_string()))
}

/// Reads the first of these files that is there.
pub(super) fn read_first(
    root: &Root,
    paths: &[&str],
) -> Result<Option<(PathBuf, Vec<u8>)>, ReadError> {
    let mut content = Vec::with_capacity(CAPACITY);
    for path in paths {
        let read = root.read(path, FILE_LIMIT, &mut content);
        match read.map_err(|error| (error.kind(), error)) {
            Ok(()) => return Ok(Some((path.into(), content))),
            Err((io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, _)) => {}
            Err((_, error)) => return Err(unread(path)(error)),
        }
    }
    Ok(None)
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
        KernelConfig::parse(text.as_bytes())
    }

    #[test]
    fn decides_what_its_options_change() {
        let built = parse("CONFIG_PANIC_TIMEOUT=5\nCONFIG_PANIC_ON_OOPS=y\n");
        for tunable in &TUNABLES {
            let changes = built.default_of(tunable) != parse("").default_of(tunable);
            assert_eq!(decides(tunable), changes, "{}", tunable.name);
            assert_eq!(parse("").default_of(tunable), tunable.default);
        }
        assert_eq!(built.default_of(&TUNABLES[2]), 5);
        assert_eq!(built.default_of(&TUNABLES[3]), 1);
    }
}
