//! Makes the environment that systemd gives a service.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{io, iter, slice};

use super::{FILE_LIMIT, Result, UnitError};
use crate::files::file;
use crate::files::glob;

/// The variables that a service gets, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// A value, none where the variable is taken away, or the setting of the unit that only systemd follows.
    variables: BTreeMap<OsString, Result<Option<OsString>, String>>,
    /// The setting that may set any variable not named above.
    any: Option<String>,
}

impl Environment {
    /// Returns this process's own environment.
    pub fn own() -> Self {
        let mut own = Self::default();
        own.extend(env::vars_os());
        own
    }

    /// Finds the value of a variable; none where it is not set.
    ///
    /// # Errors
    ///
    /// The setting that may set the variable, where only systemd knows the value.
    pub fn get(&self, name: &OsStr) -> Result<Option<&OsStr>, &str> {
        match (self.variables.get(name), &self.any) {
            // systemd drops such variables.
            _ if !is_name(name.as_bytes()) => Ok(None),
            (Some(Ok(value)), _) => Ok(value.as_deref()),
            (Some(Err(setting)), _) | (None, Some(setting)) => Err(setting),
            (None, None) => Ok(None),
        }
    }

    /// Sets variables; each text is `NAME=VALUE`.
    pub(super) fn set(&mut self, assignments: &[String]) {
        self.extend(assignments.iter().filter_map(|text| text.split_once('=')));
    }

    fn extend<T: Into<OsString>>(&mut self, variables: impl IntoIterator<Item = (T, T)>) {
        for (name, value) in variables {
            self.variables.insert(name.into(), Ok(Some(value.into())));
        }
    }

    /// Marks variables whose values only systemd knows, because of this setting.
    pub(super) fn hide(&mut self, names: &[&str], setting: &str) {
        for name in names {
            self.variables.insert(name.into(), Err(setting.to_owned()));
        }
    }

    /// Adds the variables that `UnsetEnvironment=` names from another environment, unless this one has them.
    pub(super) fn add_unset(&mut self, other: &Self, settings: &[String]) {
        for setting in settings {
            let name = OsStr::new(setting.split('=').next().unwrap_or_default());
            let value = other.get(name).map(|value| value.map(OsStr::to_owned));
            let variable = self.variables.entry(name.to_owned());
            variable.or_insert(value.map_err(str::to_owned));
        }
    }

    /// Adds a file of `EnvironmentFile=`. A pattern, or a file too large for us, may set any variable.
    ///
    /// Source: `exec_context_load_environment()` in systemd's `src/core/execute.c`.
    pub(super) fn add_file(
        &mut self,
        root: &Path,
        path: &str,
        may_be_missing: bool,
        comments_continue: bool,
    ) -> Result<()> {
        match read_file(root, path, comments_continue) {
            Ok(assignments) => self.extend(assignments),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                self.variables.clear();
                self.any = Some(format!("EnvironmentFile={path}"));
            }
            Err(_) if may_be_missing => {}
            Err(error) => {
                let path = path.into();
                return Err(UnitError::EnvironmentFile { path, error });
            }
        }
        Ok(())
    }

    /// Takes away the variables of `UnsetEnvironment=`: a name, or `NAME=VALUE` for that value only.
    pub(super) fn unset(&mut self, settings: &[String]) {
        for setting in settings {
            let (name, is_unset) = match setting.split_once('=') {
                Some((name, value)) => (name, self.get(name.as_ref()) == Ok(Some(value.as_ref()))),
                None => (&setting[..], true),
            };
            if is_unset {
                self.variables.insert(name.into(), Ok(None));
            }
        }
    }
}

/// Finds a path of the machine below `root`.
pub(super) fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Reads a file of `EnvironmentFile=`; of a pattern systemd reads all files that match.
fn read_file(root: &Path, path: &str, continues: bool) -> io::Result<Vec<(String, String)>> {
    if glob::is_pattern(path.as_bytes()) || path.contains('\\') {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut content = Vec::new();
    file::read(&under(root, Path::new(path)), FILE_LIMIT, &mut content)?;
    parse(&content, continues)
}

/// Reads the assignments of a file for `EnvironmentFile=`, valid or not.
///
/// Source: `parse_env_file_internal()` in systemd's `src/basic/env-file.c`. A backslash at the end of a comment continued
/// it before systemd 254.
///
/// # Errors
///
/// When it holds a NUL or what is not UTF-8: systemd refuses the whole file then.
pub fn parse(content: &[u8], comments_continue: bool) -> io::Result<Vec<(String, String)>> {
    let invalid = |reason| io::Error::new(io::ErrorKind::InvalidData, reason);
    if content.contains(&0) {
        return Err(invalid("it holds a NUL"));
    }
    let text = |bytes| String::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8"));
    let mut reader = Reader(content.iter().copied());
    iter::from_fn(|| reader.assignment(comments_continue))
        .map(|(name, value)| Ok((text(name)?, text(value)?)))
        .collect()
}

/// The rest of a file for `EnvironmentFile=`.
struct Reader<'a>(iter::Copied<slice::Iter<'a, u8>>);

