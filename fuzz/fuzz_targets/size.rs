//! Large inputs of repeated pieces, in which time that grows faster than the input shows.
//!
//! The input is what is to read it, a beginning, a piece and an end, with a NUL between two. The piece is repeated until
//! the largest size that the program reads; each `@` in it becomes the number of the repetition.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use kubelet_tunables::boot::kernel_parameters::CommandLine;
use kubelet_tunables::boot::sysctl_d::SysctlD;
use kubelet_tunables::kubelet::config::Settings;
use kubelet_tunables::kubelet::flags::Arguments;
use kubelet_tunables::systemd::argv;
use kubelet_tunables::tunable::TUNABLES;
use libfuzzer_sys::{Corpus, fuzz_target};
use rustix::time::{ClockId, clock_gettime};

/// What a reader of the journal would call a hang is 2 s; this is before that, in a build that is several times slower.
const LIMIT: Duration = Duration::from_secs(1);

fuzz_target!(|input: &[u8]| -> Corpus {
    let mut parts = input.splitn(4, |&byte| byte == 0);
    let (Some(reader), Some(begin), Some(piece), Some(end)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Corpus::Reject;
    };
    let made = |size| made(begin, piece, end, size);
    let begun;
    match reader {
        b"sysctl.d" => {
            let content = made(4 << 20);
            begun = cpu_time();
            SysctlD::default().add_file(Path::new("x.conf"), &content);
        }
        b"config" => {
            let content = made(1 << 20);
            let mut settings = Settings::default();
            begun = cpu_time();
            let _ = settings.add_config(&content, Path::new("/c"));
        }
        b"drop-in" => {
            let content = made(1 << 20);
            let mut settings = Settings::default();
            begun = cpu_time();
            let _ = settings.add_drop_in(&content, Path::new("/d"));
        }
        // The kernel takes no longer string than this for an argument or a variable.
        b"words" => {
            let value = made(128 << 10);
            begun = cpu_time();
            argv::split(&value);
        }
        b"arguments" => {
            let line: Vec<OsString> = made(1 << 20)
                .split(|&byte| byte == b'\n')
                .map(|word| OsString::from_vec(word.to_vec()))
                .collect();
            begun = cpu_time();
            let _ = Arguments::parse(&line);
        }
        // COMMAND_LINE_SIZE is 2048 on x86 and the largest, on RISC-V and s390, is 4096.
        b"cmdline" => {
            let line = made(4 << 10);
            begun = cpu_time();
            CommandLine::from(line).settings(&TUNABLES[2]);
        }
        _ => return Corpus::Reject,
    }
    let taken = cpu_time().saturating_sub(begun);
    assert!(taken < LIMIT, "{taken:?}");
    Corpus::Keep
});

/// Time of this thread's own, so that other work on the machine counts for nothing.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("it does not run backwards")
}

fn made(begin: &[u8], piece: &[u8], end: &[u8], size: usize) -> Vec<u8> {
    let mut made = begin.to_vec();
    let mut number = 0;
    while !piece.is_empty() && made.len() + piece.len() + end.len() + 8 < size {
        number += 1;
        for &byte in piece {
            if byte == b'@' {
                made.extend(number.to_string().bytes());
            } else {
                made.push(byte);
            }
        }
    }
    made.extend(end);
    made
}
