//! Makes the environment that systemd gives a service.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::UnitError;
use crate::files::file;
use crate::files::glob;

/// Bytes read of one file at the most.
const FILE_LIMIT: u64 = 1 << 20;

/// An environment: names and values.
pub type Environment = BTreeMap<OsString, OsString>;

/// What makes the environment of a service, as systemd has it from the unit's files.
#[derive(Debug, Default)]
pub struct EnvironmentSettings {
    /// The manager's own variables, `NAME=VALUE` each.
    pub manager: Vec<String>,
    /// What systemd makes up for this unit.
    pub made: Environment,
    /// `PassEnvironment=`: names of variables of PID 1's own.
    pub pass: Vec<String>,
    /// `Environment=`, `NAME=VALUE` each.
    pub set: Vec<String>,
    /// `EnvironmentFile=`: a path or pattern each, and whether it may be missing.
    pub files: Vec<(String, bool)>,
    /// `UnsetEnvironment=`: names, or `NAME=VALUE` for that value only.
    pub unset: Vec<String>,
    /// Whether a backslash at the end of a comment continues the comment, as before systemd 254.
    pub comments_continue: bool,
}

/// What systemd sets for a unit with `User=`. Source: `build_environment()` in systemd's `src/core/execute.c`.
pub(super) fn of_user(root: &Path, user: &str) -> Environment {
    let mut environment = Environment::new();
    let mut content = Vec::new();
    if user.is_empty() || file::read(&root.join("etc/passwd"), FILE_LIMIT, &mut content).is_err() {
        return environment;
    }
    for line in content.split(|&byte| byte == b'\n') {
        let fields: Vec<_> = line.split(|&byte| byte == b':').collect();
        let [name, _, id, _, _, home, shell] = fields[..] else {
            continue;
        };
        if name == user.as_bytes() || id == user.as_bytes() {
            let mut set = |variable: &str, value: &[u8]| {
                environment.insert(variable.into(), OsStr::from_bytes(value).into());
            };
            set("HOME", home);
            set("LOGNAME", name);
            set("USER", name);
            set("SHELL", shell);
            break;
        }
    }
    environment
}

/// The variable of `RuntimeDirectory=` and the like; none without such folders. What stands behind a colon is a link's
/// name.
pub(super) fn of_folders(
    variable: &str,
    base: &str,
    folders: &[String],
) -> Option<(OsString, OsString)> {
    let folders: Vec<_> = folders
        .iter()
        .map(|folder| format!("{base}/{}", folder.split(':').next().unwrap_or_default()))
        .collect();
    (!folders.is_empty()).then(|| (variable.into(), folders.join(":").into()))
}

impl EnvironmentSettings {
    /// The environment of a process that is started now.
    ///
    /// Source: `exec_child()` in systemd's `src/core/execute.c`. Leaves out what systemd makes up for each process, such as
    /// `INVOCATION_ID`.
    ///
    /// # Errors
    ///
    /// When a file that has to be there cannot be read.
    pub fn environment(&self, root: &Path) -> Result<Environment, UnitError> {
        let mut environment = Environment::new();
        environment.extend(self.manager.iter().filter_map(|text| pair(text.as_bytes())));
        environment.extend(self.made.clone());
        if !self.pass.is_empty() {
            environment.extend(passed(root, &self.pass));
        }
        environment.extend(self.set.iter().filter_map(|text| pair(text.as_bytes())));
        for (pattern, may_be_missing) in &self.files {
            match read_all(
                root,
                Path::new(pattern),
                *may_be_missing,
                self.comments_continue,
            ) {
                Ok(assignments) => environment.extend(assignments),
                Err((path, error)) => return Err(UnitError::EnvironmentFile { path, error }),
            }
        }
        environment.retain(|name, _| is_name(name.as_bytes()));
        for unset in &self.unset {
            match pair(unset.as_bytes()) {
                None => drop(environment.remove(OsStr::new(unset))),
                Some((name, value)) => {
                    if environment.get(&name) == Some(&value) {
                        environment.remove(&name);
                    }
                }
            }
        }
        Ok(environment)
    }
}

/// The variables of PID 1's own environment with these names.
fn passed(root: &Path, names: &[String]) -> Vec<(OsString, OsString)> {
    let mut content = Vec::new();
    // Without /proc nothing is passed on that we could know of.
    let _ = file::read(&root.join("proc/1/environ"), FILE_LIMIT, &mut content);
    content
        .split(|&byte| byte == 0)
        .filter_map(pair)
        .filter(|(name, _)| names.iter().any(|wanted| name == wanted.as_str()))
        .collect()
}

