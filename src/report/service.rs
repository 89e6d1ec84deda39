//! Tells a service manager: by the journal, else by standard error, and on the Status line, all within a bound of time.

use std::env;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use libsystemd::daemon::{self, NotifyState};
use log::Level;

use super::background::Background;
use super::entry::Entry;
use super::is_null;
use super::journal::Sending;
use super::stream::Stream;

/// How long journald may take for all entries. It stops answering when it is stopped or its disk hangs.
const JOURNAL_LIMIT: Duration = Duration::from_millis(500);
/// How long standard error may take after both.
const STDERR_LIMIT: Duration = Duration::from_millis(250);
/// How long systemd may take for the Status line, which is sent at the same time. With the second that the question to
/// it may take, all ends within two.
const STATUS_LIMIT: Duration = Duration::from_millis(700);

/// Says the entries about `unit`, to the journal natively if standard error is a stream to it, and sets the unit's Status line.
///
/// What the journal did not take goes to standard error, so that nothing is lost and nothing said twice.
pub(super) fn say(
    entries: Vec<Entry>,
    status: Option<String>,
    journal: bool,
    unit: Option<String>,
) {
    let begun = Instant::now();
    let notifying = status
        .filter(|_| env::var_os("NOTIFY_SOCKET").is_some())
        .map(|status| Background::start(move || notify(status)));
    let entries: Arc<[Entry]> = entries.into();
    let sending = journal.then(|| Sending::start(&entries, unit));
    let sent = sending
        .as_ref()
        .map_or(Ok(()), |sending| sending.wait(JOURNAL_LIMIT));
    let notified = notifying.map_or(Ok(()), |work| {
        let left = STATUS_LIMIT.saturating_sub(begun.elapsed());
        work.context("start a thread")?
            .wait(left)
            .unwrap_or_else(|| Err(anyhow!("no answer in time")))
    });
    // Target as late as can be: what journald takes late is not to be said twice.
    let taken = sending.map_or(0, |sending| sending.taken());
    let mut rest = lines(&entries[taken..], journal);
    if let Err(trouble) = sent
        && !rest.is_empty()
    {
        let _ = writeln!(
            rest,
            "<7>The journal did not take this as entries with fields: {trouble:#}"
        );
    }
    if let Err(trouble) = notified {
        let level = if journal { "<7>" } else { "" };
        let _ = writeln!(
            rest,
            "{level}The Status line of the unit could not be set: {trouble:#}"
        );
    }
    if !rest.is_empty() {
        let stream = if is_null(std::io::stderr()) {
            Stream::Stdout
        } else {
            Stream::Stderr
        };
        stream.print_within(&rest, STDERR_LIMIT);
    }
}

/// A line an entry; for the journal each begins with its priority, as sd-daemon(3) defines it.
fn lines(entries: &[Entry], journal: bool) -> String {
    let mut lines = String::new();
    for entry in entries {
        if journal {
            let _ = write!(lines, "<{}>", priority(entry.level));
        }
        let _ = writeln!(lines, "{}", entry.message);
    }
    lines
}

/// The syslog priority of a level, as `systemd-journal-logger` maps it.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 5,
        Level::Debug => 6,
        Level::Trace => 7,
    }
}

/// Sets the unit's Status line.
fn notify(status: String) -> anyhow::Result<()> {
    daemon::notify(false, &[NotifyState::Status(status)]).context("send to NOTIFY_SOCKET")?;
    Ok(())
}
