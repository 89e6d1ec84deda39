//! Matches glob(7) patterns against a path as the C library's glob(3) does, but for its collating elements, `[.a.]`.

/// True if a character of the name makes it a pattern.
pub fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// Bytes that the alternatives of one pattern may have altogether: `{,}{,}{,}...` has as many as one likes.
const ALTERNATIVES: usize = 4 << 10;

/// True if the pattern names the path, both without a leading slash.
pub fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let mut left = ALTERNATIVES;
    matches_any(pattern, path, &mut left)
}

/// Replaces the first pair of braces by each of what it holds (`GLOB_BRACE`), for as long as bytes are left for that.
fn matches_any(pattern: &[u8], path: &[u8], left: &mut usize) -> bool {
    let Some((before, parts, after)) = first_braces(pattern) else {
        return matches_path(pattern, path);
    };
    parts.into_iter().any(|part| {
        let length = before.len() + part.len() + after.len();
        let Some(rest) = left.checked_sub(length) else {
            return false;
        };
        *left = rest;
        matches_any(&[before, part, after].concat(), path, left)
    })
}

/// A pattern split at a pair of braces: the text before it, each alternative, and the text after it.
type Braces<'a> = (&'a [u8], Vec<&'a [u8]>, &'a [u8]);

fn first_braces(pattern: &[u8]) -> Option<Braces<'_>> {
    let start = pattern.iter().position(|&byte| byte == b'{')?;
    let (mut depth, mut from, mut parts) = (0, start + 1, Vec::new());
    for (at, byte) in pattern.iter().enumerate().skip(start) {
        match byte {
            b'{' => depth += 1,
            b',' | b'}' if depth == 1 => {
                parts.push(&pattern[from..at]);
                from = at + 1;
                if *byte == b'}' {
                    return Some((&pattern[..start], parts, &pattern[from..]));
                }
            }
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn matches_path(pattern: &[u8], path: &[u8]) -> bool {
    let patterns = pattern.split(|&byte| byte == b'/');
    let parts = path.split(|&byte| byte == b'/');
    patterns.clone().count() == parts.clone().count()
        && patterns
            .zip(parts)
            .all(|(pattern, part)| matches_part(pattern, part))
}

/// Matches one part of a path, going back to the last `*` where a later character does not fit.
fn matches_part(pattern: &[u8], text: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, text);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', after @ ..] = rest {
            retry = Some((after, left));
            rest = after;
            continue;
        }
        if rest.is_empty() && left.is_empty() {
            return true;
        }
        if let [byte, after @ ..] = left
            && let Some(next) = one(rest, *byte)
        {
            (rest, left) = (next, after);
            continue;
        }
        let Some((after, [_, skipped @ ..])) = retry else {
            return false;
        };
        retry = Some((after, skipped));
        (rest, left) = (after, skipped);
    }
}

/// Matches one character against the beginning of the pattern and hands back what follows there.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'\\', escaped, rest @ ..] => (*escaped == byte).then_some(rest),
        [b'[', set @ ..] => match bracket(set, byte) {
            Some((found, rest)) => found.then_some(rest),
            // Without its end, a bracket stands for itself.
            None => (byte == b'[').then_some(set),
        },
        [literal, rest @ ..] => (*literal == byte).then_some(rest),
        [] => None,
    }
}

