//! The kernel's command line against a model after the kernel's own C: `next_arg`, `do_sysctl_args`, `kstrtoint` and
//! `proc_get_long`.
#![no_main]

use kubelet_tunables::boot::Effect;
use kubelet_tunables::boot::kernel_parameters::CommandLine;
use kubelet_tunables::tunable::{TUNABLES, Tunable};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|file: &[u8]| -> Corpus {
    // The kernel's own string ends at a NUL; /proc/cmdline adds a line end.
    if file.contains(&0) {
        return Corpus::Reject;
    }
    let parameters = parse_args(file.strip_suffix(b"\n").unwrap_or(file));
    let command_line = CommandLine::from(file.to_vec());
    for tunable in &TUNABLES {
        let settings = command_line.settings(tunable);
        let found = settings.iter().rev().find_map(|it| match it.effect {
            Effect::Sets(value) => Some((value, it.text())),
            _ => None,
        });
        let (mut early, mut late) = (None, None);
        for (parameter, value) in &parameters {
            early = boot_parameter(tunable, parameter, value).or(early);
            late = sysctl_parameter(tunable, parameter, value).or(late);
        }
        let value = found.as_ref().map(|(value, _)| *value);
        assert_eq!(value, late.or(early), "{}", tunable.name);
        if let Some((_, word)) = found
            && let Ok(text) = str::from_utf8(file)
            && text.is_ascii()
        {
            assert!(text.contains(&*word), "{word}");
        }
    }
    Corpus::Keep
});

/// Parameters and their values up to `--`; those without a value do nothing here.
fn parse_args(cmdline: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut args = skip_spaces(cmdline);
    let mut words = Vec::new();
    while !args.is_empty() {
        let (parameter, value, rest) = next_arg(args);
        args = rest;
        match value {
            None if parameter == b"--" => break,
            None => {}
            Some(value) => words.push((parameter, value)),
        }
    }
    words
}

/// `next_arg` in `lib/cmdline.c`.
fn next_arg(mut args: &[u8]) -> (Vec<u8>, Option<Vec<u8>>, &[u8]) {
    let (mut equals, mut in_quote, mut quoted) = (0, false, false);
    if args[0] == b'"' {
        args = &args[1..];
        (in_quote, quoted) = (true, true);
    }
    let mut length = 0;
    while length < args.len() {
        let byte = args[length];
        if is_space(byte) && !in_quote {
            break;
        }
        if equals == 0 && byte == b'=' {
            equals = length;
        }
        if byte == b'"' {
            in_quote = !in_quote;
        }
        length += 1;
    }
    let rest = skip_spaces(args.get(length + 1..).unwrap_or_default());
    let mut word = args[..length].to_vec();
    if equals == 0 {
        if quoted && word.last() == Some(&b'"') {
            word.pop();
        }
        return (word, None, rest);
    }
    let mut begin = equals + 1;
    let mut end = length;
    if args.get(begin) == Some(&b'"') && begin < length {
        begin += 1;
        if args[length - 1] == b'"' {
            end -= 1;
        }
    }
    if quoted && end == length && args[length - 1] == b'"' {
        end -= 1;
    }
    let value = args[begin.min(end.max(begin))..end.max(begin)].to_vec();
    (word[..equals].to_vec(), Some(value), rest)
}

/// The kernel's `isspace`, to which a no-break space of Latin-1 is one too.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0)
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_space(byte));
    &text[start.unwrap_or(text.len())..]
}

/// `core_param(panic, panic_timeout, int)` and `early_param("oops", oops_setup)` in `kernel/panic.c`.
fn boot_parameter(tunable: &Tunable, parameter: &[u8], value: &[u8]) -> Option<i64> {
    match (parameter, tunable.name) {
        (b"panic", "kernel.panic") => kstrtoint(value),
        (b"oops", "kernel.panic_on_oops") if value == b"panic" => Some(1),
        _ => None,
    }
}

/// `process_sysctl_arg` in `fs/proc/proc_sysctl.c`: the rest of the name is a path, in which a separator may be doubled.
fn sysctl_parameter(tunable: &Tunable, parameter: &[u8], value: &[u8]) -> Option<i64> {
    let path = parameter.strip_prefix(b"sysctl")?;
    if !matches!(path.first()?, b'.' | b'/') || matches!(path.last()?, b'.' | b'/') {
        return None;
    }
    let parts: Vec<&[u8]> = path
        .split(|byte| matches!(byte, b'.' | b'/'))
        .filter(|part| !part.is_empty())
        .collect();
    (parts.join(&b'.') == tunable.name.as_bytes())
        .then(|| written(tunable, value))
        .flatten()
}

/// `kstrtoint` in base 0.
fn kstrtoint(text: &[u8]) -> Option<i64> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let (sign, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix(b"+").unwrap_or(text)),
    };
    let (magnitude, length) = unsigned(digits)?;
    let value = sign * magnitude;
    let fits = length == digits.len() && i32::try_from(value).is_ok();
    fits.then(|| i64::try_from(value).expect("an int is a long"))
}

/// What is in the file once the text is written: `__do_proc_dointvec` and `proc_get_long` in `kernel/sysctl.c`.
fn written(tunable: &Tunable, text: &[u8]) -> Option<i64> {
    const TMPBUFLEN: usize = 22;
    let text = skip_spaces(text);
    let buffer = &text[..text.len().min(TMPBUFLEN - 1)];
    let (sign, digits) = match buffer {
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    let (magnitude, length) = unsigned(digits)?;
    let length = length + buffer.len() - digits.len();
    if length == TMPBUFLEN - 1
        || text
            .get(length)
            .is_some_and(|byte| !matches!(byte, b' ' | b'\t' | b'\n'))
    {
        return None;
    }
    let value = sign * magnitude;
    let range = match tunable.name {
        "vm.overcommit_memory" | "vm.panic_on_oom" => 0..=2,
        "kernel.keys.root_maxkeys" | "kernel.keys.root_maxbytes" => 1..=i128::from(i32::MAX),
        _ => i128::from(i32::MIN)..=i128::from(i32::MAX),
    };
    range
        .contains(&value)
        .then(|| i64::try_from(value).expect("an int is a long"))
}

/// `_parse_integer` with `_parse_integer_fixup_radix`, in base 0: the number and how many characters it takes.
fn unsigned(text: &[u8]) -> Option<(i128, usize)> {
    let (radix, prefix) = match text {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => (16, 2),
        [b'0', ..] => (8, 0),
        _ => (10, 0),
    };
    let mut value = 0_i128;
    let mut length = prefix;
    while let Some(digit) = text
        .get(length)
        .and_then(|&byte| char::from(byte).to_digit(radix))
    {
        value = value * i128::from(radix) + i128::from(digit);
        if value > i128::from(u64::MAX) {
            return None;
        }
        length += 1;
    }
    (length > 0).then_some((value, length))
}
