//! Tells a service manager: by the journal, else by standard error, and on the Status line, all within a bound of time.

use std::env;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use libsystemd::daemon::{self, NotifyState};

use super::background::Background;
use super::entry::Entry;
use super::errors::without_number;
use super::journal::Sending;
use super::stream::Stream;
use crate::invocation::is_null;

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
    let sent = (sending.as_ref()).map_or(Ok(()), |sending| sending.wait(JOURNAL_LIMIT));
    let notified = notifying.map_or(Ok(()), |work| {
        let left = STATUS_LIMIT.saturating_sub(begun.elapsed());
        work.context("start a thread")?
            .wait(left)
            .unwrap_or_else(|| Err(anyhow!("no answer in time")))
    });
    // Asked as late as can be: what journald takes late is not to be said twice.
    let taken = sending.map_or(0, |sending| sending.taken());
    let entries = lines(&entries[taken..], journal);
    // The command that fixes it stays the last line.
    let mut rest = String::new();
    if let Err(error) = sent
        && !entries.is_empty()
    {
        let _ = writeln!(
            rest,
            "<7>The journal did not accept these entries with their fields: {}",
            without_number(&format!("{error:#}"))
        );
    }
    if let Err(error) = notified {
        let level = if journal { "<7>" } else { "" };
        let _ = writeln!(
            rest,
            "{level}The Status line of the unit could not be set: {}",
            without_number(&format!("{error:#}"))
        );
    }
    rest += &entries;
    if !rest.is_empty() {
        let is_seen = !is_null(std::io::stderr());
        let stream = if is_seen {
            Stream::Stderr
        } else {
            Stream::Stdout
        };
        stream.print_until(&rest, Some(Instant::now() + STDERR_LIMIT));
    }
}

/// Writes one line per entry; for the journal each begins with its priority, as sd-daemon(3) defines it.
fn lines(entries: &[Entry], journal: bool) -> String {
    let mut lines = String::new();
    for entry in entries {
        if journal {
            // As systemd-journal-logger maps it: an error is 3, a warning 4, a notice 5.
            let _ = write!(lines, "<{}>", entry.level as usize + 2);
        }
        let _ = writeln!(lines, "{}", entry.message);
    }
    lines
}

/// Sets the unit's Status line.
fn notify(status: String) -> anyhow::Result<()> {
    daemon::notify(false, &[NotifyState::Status(status)]).context("send to NOTIFY_SOCKET")?;
    Ok(())
}
