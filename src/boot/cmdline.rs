//! Reads what the kernel's command line says of a tunable.

use memchr::memchr;

use super::{from_any_base, is_space};

/// The value that the command line gives the tunable of the dotted `name`, and the word that does it.
///
/// The kernel applies `panic=` and `oops=panic` early and `sysctl.NAME=VALUE` just before it starts PID 1; of several
/// the last that it understands counts. Source: Documentation/admin-guide/kernel-parameters.txt, `do_sysctl_args` in
/// `fs/proc/proc_sysctl.c`, `next_arg` in `lib/cmdline.c`.
pub fn setting(
    cmdline: &[u8],
    name: &str,
    taken: impl Fn(&[u8]) -> Option<i64>,
) -> Option<(i64, String)> {
    let (mut early, mut late) = (None, None);
    for word in words(cmdline) {
        let (quoted, bare) = match word.strip_prefix(b"\"") {
            Some(bare) => (true, bare),
            None => (false, word),
        };
        let unquoted = |text| strip_quote(text, quoted);
        let shown = || String::from_utf8_lossy(unquoted(bare)).into_owned();
        let Some(at) = memchr(b'=', bare) else {
            if unquoted(bare) == b"--" {
                break;
            }
            continue;
        };
        let (parameter, value) = (&bare[..at], &bare[at + 1..]);
        let value = match value.strip_prefix(b"\"") {
            Some(value) => strip_quote(value, true),
            None => unquoted(value),
        };
        match (parameter, name) {
            (b"panic", "kernel.panic") => {
                if let Some(number) = integer(value) {
                    early = Some((number, shown()));
                }
            }
            (b"oops", "kernel.panic_on_oops") if value == b"panic" => early = Some((1, shown())),
            _ => {
                if names(parameter, name)
                    && let Some(number) = taken(value)
                {
                    late = Some((number, shown()));
                }
            }
        }
    }
    late.or(early)
}

/// A word that names the tunable as sysctl(8) does, which the kernel passes over: it wants `sysctl.` before the name.
pub(super) fn without_effect(cmdline: &[u8], name: &str) -> Option<String> {
    words(cmdline)
        .take_while(|word| *word != b"--")
        .find(|word| {
            memchr(b'=', word).is_some_and(|at| names(&[b"sysctl.", &word[..at]].concat(), name))
        })
        .map(|word| String::from_utf8_lossy(word).into_owned())
}

/// The words of the command line; white space within double quotes belongs to the word.
fn words(cmdline: &[u8]) -> impl Iterator<Item = &[u8]> {
    // The kernel's own string has no line end; /proc/cmdline adds one.
    let cmdline = cmdline.strip_suffix(b"\n").unwrap_or(cmdline);
    let mut quoted = false;
    cmdline
        .split(move |&byte| {
            quoted ^= byte == b'"';
            is_space(byte) && !quoted
        })
        .filter(|word| !word.is_empty())
}

/// The text without the quote at its end, if there was one at the beginning.
fn strip_quote(text: &[u8], quoted: bool) -> &[u8] {
    match text.strip_suffix(b"\"") {
        Some(bare) if quoted => bare,
        _ => text,
    }
}

/// Whether the parameter is `sysctl.` and the name, which is a path: dots and slashes alike, and several count as one.
fn names(parameter: &[u8], name: &str) -> bool {
    let is_separator = |byte: &u8| matches!(byte, b'.' | b'/');
    let Some(path) = parameter.strip_prefix(b"sysctl") else {
        return false;
    };
    path.first().is_some_and(is_separator)
        && !path.last().is_some_and(is_separator)
        && path
            .split(is_separator)
            .filter(|part| !part.is_empty())
            .eq(name.split('.').map(str::as_bytes))
}

/// The number that the kernel makes of a parameter's value (`kstrtoint` in base 0): unlike in the file, it may have a `+`
/// and nothing behind it but a line end.
fn integer(value: &[u8]) -> Option<i64> {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let (sign, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (-1, digits),
        None => (1, value.strip_prefix(b"+").unwrap_or(value)),
    };
    let number = sign * from_any_base(str::from_utf8(digits).ok()?)?;
    i32::try_from(number).is_ok().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::taken;
    use crate::tunable::TUNABLES;

    #[test]
    fn a_word_without_the_prefix_has_no_effect() {
        let word = |cmdline: &str| without_effect(cmdline.as_bytes(), "kernel.panic");
        for (cmdline, expected) in [
            ("quiet kernel.panic=10 ro", Some("kernel.panic=10")),
            ("kernel/panic=10\n", Some("kernel/panic=10")),
            ("sysctl.kernel.panic=10 panic=10", None),
            ("kernel.panic_on_oops=1 kernel.panic", None),
            ("ro -- kernel.panic=10", None),
            ("", None),
        ] {
            assert_eq!(word(cmdline).as_deref(), expected, "{cmdline}");
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
            let found = setting(cmdline.as_bytes(), tunable.name, |text| {
                taken(tunable, text)
            });
            let expected = expected.map(|(value, word)| (value, word.to_string()));
            assert_eq!(found, expected, "{cmdline}: {}", tunable.name);
        }
    }
}
