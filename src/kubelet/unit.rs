//! Owns the question what a systemd unit tells kubelet: its `ExecStart=` words and its environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::words::{expand, split};
use super::{FILE_LIMIT, under};
use crate::background::Background;
use crate::file;

/// How long systemctl may take.
const LIMIT: Duration = Duration::from_millis(1500);

/// The command line of the unit's main program, with its variables replaced as systemd does when it starts it.
///
/// # Errors
///
/// When systemctl cannot be run or does not know the unit, or a file of its environment that has to be there cannot be
/// read.
pub fn command_line(root: &Path, unit: &OsStr) -> anyhow::Result<Vec<OsString>> {
    let output = ask(unit)?;
    ensure!(
        output.status.success(),
        "systemctl show {}: {}",
        unit.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let shown = Shown::parse(&output.stdout);
    ensure!(shown.is_loaded, "systemd knows no unit {}", unit.display());
    let mut environment = shown.environment;
    let mut content = Vec::new();
    for (path, may_be_missing) in shown.files {
        let path = Path::new("/").join(OsStr::from_bytes(path));
        match file::read(&under(root, &path), FILE_LIMIT, &mut content) {
            Ok(()) => environment.extend(assignments(&content)),
            // What is too large for us is not so for systemd.
            Err(error) if may_be_missing && error.kind() != io::ErrorKind::FileTooLarge => {}
            Err(error) => bail!("read {}: {error}", path.display()),
        }
    }
    ensure!(
        !shown.words.is_empty(),
        "{} has no ExecStart=",
        unit.display()
    );
    Ok(expand(&shown.words, |name| {
        environment.get(name.as_bytes()).cloned()
    }))
}

/// Has systemctl show what matters of the unit; systemd does not answer it while it is stuck.
fn ask(unit: &OsStr) -> anyhow::Result<Output> {
    let systemctl = Command::new("systemctl")
        .args([
            "show",
            "--property=LoadState,ExecStart,Environment,EnvironmentFiles",
            "--",
        ])
        .arg(unit)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("run systemctl")?;
    let pid = Pid::from_child(&systemctl);
    let work = Background::start(|| systemctl.wait_with_output()).context("start a thread")?;
    if let Some(output) = work.wait(LIMIT) {
        return output.context("run systemctl");
    }
    let _ = kill_process(pid, Signal::KILL);
    bail!("systemctl show {}: no answer in time", unit.display())
}

/// What `systemctl show` says.
#[derive(Debug, Default)]
struct Shown<'a> {
    is_loaded: bool,
    words: Vec<OsString>,
    environment: BTreeMap<Vec<u8>, OsString>,
    /// Paths, and whether each may be missing.
    files: Vec<(&'a [u8], bool)>,
}

impl<'a> Shown<'a> {
    fn parse(text: &'a [u8]) -> Self {
        let mut shown = Self::default();
        for line in text.split(|&byte| byte == b'\n') {
            if let Some(state) = line.strip_prefix(b"LoadState=") {
                shown.is_loaded = state == b"loaded";
            } else if let Some(start) = line.strip_prefix(b"ExecStart=") {
                shown.words = argv(start).map(split).unwrap_or_default();
            } else if let Some(variables) = line.strip_prefix(b"Environment=") {
                shown.environment.extend(
                    split(variables)
                        .iter()
                        .filter_map(|word| pair(word.as_bytes())),
                );
            } else if let Some(file) = line.strip_prefix(b"EnvironmentFiles=") {
                if let Some(path) = file.strip_suffix(b" (ignore_errors=yes)") {
                    shown.files.push((path, true));
                } else if let Some(path) = file.strip_suffix(b" (ignore_errors=no)") {
                    shown.files.push((path, false));
                }
            }
        }
        shown
    }
}

/// The words in `{ path=... ; argv[]=... ; ignore_errors=... }`.
fn argv(start: &[u8]) -> Option<&[u8]> {
    let find = |text: &[u8], what: &[u8]| memchr::memmem::find(text, what);
    let begin = find(start, b"argv[]=")? + b"argv[]=".len();
    let end = find(&start[begin..], b" ; ignore_errors=")?;
    Some(&start[begin..begin + end])
}

fn pair(assignment: &[u8]) -> Option<(Vec<u8>, OsString)> {
    let at = memchr::memchr(b'=', assignment)?;
    let value = OsString::from_vec(assignment[at + 1..].to_vec());
    Some((assignment[..at].to_vec(), value))
}

/// The assignments of a file for `EnvironmentFile=`: one a line, comments begin with `#` or `;`, a backslash at the end
/// joins the next line, quotes around a value are dropped (systemd.exec(5)).
fn assignments(content: &[u8]) -> Vec<(Vec<u8>, OsString)> {
    let text = String::from_utf8_lossy(content).replace("\\\n", "");
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| {
            (
                name.trim_end().as_bytes().to_vec(),
                unquote(value.trim()).into(),
            )
        })
        .collect()
}

