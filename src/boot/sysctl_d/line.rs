//! Reads one line of sysctl.d(5) as systemd-sysctl does: which of the six it names, and what it sets them to.

use std::array;
use std::path::Path;
use std::rc::Rc;

use memchr::memchr;

use crate::boot::When;
use crate::files::glob;
use crate::tunable::{TUNABLES, slashed};

/// A line of a file that sets a tunable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The file, below the root.
    pub path: Rc<Path>,
    /// The line, counted from 1.
    pub line: usize,
    /// The value as it stands there, without white space around it.
    pub text: Vec<u8>,
    /// True if the line names the tunable itself and not a pattern.
    pub explicit: bool,
    /// A line before it in the same file that sets the same tunable and is overridden, counted from 1.
    pub overridden: Option<usize>,
}

/// A line `name = value` that names one of the six, or `-name` alone, which keeps patterns away from the name.
#[derive(Debug)]
pub struct Line {
    /// Its assignment. The text of `-name` is empty.
    pub assignment: Assignment,
    /// The line without white space around it.
    pub text: Vec<u8>,
    /// True for `-name` alone.
    pub(super) exclusion: bool,
    /// The pattern with slashes; none if the line names a row itself.
    pub(super) pattern: Option<Vec<u8>>,
    /// The rows of the table that it names.
    pub(super) rows: [bool; TUNABLES.len()],
    /// The boots that read it; none if another file hides its own.
    pub(super) read_at: &'static [When],
}

impl Line {
    /// True if it has the same name or pattern.
    pub(super) fn has_name_of(&self, other: &Self) -> bool {
        self.rows == other.rows && self.pattern == other.pattern
    }

    /// True if it sets the same, or is `-name` alone too.
    pub(super) fn has_value_of(&self, other: &Self) -> bool {
        self.exclusion == other.exclusion && self.assignment.text == other.assignment.text
    }
}

/// Finds the rows of the table that a name or pattern names, and returns the pattern with slashes.
pub(super) fn rows_of(name: &[u8]) -> ([bool; TUNABLES.len()], Option<Vec<u8>>) {
    // Most files spell names like this, which is the cheapest way to find them.
    let mut rows = TUNABLES.iter();
    if let Some(row) = rows.position(|tunable| tunable.name.as_bytes() == name) {
        return (array::from_fn(|at| at == row), None);
    }
    let key = normalise(name);
    let is_pattern = glob::is_pattern(&key);
    let rows = TUNABLES.each_ref().map(|tunable| {
        let path = slashed(tunable.name);
        if is_pattern {
            glob::matches(&key, &path.collect::<Vec<_>>())
        } else {
            path.eq(key.iter().copied())
        }
    });
    (rows, is_pattern.then_some(key))
}

/// Splits a line into name and value, if it might concern one of the six. `-name` alone has no value.
///
/// Source: `parse_file` in systemd's `src/sysctl/sysctl.c`.
pub(super) fn parse(line: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if matches!(line.first(), None | Some(b'#' | b';')) {
        return None;
    }
    let (name, value) = match memchr(b'=', line) {
        Some(at) => (&line[..at], Some(strip(&line[at + 1..]))),
        None if line[0] == b'-' => (line, None),
        None => return None,
    };
    let name = strip(name.strip_prefix(b"-").unwrap_or(name));
    might_concern(name).then_some((name, value))
}

/// Tells most names of other tunables apart by their first and last letters, which is cheap.
fn might_concern(name: &[u8]) -> bool {
    let is_letter = |byte: &&u8| !matches!(byte, b'.' | b'/');
    let mut letters = name.iter().filter(is_letter);
    let Some(first) = letters.next() else {
        return false;
    };
    if matches!(first, b'*' | b'?' | b'[' | b'{' | b'\\') {
        return true;
    }
    let last = letters.next_back().unwrap_or(first);
    let is_pattern = glob::is_pattern(name);
    let mut rows = TUNABLES.iter().map(|tunable| tunable.name.as_bytes());
    rows.any(|row| row.first() == Some(first) && (is_pattern || row.last() == Some(last)))
}

/// Writes the name with slashes: the first separator decides whether dots or slashes separate, and the other is then part
/// of a name. Empty parts and those of a single dot are dropped.
///
/// Source: `sysctl_normalize` in systemd's `src/shared/sysctl-util.c`, with `path_simplify`.
fn normalise(name: &[u8]) -> Vec<u8> {
    let dotted = name.iter().find(|byte| matches!(byte, b'.' | b'/')) == Some(&b'.');
    let separator = if dotted { b'.' } else { b'/' };
    let mut key = Vec::with_capacity(name.len());
    for part in name.split(|&byte| byte == separator) {
        // With dots that separate, a slash is the dot.
        if matches!(part, [] | [b'.' | b'/']) {
            continue;
        }
        if !key.is_empty() {
            key.push(b'/');
        }
        let slash_is_dot = |&byte: &u8| if byte == b'/' { b'.' } else { byte };
        key.extend(part.iter().map(slash_is_dot));
    }
    key
}

/// Removes systemd's white space around the text.
pub(super) fn strip(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..]
    | [rest @ .., b' ' | b'\t' | b'\n' | b'\r'] = text
    {
        text = rest;
    }
    text
}
