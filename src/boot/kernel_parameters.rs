//! Reads the parameters of the kernel command line that set a tunable.

use std::path::PathBuf;

use memchr::memchr;

use super::kernel_config::read_first;
use super::setting::{Effect, Place, Setting};
use super::{FILE_LIMIT, ReadError, unread};
use crate::files::root::Root;
use crate::tunable::{Tunable, from_any_base, is_space, kernel_parse};

/// The kernel command line.
#[derive(Debug, Default)]
pub struct CommandLine {
    text: Vec<u8>,
    /// The file in an image that has it.
    pub(super) path: Option<PathBuf>,
}

impl From<Vec<u8>> for CommandLine {
    fn from(text: Vec<u8>) -> Self {
        Self { text, path: None }
    }
}

impl CommandLine {
    /// Reads that of the running kernel, or the one that kernel-install(8) gives to the kernels of an image.
    pub(super) fn read(root: &Root) -> Result<Self, ReadError> {
        if !root.is_image() {
            let mut text = Vec::new();
            root.read("proc/cmdline", FILE_LIMIT, &mut text)
                .map_err(unread("/proc/cmdline"))?;
            return Ok(text.into());
        }
        let file = read_first(root, &["/etc/kernel/cmdline", "/usr/lib/kernel/cmdline"])?;
        Ok(file.map_or_else(Self::default, |(path, text)| Self {
            text: without_comments(&text),
            path: Some(path),
        }))
    }

    /// Lists the parameters that name the tunable, in the order in which the kernel applies them: late ones at the end.
    pub fn settings(&self, tunable: &Tunable) -> Vec<Setting<'_>> {
        let mut settings: Vec<_> = self.parameters(tunable).collect();
        settings.sort_by_key(|(is_late, _)| *is_late);
        settings.into_iter().map(|(_, setting)| setting).collect()
    }

    /// Returns a parameter that names the tunable as sysctl(8) does, which the kernel ignores.
    pub(super) fn parameter_without_prefix(&self, tunable: &Tunable) -> Option<String> {
        let mut parameters = self.parameters(tunable).map(|(_, setting)| setting);
        let ignored = parameters.find(|it| matches!(it.effect, Effect::NoPrefix))?;
        Some(ignored.text().into_owned())
    }

    /// Lists the parameters that name the tunable, as they stand; true if the kernel applies it late, just before it starts
    /// PID 1.
    ///
    /// Source: Documentation/admin-guide/kernel-parameters.txt, `do_sysctl_args` in `fs/proc/proc_sysctl.c`, `next_arg` in
    /// `lib/cmdline.c`.
    fn parameters(&self, tunable: &Tunable) -> impl Iterator<Item = (bool, Setting<'_>)> {
        split(&self.text)
            .map(strip_opening_quote)
            .take_while(|&(bare, quoted)| strip_quote(bare, quoted) != b"--")
            .filter_map(move |(bare, quoted)| {
                let at = memchr(b'=', bare)?;
                let (name, value) = (&bare[..at], &bare[at + 1..]);
                let (value, value_quoted) = strip_opening_quote(value);
                let value = strip_quote(value, quoted || value_quoted);
                let late_name = name
                    .strip_prefix(b"sysctl")
                    .filter(|path| path.first().copied().is_some_and(is_separator));
                let is_late = late_name.is_some();
                let effect = match (name, tunable.name) {
                    (b"panic", "kernel.panic") => Effect::of(integer(value)),
                    (b"oops", "kernel.panic_on_oops") => {
                        Effect::of((value == b"panic").then_some(1))
                    }
                    _ if !is_name(late_name.unwrap_or(name), tunable.name) => return None,
                    _ if is_late => Effect::of(kernel_parse(tunable, value)),
                    _ => Effect::NoPrefix,
                };
                let place = Place::CommandLine {
                    parameter: strip_quote(bare, quoted),
                    path: self.path.as_deref(),
                };
                Some((is_late, Setting { place, effect }))
            })
    }
}

/// Removes the lines that are comments. Source: systemd's `90-loaderentry.install`, which makes one line of the others.
fn without_comments(text: &[u8]) -> Vec<u8> {
    text.split_inclusive(|&byte| byte == b'\n')
        .filter(|line| !line.trim_ascii_start().starts_with(b"#"))
        .collect::<Vec<_>>()
        .concat()
}

/// Splits the command line into parameters; white space within double quotes belongs to the parameter.
fn split(cmdline: &[u8]) -> impl Iterator<Item = &[u8]> {
    // The kernel's own string has no line end; /proc/cmdline adds one.
    let cmdline = cmdline.strip_suffix(b"\n").unwrap_or(cmdline);
    let mut quoted = false;
    cmdline
        .split(move |&byte| {
            quoted ^= byte == b'"';
            is_space(byte) && !quoted
        })
        .filter(|parameter| !parameter.is_empty())
}

/// Removes the quote at the beginning, and returns whether there was one.
fn strip_opening_quote(text: &[u8]) -> (&[u8], bool) {
    let bare = text.strip_prefix(b"\"");
    (bare.unwrap_or(text), bare.is_some())
}

