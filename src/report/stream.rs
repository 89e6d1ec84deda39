//! Writes to the two standard streams: what one does not take goes to the other.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fstat, major, minor};
use rustix::io::{Errno, retry_on_intr, write};
use rustix::stdio::{stderr, stdout};
use rustix::termios::{isatty, tcgetwinsize};

/// Bytes that can be written without blocking where poll(2) says so: a pipe's `PIPE_BUF`; a socket has room for more.
const ROOM: usize = 4096;

/// A standard stream to write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Writes the whole text, and if the stream does not take it, all of it to the other one.
    pub(super) fn print(self, text: &str) {
        self.print_until(text, None);
    }

    /// Writes the same, until `deadline` at most if nobody reads the streams.
    pub(super) fn print_until(self, text: &str, deadline: Option<Instant>) {
        let other = match self {
            Self::Stdout => Self::Stderr,
            Self::Stderr => Self::Stdout,
        };
        if write_all(self.descriptor(), text, deadline).is_err() {
            // With both gone the exit code still says it.
            let _ = write_all(other.descriptor(), text, deadline);
        }
    }

    /// Returns true if it is a terminal whose user did not ask for no color (<https://no-color.org>).
    pub(super) fn shows_color(self) -> bool {
        isatty(self.descriptor())
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Returns the columns of the terminal that it is.
    pub(super) fn width(self) -> Option<usize> {
        let size = tcgetwinsize(self.descriptor());
        size.ok().map(|size| size.ws_col.into())
    }

    fn descriptor(self) -> BorrowedFd<'static> {
        match self {
            Self::Stdout => stdout(),
            Self::Stderr => stderr(),
        }
    }
}

/// Writes past Rust's own buffers, which take a stream that cannot be written to for one that nobody wants.
fn write_all(stream: BorrowedFd, text: &str, deadline: Option<Instant>) -> io::Result<()> {
    if was_closed(stream) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let mut rest = text.as_bytes();
    let mut has_waited = false;
    while !rest.is_empty() {
        if deadline.is_some() {
            wait(stream, deadline)?;
        }
        match write(stream, &rest[..rest.len().min(ROOM)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                rest = &rest[count..];
                has_waited = false;
            }
            Err(Errno::INTR) => {}
            // Somebody set O_NONBLOCK on what the streams share.
            Err(Errno::AGAIN) if !has_waited => {
                wait(stream, deadline)?;
                has_waited = true;
            }
            // A reader such as head(1) that has read enough.
            Err(Errno::PIPE) if rest.len() < text.len() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until the stream has room for [`ROOM`] bytes, at the longest to the deadline if there is one.
fn wait(stream: BorrowedFd, deadline: Option<Instant>) -> io::Result<()> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    let mut streams = [PollFd::new(&stream, PollFlags::OUT)];
    match retry_on_intr(|| poll(&mut streams, timeout.as_ref())) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        // A stream that cannot be waited for is rather written to without the bound than not at all.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Returns true if the stream was closed when the program started.
///
/// Rust's runtime opens /dev/null for reading and writing in the place of a closed standard stream. A shell's
/// `>/dev/null`, which does want silence, opens it for writing only.
fn was_closed(stream: BorrowedFd) -> bool {
    let null = |stat: rustix::fs::Stat| (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3);
    fcntl_getfl(stream).is_ok_and(|flags| flags.contains(OFlags::RDWR))
        && fstat(stream).is_ok_and(null)
}
