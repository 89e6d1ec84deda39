//! Names the programs on this machine that may have changed a tunable since boot. Each is a suspect, never a fact.

use std::path::{Path, PathBuf};

use super::sysctl_d::{Assignment, SysctlD};
use super::{Boot, FILE_LIMIT, When};
use crate::tunable::{Tunable, kernel_parse};

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

/// Files that a program of its own applies, outside systemd-sysctl, with sysctl(8).
///
/// Source: ufw's `IPT_SYSCTL`, and sysctl(8), whose `-p` and `--system` read /etc/sysctl.conf.
pub(super) const FILES: [(&str, &str); 2] = [
    ("ufw", "etc/ufw/sysctl.conf"),
    ("sysctl -p", "etc/sysctl.conf"),
];
/// The place of /etc/sysctl.conf in [`FILES`].
pub(super) const SYSCTL_CONF: usize = 1;

impl Boot {
    /// Lists programs that may have set the tunable to `actual` since boot. Without `actual`: that may set it at all.
    pub fn suspects(&self, tunable: &Tunable, actual: Option<i64>) -> Vec<Suspect> {
        let mut suspects = Vec::new();
        if !self.root.is_image() && self.root.lstat("run/tuned/tuned.pid").is_ok() {
            suspects.push(Suspect::Tuned);
        }
        for (at, (program, _)) in FILES.into_iter().enumerate() {
            if let Some(line) = self.other_line(at, tunable)
                && actual.is_none_or(|actual| kernel_parse(tunable, &line.text) == Some(actual))
            {
                suspects.push(Suspect::File {
                    program,
                    path: line.path.to_path_buf(),
                    line: line.line,
                });
            }
        }
        suspects
    }

    /// Returns the line of one of the [`FILES`] that sets the tunable. An unreadable file is taken for an empty one.
    pub(super) fn other_line(&self, at: usize, tunable: &Tunable) -> Option<&Assignment> {
        let read = || {
            let (mut file, mut content) = (SysctlD::default(), Vec::new());
            let (_, path) = FILES[at];
            if self.root.read(path, FILE_LIMIT, &mut content).is_ok() {
                file.add_file(Path::new(path), &content);
            }
            file
        };
        let file = self.other_files[at].get_or_init(read);
        file.assignment(tunable, When::Now)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::files::root::Root;
    use crate::tunable::TUNABLES;

    #[test]
    fn names_who_would_set_the_tunable() {
        let root = std::env::temp_dir().join(format!("kubelet-tunables-s-{}", std::process::id()));
        let suspects = |tunable, actual| Boot::new(&Root::machine(&root)).suspects(tunable, actual);
        for folder in ["run/tuned", "etc/ufw"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let kernel_panic_on_oops = &TUNABLES[3];
        assert_eq!(suspects(kernel_panic_on_oops, None), []);
        for (path, content) in [
            (
                "etc/ufw/sysctl.conf",
                "#kernel/panic_on_oops=1\nkernel/panic=30\n",
            ),
            (
                "etc/sysctl.conf",
                "# x\n\n-kernel/panic_on_oops = 1\nkernel.panic=7\nkernel.panic = 0x1",
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
            suspects(kernel_panic_on_oops, Some(1)),
            [Suspect::Tuned, file("sysctl -p", "/etc/sysctl.conf", 3),]
        );
        assert_eq!(suspects(kernel_panic_on_oops, Some(0)), [Suspect::Tuned]);
        let ufw = file("ufw", "/etc/ufw/sysctl.conf", 2);
        let sysctl = file("sysctl -p", "/etc/sysctl.conf", 5);
        assert_eq!(suspects(&TUNABLES[2], Some(1)), [Suspect::Tuned, sysctl]);
        assert_eq!(suspects(&TUNABLES[2], Some(30)), [Suspect::Tuned, ufw]);
        assert_eq!(suspects(&TUNABLES[2], None).len(), 3);
        assert_eq!(
            suspects(&TUNABLES[2], Some(7)),
            [Suspect::Tuned],
            "the last line counts"
        );
        fs::remove_dir_all(&root).unwrap();
    }
}
