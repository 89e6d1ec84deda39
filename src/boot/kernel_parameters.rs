//! Reads what the kernel's command line says of a tunable.

use memchr::memchr;

use super::{from_any_base, is_space};

/// A word of the command line that names a tunable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    text: &'a [u8],
    /// When the kernel applies it.
    pub(super) stage: Stage,
    /// What it sets; none where the kernel refuses it.
    pub(super) value: Option<i64>,
}

/// When the kernel applies a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A parameter of the kernel's own, `panic=` or `oops=panic`, early.
    Early,
    /// `sysctl.NAME=VALUE`, just before PID 1 is started.
    Late,
    /// Never: it names the tunable as sysctl(8) does, and the kernel wants `sysctl.` before the name.
    Never,
}

impl Word<'_> {
    /// The word as it stands there.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.text).into_owned()
    }
}

/// The value that the command line gives the tunable of the dotted `name`, and the word that does it.
pub fn setting(
    cmdline: &[u8],
    name: &str,
    kernel_parse: impl Fn(&[u8]) -> Option<i64>,
) -> Option<(i64, String)> {
    let words: Vec<_> = words_on(cmdline, name, kernel_parse).collect();
    let word = &words[counting(&words)?];
    Some((word.value?, word.text()))
}

/// Which of the words that name a tunable counts: the last that the kernel understands, and a late one before any early one.
pub(super) fn counting(words: &[Word]) -> Option<usize> {
    let last = |stage| {
        let counts = |word: &Word| word.stage == stage && word.value.is_some();
        words.iter().rposition(counts)
    };
    last(Stage::Late).or_else(|| last(Stage::Early))
}

/// A word that names the tunable as sysctl(8) does, which the kernel passes over.
pub(super) fn without_prefix(cmdline: &[u8], name: &str) -> Option<String> {
    words_on(cmdline, name, |_| None)
        .find(|word| word.stage == Stage::Never)
        .map(|word| word.text())
}

/// All words that name the tunable, in their order.
///
/// Source: Documentation/admin-guide/kernel-parameters.txt, `do_sysctl_args` in `fs/proc/proc_sysctl.c`, `next_arg` in
/// `lib/cmdline.c`.
pub(super) fn words_on<'a>(
    cmdline: &'a [u8],
    name: &str,
    kernel_parse: impl Fn(&[u8]) -> Option<i64>,
) -> impl Iterator<Item = Word<'a>> {
    words(cmdline)
        .map(|word| match word.strip_prefix(b"\"") {
            Some(bare) => (bare, true),
            None => (word, false),
        })
        .take_while(|&(bare, quoted)| strip_quote(bare, quoted) != b"--")
        .filter_map(move |(bare, quoted)| {
            let at = memchr(b'=', bare)?;
            let (parameter, value) = (&bare[..at], &bare[at + 1..]);
            let value = match value.strip_prefix(b"\"") {
                Some(value) => strip_quote(value, true),
                None => strip_quote(value, quoted),
            };
            let (stage, value) = match (parameter, name) {
                (b"panic", "kernel.panic") => (Stage::Early, integer(value)),
                (b"oops", "kernel.panic_on_oops") => {
                    (Stage::Early, (value == b"panic").then_some(1))
                }
                _ => match parameter.strip_prefix(b"sysctl") {
                    Some(path) if is_path_of(path, name) => (Stage::Late, kernel_parse(value)),
                    _ if is_name(parameter, name) => (Stage::Never, kernel_parse(value)),
                    _ => return None,
                },
            };
            Some(Word {
                text: strip_quote(bare, quoted),
                stage,
                value,
            })
        })
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

/// Whether what follows `sysctl` is a path of the name, with a separator before it.
fn is_path_of(path: &[u8], name: &str) -> bool {
    path.split_first()
        .is_some_and(|(first, rest)| is_separator(*first) && is_name(rest, name))
}

/// Whether this is the name as a path: dots and slashes alike, and several count as one.
fn is_name(path: &[u8], name: &str) -> bool {
    !path.last().is_some_and(|last| is_separator(*last))
        && path
            .split(|byte| is_separator(*byte))
            .filter(|part| !part.is_empty())
            .eq(name.split('.').map(str::as_bytes))
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'.' | b'/')
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
    use crate::boot::kernel_parse;
    use crate::tunable::TUNABLES;

    #[test]
    fn a_word_without_the_prefix_has_no_effect() {
        let word = |cmdline: &str| without_prefix(cmdline.as_bytes(), "kernel.panic");
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
                kernel_parse(tunable, text)
            });
            let expected = expected.map(|(value, word)| (value, word.to_string()));
            assert_eq!(found, expected, "{cmdline}: {}", tunable.name);
        }
    }
}