/// Looks for the character in the set that begins here, and returns what follows the set; none if the set has no end.
fn bracket(set: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match set {
        [b'!' | b'^', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let (mut found, mut first) = (false, true);
    loop {
        if let [b']', after @ ..] = rest
            && !first
        {
            return Some((found != negated, after));
        }
        first = false;
        if let Some((class, after)) = class(rest) {
            found |= in_class(class, byte);
            rest = after;
            continue;
        }
        let (low, after) = set_character(rest)?;
        let (high, after) = match after {
            [b'-', end @ ..] if !end.starts_with(b"]") => set_character(end)?,
            _ => (low, after),
        };
        found |= (low..=high).contains(&byte);
        rest = after;
    }
}

fn set_character(set: &[u8]) -> Option<(u8, &[u8])> {
    match set {
        [b'\\', escaped, rest @ ..] => Some((*escaped, rest)),
        [byte, rest @ ..] => Some((*byte, rest)),
        [] => None,
    }
}

/// Finds the name of the class that begins here, and what follows; anything but small letters makes it no class.
fn class(set: &[u8]) -> Option<(&[u8], &[u8])> {
    let class = set.strip_prefix(b"[:")?;
    let end = class.iter().position(|byte| !byte.is_ascii_lowercase())?;
    Some((&class[..end], class[end..].strip_prefix(b":]")?))
}

fn in_class(class: &[u8], byte: u8) -> bool {
    match class {
        b"alpha" => byte.is_ascii_alphabetic(),
        b"digit" => byte.is_ascii_digit(),
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"lower" => byte.is_ascii_lowercase(),
        b"upper" => byte.is_ascii_uppercase(),
        b"punct" => byte.is_ascii_punctuation(),
        b"graph" => byte.is_ascii_graphic(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_glob_does() {
        let cases = [
            ("kernel/panic", true),
            ("kernel/*", true),
            ("*/*", true),
            ("*", false),
            ("kernel*", false),
            ("kernel/p*", true),
            ("kernel/*c", true),
            ("kernel/*a*i*", true),
            ("kernel/*a*x*", false),
            ("kernel/pan?c", true),
            ("kernel/pan??", true),
            ("kernel/pan???", false),
            ("kernel/[op]anic", true),
            ("kernel/[!op]anic", false),
            ("kernel/[^o]anic", true),
            ("kernel/[a-q]anic", true),
            ("kernel/[]p]anic", true),
            ("kernel/[[:lower:]]anic", true),
            ("kernel/[[:digit:]]anic", false),
            ("kernel/[panic", false),
            ("kernel/\\panic*", true),
            ("kernel/\\*", false),
            ("?ernel/panic", true),
            ("kernel/panic/*", false),
            ("kernel/**", true),
            ("kernel/", false),
            ("kernel/{panic,x}*", true),
            ("{vm,kernel}/p?nic", true),
            ("kernel/{p{a,e}n,x}i*", true),
            ("kernel/{x,y}*", false),
            ("kernel/{panic*", false),
            ("kernel/[anic", false),
            ("kernel/[[:p]anic", true),
            ("kernel/[p-]anic", true),
        ];
        for (pattern, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), b"kernel/panic"),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn a_class_has_its_characters() {
        for (class, inside, outside) in [
            ("alpha", "aZ", "0_ "),
            ("digit", "09", "a_ "),
            ("alnum", "aZ9", "_ "),
            ("lower", "az", "A0_ "),
            ("upper", "AZ", "a0_ "),
            ("punct", "_!", "a0 "),
            ("graph", "a0_", " \t"),
            ("print", "a0_ ", "\t"),
            ("xdigit", "09afAF", "g_ "),
            ("nothing", "", "a0_ "),
        ] {
            let pattern = format!("[[:{class}:]]");
            let is_in = |byte: u8| matches(pattern.as_bytes(), &[byte]);
            assert!(inside.bytes().all(is_in), "{class}");
            assert!(!outside.bytes().any(is_in), "{class}");
        }
    }

    #[test]
    fn an_alternative_takes_as_much_as_it_is_long() {
        let kernel = format!("[{}]", "k".repeat(ALTERNATIVES / 40));
        let panic = format!("[{}]anic", "p".repeat(ALTERNATIVES / 40));
        for pattern in [
            format!("{{{kernel},x}}ernel/{panic}"),
            format!("{kernel}ernel/{{{panic},x}}"),
        ] {
            assert!(matches(pattern.as_bytes(), b"kernel/panic"), "{pattern}");
        }
    }

    #[test]
    fn ends_whatever_the_pattern() {
        // Each of these would take hours if every alternative were tried, or every beginning.
        let pairs = "{,}".repeat(300_000);
        let commas = ",".repeat(300_000);
        let open = "[:".repeat(30_000);
        let cases = [
            ("many pairs of braces", format!("kernel/*{pairs}x")),
            ("one pair of many", format!("kernel/*{{{commas}}}x{commas}")),
            ("braces in braces", "{".repeat(300_000)),
            ("a class without an end", format!("kernel/*[{open}]x")),
            ("a set without an end", format!("kernel/*[{open}")),
        ];
        for (case, pattern) in cases {
            assert!(!matches(pattern.as_bytes(), b"kernel/panic"), "{case}");
        }
    }
}
