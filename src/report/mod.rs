//! Prints or logs what was found, in the form that fits its reader. Nothing else prints.

mod background;
mod entry;
mod errors;
mod explain;
mod fix;
pub mod journal;
mod json;
mod messages;
mod prometheus;
mod service;
mod stream;
mod text;

use std::io;
use std::path::PathBuf;

use log::Level;

use crate::assessment::Assessment;
use crate::cli::Format;
use crate::invocation::Caller;
use crate::systemd::UnitError;
use crate::verdict::Exit;
use fix::Fix;
use stream::Stream;

pub use entry::{Entry, Kind};
pub use explain::explain;

/// Why a question cannot be answered as it was asked.
#[derive(Debug)]
pub enum UsageError {
    /// Only root may ask about a unit.
    NotRoot,
    /// The unit is not known, or systemd cannot be asked.
    Unit(String, UnitError),
    /// The root directory of an image cannot be opened.
    Root(PathBuf, io::Error),
}

/// Prints why this cannot be done as it was asked for.
pub fn refuse(error: &UsageError) -> Exit {
    let message = messages::plain(&errors::usage_error(error));
    Stream::Stderr.print(&format!("error: {message}\n"));
    Exit::Usage
}

/// Prints clap's help, version or complaint.
pub fn answer(answer: &clap::Error) -> Exit {
    let text = answer.render().to_string();
    if answer.use_stderr() {
        Stream::Stderr.print(&text);
        Exit::Usage
    } else {
        Stream::Stdout.print(&text);
        Exit::Success
    }
}

/// Prints or logs what was found; a service logs nothing when all is well. If nobody reads it, the exit code still tells.
///
/// The entries of the journal are about `unit`.
pub fn say(assessment: &Assessment, caller: Caller, format: Format, unit: Option<String>) {
    match caller {
        Caller::Shell => {
            if format == Format::Prometheus {
                // The metrics have no room for it.
                for entry in entry::diagnostics(assessment) {
                    if entry.level == Level::Error {
                        Stream::Stderr.print(&format!("error: {}\n", entry.message));
                    }
                }
            }
            Stream::Stdout.print(&match format {
                Format::Text => text::render(assessment),
                Format::Json => json::render(assessment),
                Format::Prometheus => prometheus::render(assessment),
            });
        }
        Caller::Unit { journal } => {
            let entries = entry::all(assessment, caller);
            if !entries.is_empty() {
                let is_held = assessment.exit() != Exit::Success;
                let fix = Fix::of(assessment, caller);
                let status = is_held.then(|| messages::status(assessment, fix.as_ref()));
                service::say(
                    entries,
                    status.as_deref().map(messages::plain),
                    journal,
                    unit,
                );
            }
        }
    }
}
