//! Owns the two standard streams: what one does not take, the other is tried with.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use rustix::fs::{OFlags, fcntl_getfl, fstat, major, minor};

/// A standard stream to write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Writes the whole text, and if the stream does not take it, all of it to the other one.
    pub fn print(self, text: &str) {
        if self.write(text).is_err() {
            // With both gone nobody is left to tell; the exit code still says it.
            let _ = self.other().write(text);
        }
    }

    /// Whether it is a terminal whose user did not ask for no colour (<https://no-color.org>).
    pub fn shows_color(self) -> bool {
        let is_terminal = match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        };
        is_terminal
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    fn other(self) -> Self {
        match self {
            Self::Stdout => Self::Stderr,
            Self::Stderr => Self::Stdout,
        }
    }

    fn write(self, text: &str) -> io::Result<()> {
        match self {
            Self::Stdout => write_all(io::stdout().lock(), text),
            Self::Stderr => write_all(io::stderr().lock(), text),
        }
    }
}

fn write_all(mut stream: impl Write + AsFd, text: &str) -> io::Result<()> {
    if takes_nothing(&stream) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// Whether the stream was closed when the program started, or opened for reading only.
///
/// Rust's runtime opens /dev/null for reading and writing in the place of a closed standard stream. A shell's
/// `>/dev/null`, which does want silence, opens it for writing only. What cannot be written to, Rust takes for a stream
/// that nobody wants, and says that all went well.
fn takes_nothing(stream: &impl AsFd) -> bool {
    let null = |stat: rustix::fs::Stat| (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3);
    fcntl_getfl(stream).is_ok_and(|flags| match flags & OFlags::ACCMODE {
        OFlags::RDONLY => true,
        OFlags::RDWR => fstat(stream).is_ok_and(null),
        _ => false,
    })
}
