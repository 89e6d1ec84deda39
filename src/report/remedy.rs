//! Owns the way to mend it: commands to be typed, for now and for good, that fit who did it.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::geteuid;

use super::origin::NextBoot;
use crate::boot::sysctl_d::Assignment;
use crate::boot::{Boot, taken};
use crate::check::{Finding, Outcome, Verdict};
use crate::sysctl::SysctlError;
use crate::tunable::Tunable;

/// The file with all six that the packages install.
const SHIPPED: &str = "/usr/share/kubelet-tunables/90-kubelet.conf";
/// Where it takes effect, and where it goes when a file that nobody should edit is read after the first.
const NAMES: [&str; 2] = ["90-kubelet.conf", "zz-kubelet.conf"];

/// A command and what it is for.
#[derive(Debug)]
pub(super) struct Remedy {
    pub(super) purpose: &'static str,
    pub(super) command: String,
}

/// What mends all that is wrong now or will be after the next boot; each command can be typed as it stands.
pub(super) fn of(verdict: &Verdict, next: &[NextBoot], boot: &Boot, root: &Path) -> Vec<Remedy> {
    let typist = Typist::who_runs_this();
    let modify = typist.run("kubelet-tunables --modify");
    let findings = &verdict.findings;
    let is_wrong_now = |finding: &Finding| matches!(finding.outcome, Outcome::Mismatch { .. });
    let wrong_now: Vec<_> = findings
        .iter()
        .zip(next)
        .filter(|(finding, _)| is_wrong_now(finding))
        .collect();
    let lasts = wrong_now
        .iter()
        .all(|(_, next)| matches!(next, NextBoot::Right));
    let wrong_later: Vec<_> = findings
        .iter()
        .zip(next)
        .filter(|(finding, next)| match next {
            NextBoot::Right => false,
            NextBoot::Wrong { .. } => true,
            NextBoot::Unknown(_) => is_wrong_now(finding) && !is_asked_for(finding.tunable, boot),
        })
        .map(|(finding, _)| finding.tunable)
        .collect();
    let mut remedies = Vec::new();
    let mut add = |purpose, command| remedies.push(Remedy { purpose, command });
    match refusal(findings) {
        Some(io::ErrorKind::PermissionDenied) if typist == Typist::Other => {
            add("Only root may change them", modify);
        }
        Some(io::ErrorKind::PermissionDenied) => {
            add(
                "Even root may not change them here, as in a user namespace or under a security module. To mend it from a shell on the host",
                modify,
            );
        }
        Some(io::ErrorKind::ReadOnlyFilesystem) => {
            add(
                "/proc/sys is read-only here, as in a container or a unit with ProtectKernelTunables=. To mend it from a shell on the host",
                modify,
            );
        }
        _ if wrong_now.is_empty() => {}
        _ if !lasts || !wrong_later.is_empty() => add("To mend it now", modify),
        _ => {
            // systemd-sysctl sets nothing that will be right by the kernel's default or command line.
            let in_files = wrong_now
                .iter()
                .all(|(finding, _)| is_asked_for(finding.tunable, boot));
            let command = if in_files {
                typist.run("systemctl restart systemd-sysctl")
            } else {
                modify
            };
            add("To mend it now and for good", command);
        }
    }
    if !wrong_later.is_empty() {
        add("For good", for_good(&wrong_later, boot, root, typist));
    }
    remedies
}

/// Who is to type the commands, each of which root alone may run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Typist {
    Root,
    Other,
}

impl Typist {
    fn who_runs_this() -> Self {
        if geteuid().is_root() {
            Self::Root
        } else {
            Self::Other
        }
    }

    fn run(self, command: &str) -> String {
        match self {
            Self::Root => command.to_string(),
            Self::Other => format!("sudo {command}"),
        }
    }

    /// Appends to a file what a command prints.
    fn append(self, command: &str, file: &str) -> String {
        match self {
            Self::Root => format!("{command} >>{file}"),
            // The shell that opens the file of a `>>` is not root.
            Self::Other => format!("{command} | sudo tee -a {file} >/dev/null"),
        }
    }
}

/// Whether a line of sysctl.d asks for what kubelet needs.
fn is_asked_for(tunable: &Tunable, boot: &Boot) -> bool {
    boot.assignment(tunable)
        .is_some_and(|line| taken(tunable, &line.text) == Some(tunable.expected))
}

fn refusal(findings: &[Finding]) -> Option<io::ErrorKind> {
    findings.iter().find_map(|finding| match &finding.outcome {
        Outcome::Unwritable {
            error: SysctlError::Io { source, .. },
            ..
        } => Some(source.kind()),
        _ => None,
    })
}