/// The assignments of all the files that a pattern names, in the order of their names.
fn read_all(
    root: &Path,
    pattern: &Path,
    may_be_missing: bool,
    comments_continue: bool,
) -> Result<Vec<(OsString, OsString)>, (PathBuf, io::Error)> {
    let mut all = Vec::new();
    let mut content = Vec::new();
    let paths = named(root, pattern);
    if paths.is_empty() && !may_be_missing {
        return Err((pattern.to_owned(), io::ErrorKind::NotFound.into()));
    }
    for path in paths {
        let read = file::read(&under(root, &path), FILE_LIMIT, &mut content)
            .and_then(|()| parse(&content, comments_continue));
        match read {
            Ok(assignments) => all.extend(assignments),
            // What is too large for us is not so for systemd.
            Err(error) if may_be_missing && error.kind() != io::ErrorKind::FileTooLarge => {}
            Err(error) => return Err((path, error)),
        }
    }
    Ok(all)
}

fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The paths that a pattern names, sorted, as glob(3) finds them; a path without a pattern is itself.
fn named(root: &Path, pattern: &Path) -> Vec<PathBuf> {
    let is_pattern =
        |part: &OsStr| glob::is_pattern(part.as_bytes()) || part.as_bytes().contains(&b'\\');
    if !pattern.iter().any(is_pattern) {
        return vec![pattern.to_owned()];
    }
    let mut paths = vec![PathBuf::from("/")];
    for part in pattern.iter().skip(1) {
        paths = if is_pattern(part) {
            paths
                .iter()
                .flat_map(|folder| matching(root, folder, part.as_bytes()))
                .collect()
        } else {
            paths.into_iter().map(|folder| folder.join(part)).collect()
        };
    }
    paths.retain(|path| under(root, path).symlink_metadata().is_ok());
    paths.sort();
    paths
}

/// The entries of a folder that match one part of a pattern; none where it cannot be read.
fn matching(root: &Path, folder: &Path, part: &[u8]) -> Vec<PathBuf> {
    let entries = fs::read_dir(under(root, folder))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .map(|entry| entry.file_name())
        .filter(|name| {
            // A leading dot has to be written.
            let is_hidden = name.as_bytes().starts_with(b".");
            (!is_hidden || part.starts_with(b".")) && glob::matches_part(part, name.as_bytes())
        })
        .map(|name| folder.join(name))
        .collect()
}

/// Reads the assignments of a file for `EnvironmentFile=`, valid or not.
///
/// Source: `parse_env_file_internal()` in systemd's `src/basic/env-file.c`. A backslash at the end of a comment continued
/// it before systemd 254.
///
/// # Errors
///
/// When it holds a NUL or what is not UTF-8: systemd refuses the whole file then.
pub fn parse(content: &[u8], comments_continue: bool) -> io::Result<Vec<(OsString, OsString)>> {
    if content.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds a NUL"));
    }
    let mut reader = Reader { rest: content };
    let mut assignments = Vec::new();
    while let Some(assignment) = reader.assignment(comments_continue) {
        assignments.push(assignment);
    }
    for (name, value) in &assignments {
        if name.to_str().is_none() || value.to_str().is_none() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is not UTF-8",
            ));
        }
    }
    Ok(assignments)
}

