//! Defines the values that the parsers of kubelet's files return, their sources and their errors.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub(super) const PROTECT: &str = "protectKernelDefaults";
pub(super) const GATES: &str = "featureGates";
pub(super) const IN_USER_NAMESPACE: &str = "KubeletInUserNamespace";

/// The source of protectKernelDefaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetBy {
    /// No flag and no file sets it.
    Default,
    /// A flag, word for word.
    Flag(String),
    /// A line of a file, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
}

/// A reason and its place: kubelet fails, or its behavior is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reason {
    /// The file in which it stands; none for the command line.
    pub path: Option<PathBuf>,
    /// The line in that file, counted from 1.
    pub line: Option<usize>,
    /// The column in that line, counted from 1.
    pub column: Option<usize>,
    /// The reason, without the place.
    pub why: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}:", path.display())?;
            for number in [self.line, self.column].into_iter().flatten() {
                write!(f, "{number}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.why)
    }
}

impl From<String> for Reason {
    fn from(why: String) -> Self {
        Self {
            why,
            ..Self::default()
        }
    }
}

/// An error of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// Kubelet refuses the file.
    Refused(Reason),
    /// We cannot read what kubelet perhaps can.
    Unknown(Reason),
}

pub(super) fn refused(why: impl Into<String>) -> ConfigError {
    ConfigError::Refused(why.into().into())
}

pub(super) fn unknown(why: impl Into<String>) -> ConfigError {
    ConfigError::Unknown(why.into().into())
}

impl ConfigError {
    /// Names the line, unless one is named.
    pub(super) fn on_line(self, line: usize) -> Self {
        self.with(|reason| reason.line = reason.line.or(Some(line)))
    }

    pub(super) fn at(self, line: usize, column: usize) -> Self {
        self.on_line(line)
            .with(|reason| reason.column = Some(column))
    }

    pub(super) fn in_file(self, path: &Path) -> Self {
        self.with(|reason| reason.path = Some(path.to_path_buf()))
    }

    fn with(mut self, change: impl FnOnce(&mut Reason)) -> Self {
        let (Self::Refused(reason) | Self::Unknown(reason)) = &mut self;
        change(reason);
        self
    }
}

/// A value, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Text(String),
    Mapping(Mapping),
    /// A number, a sequence, or a mapping in a mapping of a mapping.
    Other,
}

/// A value and the line that it is shown with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) line: usize,
}

/// The entries of a mapping that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mapping {
    /// Of entries with the same key the last.
    pub(super) entries: BTreeMap<String, Entry>,
    /// A key that it or a mapping in it has twice, and the line of the second.
    pub(super) repeated: Option<(String, usize)>,
}

impl Mapping {
    /// Keeps the entry if it matters.
    pub(super) fn insert(&mut self, key: String, entry: Entry) {
        if !matters(&key) {
            return;
        }
        if let Value::Mapping(inner) = &entry.value
            && let Some((key, _)) = &inner.repeated
        {
            self.repeated = Some((key.clone(), entry.line));
        }
        let line = entry.line;
        if self.entries.insert(key.clone(), entry).is_some() {
            self.repeated = Some((key, line));
        }
    }
}

/// Returns true if what stands under this key decides something.
pub(super) fn matters(key: &str) -> bool {
    let mut names = [PROTECT, GATES, "kind", "apiVersion"].into_iter();
    names.any(|name| folds_to(key, name)) || key == IN_USER_NAMESPACE
}

/// Returns true if the keys are the same to Go's encoding/json, which ignores case.
pub(super) fn folds_to(key: &str, name: &str) -> bool {
    let fold = |character: char| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => character.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(name.chars().map(fold))
}

/// Reads a boolean as Go's `strconv.ParseBool` does.
pub(super) fn parse_bool(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Some(false),
        _ => None,
    }
}
