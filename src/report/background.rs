//! Waits, up to a limit, for work that may never end because somebody does not answer. The work is a thread that dies
//! with the process.

use std::io;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// Work that goes on meanwhile.
#[derive(Debug)]
pub(crate) struct Background<T>(Receiver<T>);

impl<T: Send + 'static> Background<T> {
    /// Starts the work.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub(crate) fn start(work: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new().spawn(move || {
            // The receiver may have timed out.
            let _ = sender.send(work());
        })?;
        Ok(Self(receiver))
    }

    /// Waits for the result; none if it is not there within `limit`.
    pub(crate) fn wait(&self, limit: Duration) -> Option<T> {
        self.0.recv_timeout(limit).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_no_longer_than_the_limit() {
        let work = Background::start(|| 7).unwrap();
        assert_eq!(work.wait(Duration::from_secs(60)), Some(7));
        let (_open, never) = mpsc::channel::<()>();
        let work = Background::start(move || never.recv()).unwrap();
        assert_eq!(work.wait(Duration::from_millis(1)), None);
    }
}
