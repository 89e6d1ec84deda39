//! Owns the journal's native protocol: entries with fields, and a bound on the time they take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use log::Record;
use log::kv::Value;
use systemd_journal_logger::JournalLog;

use super::entry::Entry;

/// How far sending came.
#[derive(Debug)]
pub(super) struct Sent {
    /// So many entries, from the first, were taken.
    pub(super) count: usize,
    /// Why the others were not.
    pub(super) trouble: Option<anyhow::Error>,
}

/// Sends the entries in order, each with `unit` as the unit it is about, for at most `limit`.
///
/// A send blocks for as long as journald does not read, so it is done by a thread that dies with the process. A message
/// that is still blocked then is never delivered.
pub(super) fn send(entries: &Arc<[Entry]>, unit: Option<String>, limit: Duration) -> Sent {
    let deadline = Instant::now() + limit;
    let given_up = Arc::new(AtomicBool::new(false));
    let (tell, told) = mpsc::channel();
    let worker = thread::Builder::new().spawn({
        let entries = Arc::clone(entries);
        let given_up = Arc::clone(&given_up);
        move || {
            if let Err(trouble) = send_each(&entries, unit, &given_up, &tell) {
                let _ = tell.send(Err(trouble));
            }
        }
    });
    let mut sent = Sent {
        count: 0,
        trouble: worker
            .err()
            .map(|error| anyhow!(error).context("start a thread")),
    };
    while sent.count < entries.len() && sent.trouble.is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        match told.recv_timeout(left) {
            Ok(Ok(())) => sent.count += 1,
            Ok(Err(trouble)) => sent.trouble = Some(trouble),
            Err(_) => {
                given_up.store(true, Ordering::Relaxed);
                sent.trouble = Some(anyhow!("journald does not read"));
            }
        }
    }
    sent
}

fn send_each(
    entries: &[Entry],
    unit: Option<String>,
    given_up: &AtomicBool,
    tell: &Sender<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let journal = Journal::connect(unit)?;
    for entry in entries {
        if given_up.load(Ordering::Relaxed) {
            break;
        }
        journal.send(entry).context("send to journald")?;
        let _ = tell.send(Ok(()));
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
