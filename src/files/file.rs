//! Reads files without waiting for anybody, and no more of one than a limit.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Bytes asked for at first, which is more than most files have.
const FIRST_READ: usize = 4096;

/// Opens a file to read.
///
/// # Errors
///
/// The system's. A FIFO in the place of the file is not waited for: it is read as an empty file is, or refused while
/// somebody holds it open to write.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK the open of a FIFO may never return.
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
}

/// Reads what there is into the buffer and returns how many bytes; 0 at the end.
///
/// # Errors
///
/// Those of read(2) except EINTR, after which it reads again.
pub(crate) fn read_some(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Puts a whole file into the buffer, in the place of what it held.
///
/// # Errors
///
/// The system's, or that the file has more than `limit` bytes, of whole MiB.
pub(crate) fn read(path: &Path, limit: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
    read_to_end(&open(path)?, limit, buffer)
}

/// Does the same with an open file.
pub(crate) fn read_to_end(file: &File, limit: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    buffer.reserve(FIRST_READ);
    // One more tells whether there are more.
    file.take(limit + 1).read_to_end(buffer)?;
    if buffer.len() as u64 > limit {
        let reason = format!("it is longer than {} MiB", limit >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_file_up_to_the_limit() {
        const LIMIT: usize = 1 << 20;
        let path = std::env::temp_dir().join(format!("kubelet-tunables-{}", std::process::id()));
        let mut buffer = Vec::new();
        for (length, fits) in [
            (0, true),
            (FIRST_READ, true),
            (FIRST_READ + 1, true),
            (LIMIT, true),
            (LIMIT + 1, false),
        ] {
            let content: Vec<u8> = (0..=250).cycle().take(length).collect();
            std::fs::write(&path, &content).unwrap();
            match read(&path, LIMIT as u64, &mut buffer) {
                Ok(()) => assert!(fits && buffer == content, "{length} bytes"),
                Err(error) => assert_eq!(
                    (fits, error.to_string().as_str()),
                    (false, "it is longer than 1 MiB")
                ),
            }
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn reads_on_after_a_signal_only() {
        /// A file whose reads fail like this, the last first, before there is a byte.
        struct Failing(Vec<io::ErrorKind>);
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                self.0.pop().map_or(Ok(1), |kind| Err(kind.into()))
            }
        }
        let read = |kinds: &[_]| read_some(&mut Failing(kinds.to_vec()), &mut [0]);
        let signal = io::ErrorKind::Interrupted;
        assert_eq!(read(&[signal, signal]).unwrap(), 1);
        let refused = io::ErrorKind::PermissionDenied;
        assert_eq!(read(&[refused, signal]).unwrap_err().kind(), refused);
    }
}