impl Reader<'_> {
    fn next_in_line(&mut self) -> Option<u8> {
        self.0.next().filter(|byte| !is_newline(*byte))
    }

    /// Reads the next assignment; none at the end.
    fn assignment(&mut self, comments_continue: bool) -> Option<(Vec<u8>, Vec<u8>)> {
        loop {
            match self.0.next()? {
                b'#' | b';' => self.skip_comment(comments_continue),
                byte if is_white(byte) => {}
                first => {
                    if let Some(name) = self.name(first) {
                        return Some((name, self.value()));
                    }
                }
            }
        }
    }

    fn skip_comment(&mut self, continues: bool) {
        while let Some(byte) = self.next_in_line() {
            if byte == b'\\' && continues {
                self.0.next();
            }
        }
    }

    /// Reads the name up to the `=`; none where the line has none.
    fn name(&mut self, first: u8) -> Option<Vec<u8>> {
        let mut name = vec![first];
        loop {
            match self.next_in_line()? {
                b'=' => break,
                byte => name.push(byte),
            }
        }
        while name.pop_if(|byte| is_white(*byte)).is_some() {}
        Some(name)
    }

    /// Reads the value up to the end of its line, or of the file.
    fn value(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        // White space at the end goes, where it stands in no quotes and behind no backslash.
        let mut kept = 0;
        // Quotes count at the beginning and behind a quoted part, not behind a plain one.
        let mut plain = false;
        while let Some(byte) = self.next_in_line() {
            match byte {
                b'"' if !plain => self.double_quoted(&mut value),
                b'\'' if !plain => value.extend(self.0.by_ref().take_while(|byte| *byte != b'\'')),
                _ if is_white(byte) => {
                    value.extend(plain.then_some(byte));
                    continue;
                }
                b'\\' => {
                    plain = true;
                    value.extend(self.next_in_line());
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

    fn double_quoted(&mut self, value: &mut Vec<u8>) {
        while let Some(byte) = self.0.next().filter(|byte| *byte != b'"') {
            match byte {
                b'\\' => match self.0.next() {
                    Some(byte @ (b'"' | b'\\' | b'`' | b'$')) => value.push(byte),
                    Some(b'\n') | None => {}
                    Some(byte) => value.extend([b'\\', byte]),
                },
                byte => value.push(byte),
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

/// True if systemd takes this for the name of a variable.
fn is_name(name: &[u8]) -> bool {
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    name.first().is_some_and(|byte| !byte.is_ascii_digit()) && name.iter().all(is_valid)
}

#[cfg(test)]
mod tests {
    use std::fs;

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
                    .map(|(name, value)| (&name[..], &value[..]))
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

    /// Makes a root with these files.
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

    /// Returns what is said of these files as `EnvironmentFile=` of a unit with `A=unit`, of A and of B.
    fn read(root: &Path, files: &[(&str, bool)]) -> Result<[String; 2], UnitError> {
        let mut environment = Environment::default();
        environment.set(&["A=unit".to_owned()]);
        for (path, may_be_missing) in files {
            environment.add_file(root, path, *may_be_missing, false)?;
        }
        Ok(
            ["A", "B"].map(|name| match environment.get(OsStr::new(name)) {
                Ok(value) => value.unwrap_or_default().to_str().unwrap().to_owned(),
                Err(setting) => setting.to_owned(),
            }),
        )
    }

    #[test]
    fn names_the_file_that_cannot_be_read() {
        let long = "A=b\n".repeat((1 << 18) + 1);
        let root = root(
            "files",
            &[("long", &long), ("nul", "\0"), ("d/a.env", "A=b")],
        );
        for path in ["/nowhere", "/nul", "/d"] {
            match read(&root, &[(path, false)]) {
                Err(UnitError::EnvironmentFile { path: named, .. }) => {
                    assert_eq!(named, Path::new(path));
                }
                other => panic!("{path}: {other:?}"),
            }
            assert_eq!(
                read(&root, &[(path, true)]).unwrap(),
                ["unit", ""],
                "{path}"
            );
        }
        // systemd reads more, and more files.
        for path in ["/long", "/d/*.env", "/nowhere/[a].env", "/d/\\a.env"] {
            for may_be_missing in [true, false] {
                let setting = format!("EnvironmentFile={path}");
                let file = (path, may_be_missing);
                assert_eq!(read(&root, &[file]).unwrap(), [&setting[..], &setting]);
                let later = [("/nowhere", true), file, ("/d/a.env", false)];
                assert_eq!(read(&root, &later).unwrap(), ["b", &setting[..]]);
            }
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn takes_variables_away() {
        let mut environment = Environment::default();
        environment.set(&["A=1", "B=2", "C=3", "D=4"].map(str::to_owned));
        environment.hide(&["E", "F"], "User=");
        environment.unset(&["A", "B=2", "C=2", "E", "F=2"].map(str::to_owned));
        let said = ["A", "B", "C", "D", "E", "F"].map(|name| {
            let value = environment.get(OsStr::new(name));
            value.map(|value| value.and_then(OsStr::to_str))
        });
        assert_eq!(
            said,
            [
                Ok(None),
                Ok(None),
                Ok(Some("3")),
                Ok(Some("4")),
                Ok(None),
                Err("User=")
            ]
        );
        let mut other = Environment::default();
        other.set(&["A=own".to_owned()]);
        other.add_unset(&environment, &["A", "C=3", "F", "G=x"].map(str::to_owned));
        let said = ["A", "C", "D", "F", "G"].map(|name| other.get(OsStr::new(name)));
        let [own, three] = ["own", "3"].map(OsStr::new);
        assert_eq!(
            said,
            [
                Ok(Some(own)),
                Ok(Some(three)),
                Ok(None),
                Err("User="),
                Ok(None)
            ]
        );
    }
}