/// Drops quotes as a shell does, and a backslash before what it protects.
fn unquote(value: &str) -> String {
    let mut plain = String::new();
    let mut quote = None;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\'' | '"', None) => quote = Some(character),
            (_, Some(open)) if character == open => quote = None,
            ('\\', None | Some('"')) => plain.extend(characters.next()),
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_systemctl_shows() {
        // The first as systemd 257 prints it, the second as 262 does.
        let plain = "LoadState=loaded\n\
            Environment=\"KUBELET_KUBECONFIG_ARGS=--kubeconfig=/k --x=1\" KUBELET_CONFIG_ARGS=--config=/c\n\
            EnvironmentFiles=/var/lib/kubelet/kubeadm-flags.env (ignore_errors=yes)\n\
            EnvironmentFiles=/etc/default/kubelet (ignore_errors=no)\n\
            ExecStart={ path=/usr/bin/kubelet ; argv[]=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS ; ignore_errors=no ; start_time=[n/a] }\n";
        let quoted = plain.replace(
            " $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS",
            r#" "\$KUBELET_KUBECONFIG_ARGS" "\$KUBELET_CONFIG_ARGS""#,
        );
        for text in [plain, &quoted] {
            let shown = Shown::parse(text.as_bytes());
            assert!(shown.is_loaded);
            let words = expand(&shown.words, |name| {
                shown.environment.get(name.as_bytes()).cloned()
            });
            assert_eq!(
                words,
                [
                    "/usr/bin/kubelet",
                    "--kubeconfig=/k",
                    "--x=1",
                    "--config=/c"
                ],
                "{text}"
            );
            assert_eq!(
                shown.files,
                [
                    (&b"/var/lib/kubelet/kubeadm-flags.env"[..], true),
                    (b"/etc/default/kubelet", false)
                ]
            );
        }
        assert!(!Shown::parse(b"LoadState=not-found\n").is_loaded);
    }

    #[test]
    fn reads_environment_files_as_systemd_does() {
        let cases = [
            ("A=b", Some("b")),
            ("A=b c\n", Some("b c")),
            ("A=\"b c\"\n", Some("b c")),
            ("A='b \"c\"'\n", Some("b \"c\"")),
            ("A=b\\\nc", Some("bc")),
            ("A=b\\ c", Some("b c")),
            (" A = b \n", Some("b")),
            ("A=", Some("")),
            ("A=x\nA=y", Some("y")),
            ("#A=b", None),
            (";A=b", None),
            ("A", None),
        ];
        for (content, expected) in cases {
            let variables: BTreeMap<_, _> = assignments(content.as_bytes()).into_iter().collect();
            let value = variables.get(&b"A"[..]);
            assert_eq!(
                value.map(OsString::as_os_str),
                expected.map(OsStr::new),
                "{content}"
            );
        }
    }
}