/// What is left of a file for `EnvironmentFile=`.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    /// The next assignment; none at the end.
    fn assignment(&mut self, comments_continue: bool) -> Option<(OsString, OsString)> {
        loop {
            match self.next()? {
                b'#' | b';' => self.comment(comments_continue)?,
                byte if is_white(byte) => {}
                first => {
                    if let Some(name) = self.name(first) {
                        return Some((OsString::from_vec(name), OsString::from_vec(self.value())));
                    }
                }
            }
        }
    }

    /// Passes over a comment; none at the end of the file.
    fn comment(&mut self, comments_continue: bool) -> Option<()> {
        loop {
            match self.next()? {
                b'\\' if comments_continue => drop(self.next()?),
                byte if is_newline(byte) => return Some(()),
                _ => {}
            }
        }
    }

    /// The name up to the `=`; none where the line has none.
    fn name(&mut self, first: u8) -> Option<Vec<u8>> {
        let mut name = vec![first];
        loop {
            match self.next()? {
                b'=' => {
                    let end = name.iter().rposition(|byte| !is_white(*byte));
                    name.truncate(end.map_or(0, |end| end + 1));
                    return Some(name);
                }
                byte if is_newline(byte) => return None,
                byte => name.push(byte),
            }
        }
    }

    /// The value up to the end of its line, or of the file.
    fn value(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        // White space at the end goes, where it stands in no quotes and behind no backslash.
        let mut kept = 0;
        // Quotes count at the beginning and behind a quoted part, not behind a plain one.
        let mut plain = false;
        while let Some(byte) = self.next() {
            match byte {
                _ if is_newline(byte) => break,
                b'"' if !plain => self.double_quoted(&mut value),
                b'\'' if !plain => self.single_quoted(&mut value),
                _ if is_white(byte) => {
                    if plain {
                        value.push(byte);
                    }
                    continue;
                }
                b'\\' => {
                    plain = true;
                    value.extend(self.next().filter(|byte| !is_newline(*byte)));
                }
                _ => {
                    plain = true;
                    value.push(byte);
                }
            }
            kept = value.len();
        }
        value.truncate(kept);
        value
    }

    fn single_quoted(&mut self, value: &mut Vec<u8>) {
        while let Some(byte) = self.next().filter(|byte| *byte != b'\'') {
            value.push(byte);
        }
    }

    fn double_quoted(&mut self, value: &mut Vec<u8>) {
        while let Some(byte) = self.next().filter(|byte| *byte != b'"') {
            if byte != b'\\' {
                value.push(byte);
                continue;
            }
            match self.next() {
                Some(byte @ (b'"' | b'\\' | b'`' | b'$')) => value.push(byte),
                Some(b'\n') | None => {}
                Some(byte) => value.extend([b'\\', byte]),
            }
        }
    }
}

