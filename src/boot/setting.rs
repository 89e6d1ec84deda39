//! Describes one entry of the list of all that sets a tunable at boot: where it stands, and what its effect is.

use std::borrow::Cow;
use std::path::Path;

use super::ReadError;
use super::sysctl_d::Line;

/// Something that sets a tunable at boot, or looks as if it did.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Its place.
    pub place: Place<'a>,
    /// Its effect.
    pub effect: Effect<'a>,
}

/// The place of a setting.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// In the kernel itself.
    Kernel {
        /// The default; none where it is not known.
        default: Option<i64>,
        /// The file with the kernel's configuration, if the default depends on it and it is there.
        config: Option<&'a Path>,
    },
    /// On the kernel command line.
    CommandLine {
        /// The parameter; empty for the whole command line.
        parameter: &'a [u8],
        /// The file of an image that has the command line.
        path: Option<&'a Path>,
    },
    /// In a line of sysctl.d.
    Line(&'a Line),
    /// In a file or folder of sysctl.d.
    File(&'a Path),
}

/// The effect of a setting.
#[derive(Debug, Clone, Copy)]
pub enum Effect<'a> {
    /// It sets this value. It is the effective setting unless a later one does so too.
    Sets(i64),
    /// This one is the effective setting in its place, or comes later with the same name.
    Overridden(Place<'a>),
    /// The kernel refuses its text.
    Refused,
    /// It names the tunable without `sysctl.` before the name, so the kernel ignores it.
    NoPrefix,
    /// It keeps patterns away from the tunable.
    Excludes,
    /// It is a pattern, and this line keeps patterns away.
    Excluded(Place<'a>),
    /// It is a pattern without a value, which systemd ignores.
    Nothing,
    /// Its file is not read, since this file has the same name and precedence.
    Hidden {
        /// The file that is read.
        by: &'a Path,
        /// True if that file is a link to /dev/null.
        masked: bool,
    },
    /// It is in /run, which is empty at boot.
    Volatile,
    /// It could not be read, so what the tunable is set to is not known.
    Unread(&'a ReadError),
    /// It could not be read, and what comes after it overrides it anyway.
    UnreadEarlier(&'a ReadError),
}

impl Effect<'_> {
    /// Makes that of a text of which the kernel makes `value`, or nothing.
    pub(super) fn of(value: Option<i64>) -> Self {
        value.map_or(Self::Refused, Self::Sets)
    }
}

impl<'a> Setting<'a> {
    /// Makes the kernel's own setting.
    pub(super) fn of_kernel(value: i64, config: Option<&'a Path>) -> Self {
        let (default, effect) = (Some(value), Effect::Sets(value));
        let place = Place::Kernel { default, config };
        Self { place, effect }
    }

    /// Makes the setting of a place that could not be read.
    pub(super) fn unread(place: Place<'a>, problem: &'a ReadError) -> Self {
        let effect = Effect::Unread(problem);
        Self { place, effect }
    }

    /// Returns what stands there: the value, the parameter or the line; of a whole file nothing.
    pub fn text(&self) -> Cow<'a, str> {
        match self.place {
            Place::Kernel { default, .. } => default.map_or("?".into(), |it| it.to_string().into()),
            Place::CommandLine { parameter, .. } => String::from_utf8_lossy(parameter),
            Place::Line(line) => String::from_utf8_lossy(&line.text),
            Place::File(_) => "".into(),
        }
    }

    /// Returns the key that sorts settings as they are read: files by their names, of the same name first the one that
    /// the next boot reads.
    pub(super) fn reading_order(&self) -> impl Ord + use<'a> {
        let (path, line) = match self.place {
            Place::Kernel { .. } | Place::CommandLine { .. } => (None, 0),
            Place::Line(line) => (Some(&*line.assignment.path), line.assignment.line),
            Place::File(path) => (Some(path), usize::MAX),
        };
        let read_later = match self.effect {
            Effect::Hidden { .. } => 1,
            Effect::Volatile => 2,
            _ => 0,
        };
        (path.and_then(Path::file_name), read_later, path, line)
    }
}
