//! Names the programs on this machine that may have changed a tunable since boot. Each is a suspect, never a fact.

use std::path::{Path, PathBuf};

use memchr::{memchr, memmem};

use super::{FILE_LIMIT, sysctl_d};
use crate::file;
use crate::tunable::Tunable;

/// A program that may have changed a tunable since boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suspect {
    /// tuned runs. It applies its profile, then /run, /etc/sysctl.d and /etc/sysctl.conf once more, whenever it starts.
    Tuned,
    /// A line of a file that this program applies by itself, outside systemd-sysctl.
    File {
        /// The program.
        program: &'static str,
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
}

/// Whether a line of a file sets the tunable of this name.
type Names = fn(&[u8], &str) -> bool;

/// Files that a program of its own applies: who, which file, and how a line names tunables.
///
/// Source: kdump-tools' /etc/default/kdump-tools (`KDUMP_SYSCTL`, words for `sysctl -w`), ufw's `IPT_SYSCTL`, and
/// sysctl(8), whose `-p` and `--system` read /etc/sysctl.conf while systemd-sysctl does not.
const FILES: [(&str, &str, Names); 3] = [
    ("kdump-tools", "etc/default/kdump-tools", is_kdump_word),
    ("ufw", "etc/ufw/sysctl.conf", sysctl_d::names),
    ("sysctl -p", "etc/sysctl.conf", sysctl_d::names),
];

/// Who may have changed this tunable since boot, on the machine below `root`.
pub(super) fn suspects(root: &Path, tunable: &Tunable) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    if root.join("run/tuned/tuned.pid").exists() {
        suspects.push(Suspect::Tuned);
    }
    let mut content = Vec::new();
    for (program, path, names) in FILES {
        // What cannot be read names nobody.
        if file::read(&root.join(path), FILE_LIMIT, &mut content).is_err() {
            continue;
        }
        let mut lines = content.split(|&byte| byte == b'\n');
        if let Some(at) = lines.position(|line| names(line, tunable.name)) {
            suspects.push(Suspect::File {
                program,
                path: Path::new("/").join(path),
                line: at + 1,
            });
        }
    }
    suspects
}

fn is_kdump_word(line: &[u8], name: &str) -> bool {
    line.trim_ascii_start()
        .strip_prefix(b"KDUMP_SYSCTL=")
        .and_then(|words| memmem::find(words, name.as_bytes()).map(|at| &words[at + name.len()..]))
        .is_some_and(|rest| memchr(b'=', rest) == Some(0))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tunable::TUNABLES;

    #[test]
    fn names_who_would_set_the_tunable() {
        let root = std::env::temp_dir().join(format!("kubelet-tunables-s-{}", std::process::id()));
        for folder in ["run/tuned", "etc/default", "etc/ufw"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let kernel_panic_on_oops = &TUNABLES[3];
        assert_eq!(suspects(&root, kernel_panic_on_oops), []);
        for (path, content) in [
            (
                "etc/default/kdump-tools",
                "USE_KDUMP=1\nKDUMP_SYSCTL=\"kernel.panic_on_oops=1\"\n",
            ),
            ("etc/ufw/sysctl.conf", "#kernel/panic_on_oops=1\n"),
            (
                "etc/sysctl.conf",
                "# x\n\n-kernel/panic_on_oops = 1\nkernel.panic=1",
            ),
            ("run/tuned/tuned.pid", "1"),
        ] {
            fs::write(root.join(path), content).unwrap();
        }
        let file = |program, path: &str, line| Suspect::File {
            program,
            path: path.into(),
            line,
        };
        assert_eq!(
            suspects(&root, kernel_panic_on_oops),
            [
                Suspect::Tuned,
                file("kdump-tools", "/etc/default/kdump-tools", 2),
                file("sysctl -p", "/etc/sysctl.conf", 3),
            ]
        );
        assert_eq!(
            suspects(&root, &TUNABLES[2]),
            [Suspect::Tuned, file("sysctl -p", "/etc/sysctl.conf", 4)]
        );
        fs::remove_dir_all(root).unwrap();
    }
}