/// Removes the quote at the end, if there was one at the beginning.
fn strip_quote(text: &[u8], quoted: bool) -> &[u8] {
    match text.strip_suffix(b"\"") {
        Some(bare) if quoted => bare,
        _ => text,
    }
}

/// True if this is the name as a path: dots and slashes alike, and several count as one.
fn is_name(path: &[u8], name: &str) -> bool {
    !path.last().copied().is_some_and(is_separator)
        && path
            .split(|byte| is_separator(*byte))
            .filter(|part| !part.is_empty())
            .eq(name.split('.').map(str::as_bytes))
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'.' | b'/')
}

/// Reads a parameter's value as the kernel does (`kstrtoint` in base 0): unlike in the file, it may have a `+` and nothing
/// behind it but a line end.
fn integer(value: &[u8]) -> Option<i64> {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let number = match value.strip_prefix(b"-") {
        Some(digits) => -from_any_base(digits)?,
        None => from_any_base(value.strip_prefix(b"+").unwrap_or(value))?,
    };
    i32::try_from(number).is_ok().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunable::TUNABLES;

    fn command_line(text: &str) -> CommandLine {
        text.as_bytes().to_vec().into()
    }

    #[test]
    fn a_parameter_without_the_prefix_has_no_effect() {
        let parameter =
            |cmdline: &str| command_line(cmdline).parameter_without_prefix(&TUNABLES[2]);
        for (cmdline, expected) in [
            ("quiet kernel.panic=10 ro", Some("kernel.panic=10")),
            ("kernel/panic=10\n", Some("kernel/panic=10")),
            ("sysctl.kernel.panic=10 panic=10", None),
            ("kernel.panic_on_oops=1 kernel.panic", None),
            ("ro -- kernel.panic=10", None),
            ("", None),
        ] {
            assert_eq!(parameter(cmdline).as_deref(), expected, "{cmdline}");
        }
    }

    #[test]
    fn the_last_that_the_kernel_understands_counts() {
        let cases = [
            ("quiet panic=5", 2, Some((5, "panic=5"))),
            ("panic=5 panic=7\n", 2, Some((7, "panic=7"))),
            ("panic=5 panic=x", 2, Some((5, "panic=5"))),
            ("panic=-1", 2, Some((-1, "panic=-1"))),
            ("panic", 2, None),
            ("panic=", 2, None),
            ("xpanic=5", 2, None),
            ("oops=panic", 3, Some((1, "oops=panic"))),
            ("oops=panic", 2, None),
            ("oops=none", 3, None),
            (
                "sysctl.kernel.panic=10",
                2,
                Some((10, "sysctl.kernel.panic=10")),
            ),
            (
                "sysctl/kernel/panic=10",
                2,
                Some((10, "sysctl/kernel/panic=10")),
            ),
            (
                "sysctl.kernel/panic=10",
                2,
                Some((10, "sysctl.kernel/panic=10")),
            ),
            (
                "sysctl.kernel.panic=10 panic=5",
                2,
                Some((10, "sysctl.kernel.panic=10")),
            ),
            (
                "sysctl.kernel.panic_on_oops=0 oops=panic",
                3,
                Some((0, "sysctl.kernel.panic_on_oops=0")),
            ),
            ("sysctl.vm.overcommit_memory=3", 0, None),
            (
                "sysctl.vm.overcommit_memory=1",
                0,
                Some((1, "sysctl.vm.overcommit_memory=1")),
            ),
            ("root=/dev/vda -- panic=5", 2, None),
            ("x=\"a panic=5 b\" quiet", 2, None),
            ("x=\"a b\" panic=5", 2, Some((5, "panic=5"))),
            ("\"panic=5\"", 2, Some((5, "panic=5"))),
            ("panic=\"5\"", 2, Some((5, "panic=\"5\""))),
            ("panic=\"5\n", 2, Some((5, "panic=\"5"))),
            ("panic=5\" x", 2, None),
            ("panic=+-5", 2, None),
            ("panic=+010", 2, Some((8, "panic=+010"))),
            ("\"panic=5", 2, Some((5, "panic=5"))),
            ("x\u{b}panic=5", 2, Some((5, "panic=5"))),
            (
                "sysctl..kernel//panic=1",
                2,
                Some((1, "sysctl..kernel//panic=1")),
            ),
            ("sysctl.kernel.panic.=1", 2, None),
            ("sysctlkernel.panic=1", 2, None),
            ("", 2, None),
        ];
        for (cmdline, row, expected) in cases {
            let tunable = &TUNABLES[row];
            let command_line = command_line(cmdline);
            let settings = command_line.settings(tunable);
            let found = settings.iter().rev().find_map(|it| match it.effect {
                Effect::Sets(value) => Some((value, it.text())),
                _ => None,
            });
            let found = found.as_ref().map(|(value, text)| (*value, &**text));
            assert_eq!(found, expected, "{cmdline}: {}", tunable.name);
        }
    }
}