fn is_newline(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Splits `NAME=VALUE`.
fn pair(assignment: &[u8]) -> Option<(OsString, OsString)> {
    let at = memchr::memchr(b'=', assignment)?;
    let part = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    Some((part(&assignment[..at]), part(&assignment[at + 1..])))
}

/// Whether systemd takes this for the name of a variable.
fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(|byte| !byte.is_ascii_digit())
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_files_as_systemd_does() {
        let cases: [(&str, &[(&str, &str)]); 35] = [
            ("A=b", &[("A", "b")]),
            ("A=b c\n", &[("A", "b c")]),
            ("A=\"b c\"\n", &[("A", "b c")]),
            ("A='b \"c\"'\n", &[("A", "b \"c\"")]),
            ("A='b \\' c", &[("A", "b \\c")]),
            ("A=b\\\nc", &[("A", "bc")]),
            ("A=b\\ c\\", &[("A", "b c")]),
            (" A\t= b \t\n", &[("A", "b")]),
            ("A=b\\  \n", &[("A", "b ")]),
            ("A=b \\\n \n", &[("A", "b ")]),
            ("A=", &[("A", "")]),
            ("A=\nB=c", &[("A", ""), ("B", "c")]),
            ("A=x\nA=y", &[("A", "x"), ("A", "y")]),
            ("A=b\r\nB=c\r\n", &[("A", "b"), ("B", "c")]),
            ("A=\"b\\\n c\nd\"\nB=e", &[("A", "b c\nd"), ("B", "e")]),
            (r#"A="\"\\\`\$\x""#, &[("A", r#""\`$\x"#)]),
            (r#"A=\"b\""#, &[("A", r#""b""#)]),
            ("A=b\"c\" 'd'", &[("A", "b\"c\" 'd'")]),
            ("A=\"b\" 'c'd \"e\"", &[("A", "bcd \"e\"")]),
            ("A=\"b\nB=c", &[("A", "b\nB=c")]),
            ("A='b\nB=c\n", &[("A", "b\nB=c\n")]),
            ("A=\"b\\", &[("A", "b")]),
            ("A=b#c # d", &[("A", "b#c # d")]),
            ("A=b=c", &[("A", "b=c")]),
            ("=b", &[]),
            ("=b=c", &[("=b", "c")]),
            ("#A=b", &[]),
            (" ;A=b\nB=c", &[("B", "c")]),
            ("A", &[]),
            ("A\nB=c", &[("B", "c")]),
            ("export A=b", &[("export A", "b")]),
            ("A B =c", &[("A B", "c")]),
            ("\u{feff}A=b", &[("\u{feff}A", "b")]),
            ("", &[]),
            ("\n\r \t", &[]),
        ];
        for (content, expected) in cases {
            for continues in [true, false] {
                let read = parse(content.as_bytes(), continues).unwrap();
                let read: Vec<_> = (read.iter())
                    .map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap()))
                    .collect();
                assert_eq!(read, expected, "{content:?}");
            }
        }
        let comment = b"# x \\\nA=b\nB=c";
        assert_eq!(parse(comment, true).unwrap().len(), 1);
        assert_eq!(parse(comment, false).unwrap().len(), 2);
        for content in [&b"A=\xff"[..], b"\xff=b", b"A=b\0"] {
            assert_eq!(
                parse(content, false).unwrap_err().kind(),
                io::ErrorKind::InvalidData
            );
        }
    }

    /// A root with these files.
    fn root(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root =
            std::env::temp_dir().join(format!("kt-environment-{}-{name}", std::process::id()));
        for (path, content) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn lets_each_source_override_those_before() {
        let root = root(
            "order",
            &[
                ("f", "D=file\nE=file\nF=file\n1=x\na b=x\n"),
                ("proc/1/environ", "B=1\0C=1\0D=1\0X=1\0"),
            ],
        );
        let sources = EnvironmentSettings {
            made: Environment::from([("HOME".into(), "/root".into())]),
            manager: texts(&["A=manager", "B=manager", "G=manager"]),
            pass: texts(&["B", "C", "NOSUCH"]),
            set: texts(&["C=unit", "D=unit", "H=a=b"]),
            files: vec![("/nowhere".into(), true), ("/f".into(), false)],
            unset: texts(&["E", "F=other", "G=manager", "NOSUCH"]),
            comments_continue: false,
        };
        let environment: Vec<_> = (sources.environment(&root).unwrap().into_iter())
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(
            environment,
            [
                "A=manager",
                "B=1",
                "C=unit",
                "D=file",
                "F=file",
                "H=a=b",
                "HOME=/root"
            ]
        );
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn names_the_file_that_cannot_be_read() {
        let long = "A=b\n".repeat((1 << 18) + 1);
        let root = root(
            "missing",
            &[("long", &long), ("nul", "\0"), ("d/x.env", "A=b")],
        );
        for (pattern, may_be_missing, fails) in [
            ("/nowhere", false, true),
            ("/nowhere", true, false),
            ("/nowhere/*", false, true),
            ("/nowhere/*", true, false),
            ("/nul", false, true),
            ("/nul", true, false),
            ("/d", false, true),
            ("/d", true, false),
            // systemd reads it, so it is never passed over.
            ("/long", true, true),
            ("/d/*.env", false, false),
        ] {
            let sources = EnvironmentSettings {
                files: vec![(pattern.into(), may_be_missing)],
                ..EnvironmentSettings::default()
            };
            match sources.environment(&root) {
                Ok(_) => assert!(!fails, "{pattern}"),
                Err(UnitError::EnvironmentFile { path, .. }) => {
                    assert!(fails && path == Path::new(pattern), "{pattern}");
                }
                Err(other) => panic!("{pattern}: {other:?}"),
            }
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn finds_files_as_glob_does() {
        let root = root(
            "glob",
            &[
                "e/b.env", "e/a.env", "e/.h.env", "e/c.conf", "f/a.env", "e/{x,y}", "e/*",
            ]
            .map(|path| (path, "")),
        );
        for (pattern, expected) in [
            ("/e/*.env", &["/e/a.env", "/e/b.env"][..]),
            ("/?/[ab].env", &["/e/a.env", "/e/b.env", "/f/a.env"]),
            ("/*/a.env", &["/e/a.env", "/f/a.env"]),
            ("/e/.*.env", &["/e/.h.env"]),
            ("/e*/{x,y}", &["/e/{x,y}"]),
            ("/e/\\*", &["/e/*"]),
            ("/e/a.env/*", &[]),
            ("/nowhere", &["/nowhere"]),
            ("/n*", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(named(&root, Path::new(pattern)), expected, "{pattern}");
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn makes_up_what_systemd_does_for_users_and_folders() {
        let root = std::env::temp_dir().join(format!("kubelet-tunables-m-{}", std::process::id()));
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/bash\nbroken\nk:x:7:7::/srv/k:/bin/sh\n",
        )
        .unwrap();
        let home = |user| of_user(&root, user).get(OsStr::new("HOME")).cloned();
        assert_eq!(home("root"), Some("/root".into()));
        assert_eq!(home("7"), Some("/srv/k".into()));
        assert_eq!(home("nobody"), None);
        assert_eq!(home(""), None);
        fs::remove_dir_all(root).unwrap();
        let folders = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            of_folders("X", "/run", &names).map(|(_, value)| value)
        };
        assert_eq!(folders(&[]), None);
        assert_eq!(folders(&["k", "a/b:link"]), Some("/run/k:/run/a/b".into()));
    }
}
