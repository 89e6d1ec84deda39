//! Tells what a look found, to whoever reads it, in the form that fits. Nothing else prints.

mod background;
mod entry;
mod explain;
mod image;
pub mod journal;
mod json;
mod messages;
mod prometheus;
mod remedy;
mod service;
mod stream;
mod terminal;

use std::env;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use clap::ValueEnum;
use log::Level;
use rustix::fs::{FileType, fstat, major, minor};
use rustix::process::{Pid, getppid};
use systemd_journal_logger::connected_to_journal;

use crate::assessment::Assessment;
use crate::exit::Exit;
use crate::systemd::UnitError;

pub use entry::{Entry, Kind};
pub use explain::explain;
pub use stream::Stream;

/// Who reads the report, which decides its form and its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A person or a person's script: the whole picture to stdout, good news too.
    Person,
    /// A service manager: what is wrong and nothing else.
    Service {
        /// Standard error is a stream to the journal, or leads nowhere.
        journal: bool,
    },
}

impl Audience {
    /// Who started this process.
    ///
    /// `JOURNAL_STREAM` names the stream that systemd connected to the journal and `SYSTEMD_EXEC_PID` the process that
    /// it executed. A shell can inherit both, so both are compared with what this process is. The second is new in systemd
    /// 248; an older one sets `INVOCATION_ID`, which a shell can inherit too, but then its parent is not PID 1. Source:
    /// systemd.exec(5).
    pub fn of_this_process() -> Self {
        let is_named = || {
            let pid = env::var("SYSTEMD_EXEC_PID");
            pid.is_ok_and(|pid| pid == std::process::id().to_string())
        };
        let is_by_pid_1 = || {
            let is_set = |name| env::var_os(name).is_some();
            getppid() == Some(Pid::INIT) && (is_set("INVOCATION_ID") || is_set("NOTIFY_SOCKET"))
        };
        if connected_to_journal() {
            Self::Service { journal: true }
        } else if is_named() || is_by_pid_1() {
            // What goes to /dev/null nobody would ever read.
            let journal = is_null(std::io::stderr());
            Self::Service { journal }
        } else {
            Self::Person
        }
    }
}

/// Whether it is /dev/null. Source: Documentation/admin-guide/devices.txt.
fn is_null(stream: impl AsFd) -> bool {
    fstat(stream).is_ok_and(|stat| {
        let device = (major(stat.st_rdev), minor(stat.st_rdev));
        FileType::from_raw_mode(stat.st_mode).is_char_device() && device == (1, 3)
    })
}

/// The form of what is printed to standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table and sentences, for people
    #[default]
    Text,
    /// One JSON object, for programs
    Json,
    /// Metrics for the textfile collector of `node_exporter`
    Prometheus,
}

/// Why a person's question cannot be answered as it was asked.
#[derive(Debug)]
pub enum UsageError {
    /// Of a unit only root is told.
    NotRoot,
    /// The unit is not known, or systemd cannot be asked.
    Unit(String, UnitError),
    /// The root directory of an image cannot be opened.
    Root(PathBuf, io::Error),
}

/// Tells a person that this cannot be done as it was asked for.
pub fn refuse(refusal: &UsageError) -> Exit {
    Stream::Stderr.print(&format!("error: {}\n", messages::refusal(refusal)));
    Exit::Usage
}

/// Says what a look found; a service manager is told nothing when all is well. Where nobody listens there is nobody to
/// tell, so this does not fail.
///
/// The entries of the journal are about `unit`.
pub fn say(look: &Assessment, audience: Audience, format: Format, unit: Option<String>) {
    match audience {
        Audience::Person => {
            if format == Format::Prometheus {
                // The metrics have no room for it.
                for note in entry::notes(look) {
                    if note.level == Level::Error {
                        Stream::Stderr.print(&format!("error: {}\n", note.message));
                    }
                }
            }
            Stream::Stdout.print(&match format {
                Format::Text => terminal::render(look),
                Format::Json => json::render(look),
                Format::Prometheus => prometheus::render(look),
            });
        }
        Audience::Service { journal } => {
            let entries = entry::all(look, audience);
            if !entries.is_empty() {
                let status = (Exit::of(look) != Exit::Success).then(|| messages::status(look));
                service::say(entries, status, journal, unit);
            }
        }
    }
}