/// Changes the lines that would win over ours, and sees to the others by a file of our own.
fn for_good(tunables: &[&Tunable], boot: &Boot, root: &Path, typist: Typist) -> String {
    let name = file_name(tunables, boot, root);
    let ours = format!("/etc/sysctl.d/{name}");
    let mut commands = BTreeSet::new();
    let mut missing = Vec::new();
    for tunable in tunables {
        match boot
            .beats(&name, tunable)
            .or_else(|| in_file(&ours, boot, tunable))
        {
            Some(line) => {
                commands.insert(typist.run(&change(line, tunable)));
            }
            None => missing.push(*tunable),
        }
    }
    let mut commands: Vec<_> = commands.into_iter().collect();
    if !missing.is_empty() {
        let is_there = |path: &str| root.join(path.trim_start_matches('/')).exists();
        let our_word = shell_word(Path::new(&ours));
        commands.push(if is_there(SHIPPED) && !is_there(&ours) {
            typist.run(&format!("cp {SHIPPED} {our_word}"))
        } else {
            let lines: Vec<_> = missing
                .iter()
                .map(|tunable| format!("'{} = {}'", tunable.name, tunable.expected))
                .collect();
            // The first, empty line ends a last line that has no end.
            typist.append(&format!("printf '%s\\n' '' {}", lines.join(" ")), &our_word)
        });
    }
    commands.join(" && ")
}

/// A name for our file: the usual one, unless it is masked or a file that is not the administrator's is read after it.
fn file_name(tunables: &[&Tunable], boot: &Boot, root: &Path) -> String {
    let fits = |name: &str| {
        let path = root.join("etc/sysctl.d").join(name);
        !path.is_symlink()
            && tunables
                .iter()
                .all(|tunable| boot.beats(name, tunable).is_none_or(is_administrators))
    };
    match NAMES.into_iter().find(|name| fits(name)) {
        Some(name) => name.to_string(),
        // A file that sorts after "zz-kubelet.conf": one whose name begins with that of the file is read after it.
        None => tunables
            .iter()
            .filter_map(|tunable| boot.beats(NAMES[1], tunable))
            .filter_map(|line| Some(format!("{}-kubelet.conf", line.path.file_name()?.to_str()?)))
            .max()
            .unwrap_or_else(|| NAMES[1].to_string()),
    }
}

/// Whether a person may edit the file: what is below /usr/lib is a package's, what is below /run is gone at the next boot.
fn is_administrators(line: &Assignment) -> bool {
    ["/etc", "/usr/local"]
        .iter()
        .any(|folder| line.path.starts_with(folder))
}

/// The line of our own file that sets it already, and wrongly.
fn in_file<'a>(ours: &str, boot: &'a Boot, tunable: &Tunable) -> Option<&'a Assignment> {
    boot.assignment(tunable)
        .filter(|line| line.explicit && *line.path == *Path::new(ours))
}

fn change(line: &Assignment, tunable: &Tunable) -> String {
    // The file may be a link, as /etc/sysctl.d/99-sysctl.conf is; sed would put a file in its place.
    format!(
        "sed -i --follow-symlinks '{}s/.*/{} = {}/' {}",
        line.line,
        tunable.name,
        tunable.expected,
        shell_word(&line.path)
    )
}

/// The path as a shell takes it for one word, on one line.
fn shell_word(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let is_harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    match str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(is_harmless) => text.to_string(),
        Ok(text) if !text.contains(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        // What is no text, or would break a line, the shell reads from escapes.
        _ => format!("$'{}'", bytes.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_path_is_one_word_to_the_shell_whatever_it_holds() {
        let paths: [&[u8]; 7] = [
            b"/etc/sysctl.d/99-custom.conf",
            b"/etc/sysctl.d/a b.conf",
            b"/etc/sysctl.d/it's $(a) `b` \"c\".conf",
            b"/etc/sysctl.d/\xc3\xa9.conf",
            b"/etc/sysctl.d/line\nend.conf",
            b"/etc/sysctl.d/\x1b[2J'\"\\t.conf",
            b"/etc/sysctl.d/\xff?*.conf",
        ];
        for path in paths {
            let word = shell_word(Path::new(OsStr::from_bytes(path)));
            assert!(!word.contains(char::is_control), "{word:?}");
            let script = format!("printf %s {word}");
            let printed = Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(printed.stdout, path, "{word}");
        }
    }
}
