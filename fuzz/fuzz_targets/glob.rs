//! Patterns against a matcher that tries everything, in exponential time and few lines.
//!
//! The input is a pattern and a path, a line each.
#![no_main]

use kubelet_tunables::files::glob;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|input: &[u8]| -> Corpus {
    let mut lines = input.splitn(2, |&byte| byte == b'\n');
    let (Some(pattern), Some(path)) = (lines.next(), lines.next()) else {
        return Corpus::Reject;
    };
    // Beyond this the model takes too long; no name of a tunable is longer.
    if path.len() > 32 || pattern.split(|&byte| byte == b'*').count() > 5 {
        return Corpus::Reject;
    }
    // Classes of what no name of a tunable holds are not told apart.
    if !path.iter().all(u8::is_ascii_graphic) {
        return Corpus::Reject;
    }
    let Some(plain) = without_braces(pattern) else {
        return Corpus::Reject;
    };
    let expected = plain.iter().any(|pattern| matches(pattern, path));
    assert_eq!(glob::matches(pattern, path), expected, "{plain:?}");
    Corpus::Keep
});

/// All that the braces stand for, the innermost first; none where that is more than the program tries.
fn without_braces(pattern: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut patterns = vec![pattern.to_vec()];
    let mut done = Vec::new();
    let mut length = 0;
    while let Some(pattern) = patterns.pop() {
        if length > 4 << 10 {
            return None;
        }
        match expand_first(&pattern) {
            Some(expanded) => {
                length += expanded.iter().map(Vec::len).sum::<usize>();
                patterns.extend(expanded);
            }
            None => done.push(pattern),
        }
    }
    Some(done)
}

fn expand_first(pattern: &[u8]) -> Option<Vec<Vec<u8>>> {
    let open = pattern.iter().position(|&byte| byte == b'{')?;
    let mut parts = vec![Vec::new()];
    let mut depth = 1;
    for (at, &byte) in pattern.iter().enumerate().skip(open + 1) {
        depth += i32::from(byte == b'{') - i32::from(byte == b'}');
        if depth == 0 {
            let (before, after) = (&pattern[..open], &pattern[at + 1..]);
            let whole = |part: Vec<u8>| [before, &part, after].concat();
            return Some(parts.into_iter().map(whole).collect());
        }
        if depth == 1 && byte == b',' {
            parts.push(Vec::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(byte);
        }
    }
    None
}

fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let parts = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split(|&byte| byte == b'/')
            .map(<[u8]>::to_vec)
            .collect()
    };
    let (patterns, parts) = (parts(pattern), parts(path));
    patterns.len() == parts.len()
        && patterns
            .iter()
            .zip(&parts)
            .all(|(pattern, part)| matches_part(pattern, part))
}

fn matches_part(pattern: &[u8], text: &[u8]) -> bool {
    let Some(&first) = pattern.first() else {
        return text.is_empty();
    };
    if first == b'*' {
        return (0..=text.len()).any(|skipped| matches_part(&pattern[1..], &text[skipped..]));
    }
    let Some(&byte) = text.first() else {
        return false;
    };
    let (fits, length) = match (first, pattern.get(1)) {
        (b'?', _) => (true, 1),
        (b'\\', Some(&escaped)) => (byte == escaped, 2),
        (b'[', _) => match set(pattern) {
            Some((members, length)) => (members[usize::from(byte)], length),
            None => (byte == b'[', 1),
        },
        (literal, _) => (byte == literal, 1),
    };
    fits && matches_part(&pattern[length..], &text[1..])
}

/// Which bytes the set at the beginning of the pattern holds, and how long it is; none when it has no end.
fn set(pattern: &[u8]) -> Option<([bool; 256], usize)> {
    let negated = matches!(pattern.get(1)?, b'!' | b'^');
    let begin = if negated { 2 } else { 1 };
    let mut members = [false; 256];
    let mut at = begin;
    loop {
        if *pattern.get(at)? == b']' && at > begin {
            break;
        }
        if pattern[at..].starts_with(b"[:")
            && let Some(length) = pattern[at + 2..]
                .iter()
                .position(|it| !it.is_ascii_lowercase())
            && pattern[at + 2 + length..].starts_with(b":]")
        {
            let name = &pattern[at + 2..at + 2 + length];
            for byte in 0..=255_u8 {
                members[usize::from(byte)] |= is_in_class(name, byte);
            }
            at += length + 4;
            continue;
        }
        let low = character(pattern, &mut at)?;
        let mut high = low;
        if pattern.get(at) == Some(&b'-') && pattern.get(at + 1).is_some_and(|&it| it != b']') {
            at += 1;
            high = character(pattern, &mut at)?;
        }
        for byte in low..=high {
            members[usize::from(byte)] = true;
        }
    }
    Some((members.map(|member| member != negated), at + 1))
}

fn character(pattern: &[u8], at: &mut usize) -> Option<u8> {
    if pattern.get(*at) == Some(&b'\\') {
        *at += 1;
    }
    *at += 1;
    pattern.get(*at - 1).copied()
}

fn is_in_class(name: &[u8], byte: u8) -> bool {
    let members: &[std::ops::RangeInclusive<u8>] = match name {
        b"alpha" => &[b'a'..=b'z', b'A'..=b'Z'],
        b"digit" => &[b'0'..=b'9'],
        b"alnum" => &[b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9'],
        b"lower" => &[b'a'..=b'z'],
        b"upper" => &[b'A'..=b'Z'],
        b"punct" => &[b'!'..=b'/', b':'..=b'@', b'['..=b'`', b'{'..=b'~'],
        b"graph" => &[b'!'..=b'~'],
        b"print" => &[b' '..=b'~'],
        b"xdigit" => &[b'0'..=b'9', b'a'..=b'f', b'A'..=b'F'],
        _ => &[],
    };
    members.iter().any(|range| range.contains(&byte))
}
