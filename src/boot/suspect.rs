//! Names the programs on this machine that may have changed a tunable since boot. Each is a suspect, never a fact.

use std::path::{Path, PathBuf};

use super::{FILE_LIMIT, kernel_parse, sysctl_d};
use crate::files::root::Root;
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

/// What a line of a file sets the tunable of this name to.
type Value = for<'a> fn(&'a [u8], &str) -> Option<&'a [u8]>;

/// Files that a program of its own applies: who, which file, and how a line names tunables.
///
/// Source: kdump-tools' /etc/default/kdump-tools (`KDUMP_SYSCTL`, words for `sysctl -w`), ufw's `IPT_SYSCTL`, and
/// sysctl(8), whose `-p` and `--system` read /etc/sysctl.conf while systemd-sysctl does not.
const FILES: [(&str, &str, Value); 3] = [
    ("kdump-tools", "etc/default/kdump-tools", kdump_value),
    ("ufw", "etc/ufw/sysctl.conf", sysctl_d::value_of),
    ("sysctl -p", "etc/sysctl.conf", sysctl_d::value_of),
];

/// Who may have made this tunable the `actual` that it is since boot, on the machine below `root`; without it, who may set it
/// at all.
pub(super) fn suspects(root: &Root, tunable: &Tunable, actual: Option<i64>) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    if !root.is_image() && root.lstat("run/tuned/tuned.pid").is_ok() {
        suspects.push(Suspect::Tuned);
    }
    let mut content = Vec::new();
    for (program, path, value) in FILES {
        // What cannot be read names nobody.
        if root.read(path, FILE_LIMIT, &mut content).is_err() {
            continue;
        }
        let lines = content.split(|&byte| byte == b'\n').enumerate();
        // The last one counts.
        let set = lines.filter_map(|(at, line)| Some((at, value(line, tunable.name)?)));
        if let Some((at, text)) = set.last()
            && actual.is_none_or(|actual| kernel_parse(tunable, text) == Some(actual))
        {
            suspects.push(Suspect::File {
                program,
                path: Path::new("/").join(path),
                line: at + 1,
            });
        }
    }
    suspects
}

fn kdump_value<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let words = line.trim_ascii_start().strip_prefix(b"KDUMP_SYSCTL=")?;
    words
        .split(|byte| b" \t\"'".contains(byte))
        .rev()
        .find_map(|word| word.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tunable::TUNABLES;

    #[test]
    fn names_who_would_set_the_tunable() {
        let root = std::env::temp_dir().join(format!("kubelet-tunables-s-{}", std::process::id()));
        let suspects = |tunable, actual| super::suspects(&Root::machine(&root), tunable, actual);
        for folder in ["run/tuned", "etc/default", "etc/ufw"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let kernel_panic_on_oops = &TUNABLES[3];
        assert_eq!(suspects(kernel_panic_on_oops, None), []);
        for (path, content) in [
            (
                "etc/default/kdump-tools",
                "USE_KDUMP=1\nKDUMP_SYSCTL=\"kernel.panic_on_oops=1 kernel.panic=30\"\n",
            ),
            ("etc/ufw/sysctl.conf", "#kernel/panic_on_oops=1\n"),
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
            [
                Suspect::Tuned,
                file("kdump-tools", "/etc/default/kdump-tools", 2),
                file("sysctl -p", "/etc/sysctl.conf", 3),
            ]
        );
        assert_eq!(suspects(kernel_panic_on_oops, Some(0)), [Suspect::Tuned]);
        let kdump = file("kdump-tools", "/etc/default/kdump-tools", 2);
        let sysctl = file("sysctl -p", "/etc/sysctl.conf", 5);
        assert_eq!(suspects(&TUNABLES[2], Some(1)), [Suspect::Tuned, sysctl]);
        assert_eq!(suspects(&TUNABLES[2], Some(30)), [Suspect::Tuned, kdump]);
        assert_eq!(suspects(&TUNABLES[2], None).len(), 3);
        assert_eq!(
            suspects(&TUNABLES[2], Some(7)),
            [Suspect::Tuned],
            "the last line counts"
        );
        fs::remove_dir_all(&root).unwrap();
    }
}
