//! Files of sysctl.d against a plain model: every line is kept, and who wins is found out at the end.
//!
//! The input is files in the order in which they are read, with a line `%%` between two.
#![no_main]

use std::path::Path;

use kubelet_tunables::boot::When;
use kubelet_tunables::boot::sysctl_d::SysctlD;
use kubelet_tunables::files::glob;
use kubelet_tunables::tunable::TUNABLES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let input = latin(input);
    let mut read = SysctlD::default();
    let mut lines = Vec::new();
    for (at, content) in input.split("\n%%\n").enumerate() {
        let path = format!("/etc/sysctl.d/{at:04}.conf");
        read.add_file(Path::new(&path[1..]), &bytes(content));
        lines.extend(lines_of(content, &path));
    }
    for tunable in &TUNABLES {
        let found = read.assignment(tunable, When::Now);
        let expected = winner(&lines, &tunable.name.replace('.', "/"));
        assert_eq!(
            found.map(|it| (it.path.to_str(), it.line, it.text.clone(), it.explicit)),
            expected.map(|it| (
                Some(it.path.as_str()),
                it.number,
                bytes(it.value.as_deref().unwrap_or("a winner has a value")),
                !is_pattern(&it.name)
            )),
            "{}",
            tunable.name
        );
    }
});

/// A character a byte, so that bytes can be treated as text.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn bytes(latin: &str) -> Vec<u8> {
    latin.chars().map(|character| character as u8).collect()
}

struct Line {
    path: String,
    number: usize,
    /// With slashes.
    name: String,
    /// None for a name to be left alone.
    value: Option<String>,
}

/// What `parse_file` in systemd's `src/sysctl/sysctl.c` makes of a file.
fn lines_of(content: &str, path: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, line) in content.split('\n').enumerate() {
        for part in line.split(['\r', '\0']) {
            let part = part.trim_matches(WHITE_SPACE);
            if part.is_empty() || part.starts_with('#') || part.starts_with(';') {
                continue;
            }
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value.trim_matches(WHITE_SPACE).to_string())),
                None if part.starts_with('-') => (part, None),
                None => continue,
            };
            let name = name.strip_prefix('-').unwrap_or(name);
            lines.push(Line {
                path: path.to_string(),
                number: at + 1,
                name: normal(name.trim_matches(WHITE_SPACE)),
                value,
            });
        }
    }
    lines
}

const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// `sysctl_normalize`, with `path_simplify`.
fn normal(name: &str) -> String {
    let mut path = match name.find(['.', '/']) {
        Some(at) if name[at..].starts_with('.') => name
            .replace('.', "\u{1000}")
            .replace('/', ".")
            .replace('\u{1000}', "/"),
        _ => name.to_string(),
    };
    path = format!("/{path}/");
    while path.contains("//") || path.contains("/./") {
        path = path.replace("//", "/").replace("/./", "/");
    }
    path.trim_matches('/').to_string()
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// The line whose value is written last.
fn winner<'a>(lines: &'a [Line], name: &str) -> Option<&'a Line> {
    if let Some(explicit) = lines.iter().rfind(|line| line.name == name) {
        return Some(explicit).filter(|line| line.value.is_some());
    }
    lines
        .iter()
        .enumerate()
        .filter(|(at, line)| {
            let is_last = !lines[at + 1..].iter().any(|later| later.name == line.name);
            is_last
                && line.value.is_some()
                && is_pattern(&line.name)
                && glob::matches(&bytes(&line.name), name.as_bytes())
        })
        .max_by_key(|(at, line)| place(&lines[..=*at], line))
        .map(|(_, line)| line)
}

/// Where in the order a pattern is applied: a line that says the same again stays in the place of the first.
fn place(lines: &[Line], last: &Line) -> usize {
    lines
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, line)| line.name == last.name)
        .take_while(|(_, line)| line.value == last.value)
        .last()
        .map_or(0, |(at, _)| at)
}
