//! Sends entries with fields by the journal's native protocol, within a bound of time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use log::Record;
use log::kv::Value;
use systemd_journal_logger::JournalLog;

use super::background::Background;
use super::entry::Entry;

/// Entries on their way. A send blocks for as long as journald does not read.
#[derive(Debug)]
pub(super) struct Sending {
    taken: Arc<AtomicUsize>,
    given_up: Arc<AtomicBool>,
    work: io::Result<Background<anyhow::Result<()>>>,
}

impl Sending {
    /// Begins to send the entries in order, each with `unit` as the unit it is about.
    pub(super) fn start(entries: &Arc<[Entry]>, unit: Option<String>) -> Self {
        let taken = Arc::new(AtomicUsize::new(0));
        let given_up = Arc::new(AtomicBool::new(false));
        let work = Background::start({
            let (entries, taken, given_up) = (entries.clone(), taken.clone(), given_up.clone());
            move || send_each(&entries, unit, &taken, &given_up)
        });
        Self {
            taken,
            given_up,
            work,
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    ///
    /// When no thread can be started or journald does not take all of them within `limit`. The entry that is on its way
    /// then is still taken if journald reads on before this process ends; no further one is sent.
    pub(super) fn wait(&self, limit: Duration) -> anyhow::Result<()> {
        match &self.work {
            Ok(work) => work.wait(limit).unwrap_or_else(|| {
                self.given_up.store(true, Ordering::Relaxed);
                Err(anyhow!("journald does not read"))
            }),
            Err(error) => Err(anyhow!("start a thread: {error}")),
        }
    }

    /// Counts the entries, from the first, that were taken so far.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

fn send_each(
    entries: &[Entry],
    unit: Option<String>,
    taken: &AtomicUsize,
    given_up: &AtomicBool,
) -> anyhow::Result<()> {
    let journal = Journal::connect(unit)?;
    for entry in entries {
        if given_up.load(Ordering::Relaxed) {
            break;
        }
        journal.send(entry).context("send to journald")?;
        taken.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// A connection to journald.
#[expect(missing_debug_implementations, reason = "the logger has none")]
pub struct Journal(JournalLog);

impl Journal {
    /// Connects to /run/systemd/journal/socket for entries with `unit` as the unit they are about.
    ///
    /// # Errors
    ///
    /// When nobody listens there.
    pub fn connect(unit: Option<String>) -> anyhow::Result<Self> {
        let mut journal = JournalLog::empty()
            .context("connect to journald")?
            .with_syslog_identifier("kubelet-tunables".into())
            .add_extra_field("DOCUMENTATION", "man:kubelet-tunables(8)");
        if let Some(unit) = unit {
            // A process that exits at once is often gone before journald looks up its unit, and the entry is then missing
            // from `journalctl -u` (systemd issue 2913). This field is looked at too, when the sender is root.
            journal = journal.add_extra_field("OBJECT_SYSTEMD_UNIT", unit);
        }
        Ok(Self(journal))
    }

    /// Sends an entry as one datagram, or a file where that is too long.
    ///
    /// # Errors
    ///
    /// When journald does not take it.
    pub fn send(&self, entry: &Entry) -> std::io::Result<()> {
        let mut fields: Vec<(&str, Value)> =
            vec![("MESSAGE_ID", Value::from(entry.kind.message_id()))];
        for (name, value) in &entry.fields {
            fields.push((name, Value::from(value.as_str())));
        }
        // Built by hand, a record names no source file and line, which tell an administrator nothing. The logger always
        // writes a TARGET, so that it is what the entry is about.
        self.0.journal_send(
            &Record::builder()
                .level(entry.level)
                .target("kubelet")
                .key_values(&fields.as_slice())
                .args(format_args!("{}", entry.message))
                .build(),
        )
    }
}
