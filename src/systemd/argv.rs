//! Replaces the variables in the words of a command as systemd does, and finds kubelet in them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Replaces each word `$NAME` by the words of that variable, and each `${NAME}` within a word by its value, unsplit; one
/// that is not set by nothing.
///
/// `variable` is the value of a variable. Source: `replace_env_argv()` in systemd's `src/basic/env-util.c`; the suite
/// `tests/systemd/words` compares.
pub fn expand(words: &[OsString], variable: impl Fn(&OsStr) -> Option<OsString>) -> Vec<OsString> {
    let mut expanded = Vec::with_capacity(words.len());
    for word in words {
        match word.as_bytes() {
            [b'$', name @ ..] if !matches!(name.first(), Some(b'{' | b'$')) => {
                if let Some(value) = variable(OsStr::from_bytes(name)) {
                    expanded.extend(split(value.as_bytes()));
                }
            }
            word => expanded.push(OsString::from_vec(replace(word, &variable))),
        }
    }
    expanded
}

/// Replaces `${NAME}` and `$$` in a word. What has no end or a colon in it, such as `${NAME:-default}`, stays.
fn replace(word: &[u8], variable: impl Fn(&OsStr) -> Option<OsString>) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'$' {
            replaced.push(byte);
            continue;
        }
        match after {
            [b'$', after @ ..] => {
                replaced.push(b'$');
                rest = after;
            }
            [b'{', name @ ..] => {
                let end = name.iter().position(|byte| matches!(byte, b'}' | b':'));
                if let Some(end) = end.filter(|&end| name[end] == b'}') {
                    let value = variable(OsStr::from_bytes(&name[..end]));
                    replaced.extend(value.unwrap_or_default().as_bytes());
                    rest = &name[end + 1..];
                } else {
                    // systemd goes on behind the colon, or there is nothing more to replace.
                    let kept = end.map_or(name.len(), |end| end + 1);
                    replaced.extend_from_slice(b"${");
                    replaced.extend_from_slice(&name[..kept]);
                    rest = &name[kept..];
                }
            }
            _ => replaced.push(b'$'),
        }
    }
    replaced
}

/// Splits a value at white space. Quotes of either kind keep white space in a word and are dropped; a backslash takes the
/// next character as it is.
///
/// Source: `extract_first_word()` in systemd's `src/basic/extract-word.c` with `EXTRACT_RELAX|EXTRACT_UNQUOTE`.
pub fn split(value: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => word.get_or_insert_default().extend(bytes.next()),
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (_, Some(open)) if byte == open => quote = None,
            (b' ' | b'\t' | b'\n' | b'\r', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words.into_iter().map(OsString::from_vec).collect()
}

/// Programs that run another one elsewhere (with other files, on another machine, in another unit), and shells, which do
/// with their words what they like: which files that kubelet reads, or which flags it gets, is not known.
const OPAQUE: [&str; 51] = [
    // Shells.
    "ash",
    "bash",
    "busybox",
    "csh",
    "dash",
    "fish",
    "ksh",
    "mksh",
    "sh",
    "tcsh",
    "zsh",
    // Containers.
    "apptainer",
    "buildah",
    "bwrap",
    "crictl",
    "crun",
    "ctr",
    "distrobox",
    "docker",
    "flatpak",
    "incus",
    "kubectl",
    "lxc",
    "nerdctl",
    "podman",
    "rkt",
    "runc",
    "runsc",
    "singularity",
    "snap",
    "toolbox",
    "youki",
    // Another root.
    "chroot",
    "nsenter",
    "pivot_root",
    "proot",
    "schroot",
    "switch_root",
    "systemd-nspawn",
    // Another machine, unit or user's session.
    "dbus-run-session",
    "machinectl",
    "mosh",
    "rsh",
    "run0",
    "ssh",
    "su",
    "systemctl",
    "systemd-run",
    "vagrant",
    // Words from elsewhere, or to be given in another order.
    "start-stop-daemon",
    "xargs",
];

/// Finds where kubelet begins: its command line with the program first, or none where that is not known.
///
/// `is_executable` says whether a path is that of an executable file. A wrapper may stand before kubelet
/// (`kubenswrapper`, `nice`, `env`), unless it runs its program elsewhere. A word `kubelet` without a path may be anything,
/// such as a container's name.
pub fn kubelet(words: &[OsString], is_executable: impl Fn(&Path) -> bool) -> Option<&[OsString]> {
    for (at, word) in words.iter().enumerate() {
        let path = Path::new(word);
        let name = path.file_name().unwrap_or_default().as_bytes();
        if at == 0 || path.is_absolute() && is_executable(path) {
            if name == b"kubelet" {
                return Some(&words[at..]);
            }
            if name == b"hyperkube" && words.get(at + 1).is_some_and(|word| word == "kubelet") {
                return Some(&words[at + 1..]);
            }
        }
        if name.starts_with(b"lxc-") || OPAQUE.iter().any(|opaque| name == opaque.as_bytes()) {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn replaces_as_systemd_does() {
        let variable = |name: &OsStr| match name.to_str()? {
            "TWO" => Some("--a=1 --b".into()),
            "EMPTY" => Some("".into()),
            "QUOTED" => Some(r#""--a=x y" '--b="z"' c\ d "" "#.into()),
            "OPEN" => Some(r#"a "b c"#.into()),
            "BACKSLASH" => Some(r"a \".into()),
            _ => None,
        };
        let cases: &[(&[&str], &[&str])] = &[
            (&["kubelet", "$TWO"], &["kubelet", "--a=1", "--b"]),
            (&["kubelet", "$UNSET", "$EMPTY"], &["kubelet"]),
            (&["$QUOTED"], &["--a=x y", "--b=\"z\"", "c d", ""]),
            (&["$OPEN", "$BACKSLASH"], &["a", "b c", "a", ""]),
            (&["--x=$TWO", "$TWO/x", "$", "$1"], &["--x=$TWO"]),
            (
                &["${TWO}", "--x=${TWO}y${EMPTY}"],
                &["--a=1 --b", "--x=--a=1 --by"],
            ),
            (
                &["${UNSET}", "${", "${TWO", "${}x"],
                &["", "${", "${TWO", "x"],
            ),
            (&["$$TWO", "$$$", "a$$${EMPTY}b"], &["$TWO", "$$", "a$b"]),
            (&["${TWO:-x}${EMPTY}"], &["${TWO:-x}"]),
            (&["${TWO:${EMPTY}}"], &["${TWO:}"]),
            (&["${UN$SET}${UN${EMPTY}}"], &["}"]),
        ];
        for (line, expected) in cases {
            assert_eq!(expand(&words(line), variable), *expected, "{line:?}");
        }
    }
    #[test]
    fn finds_where_kubelet_begins() {
        let begins = |line: &str, executable: &[&str]| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let found = kubelet(&words, |path| {
                executable.iter().any(|it| path == Path::new(it))
            });
            found.map(|words| words.join(OsStr::new(" ")))
        };
        let here: &[&str] = &[
            "/k/kubelet",
            "/bin/docker",
            "/bin/sh",
            "/bin/nice",
            "/k/hyperkube",
        ];
        for (line, expected) in [
            ("/k/kubelet --x", "/k/kubelet --x"),
            ("kubelet --x", "kubelet --x"),
            ("/elsewhere/kubelet", "/elsewhere/kubelet"),
            ("/bin/kubenswrapper /k/kubelet --x", "/k/kubelet --x"),
            (
                "/bin/nice -n 5 /bin/env A=b /k/kubelet /k/kubelet",
                "/k/kubelet /k/kubelet",
            ),
            ("/k/hyperkube kubelet --x", "kubelet --x"),
            ("hyperkube kubelet", "kubelet"),
            ("/bin/nice /k/hyperkube kubelet --x", "kubelet --x"),
        ] {
            assert_eq!(
                begins(line, here).as_deref(),
                Some(OsStr::new(expected)),
                "{line}"
            );
        }
        for line in [
            "/bin/docker logs -f kubelet",
            "/bin/docker run -v /k/kubelet:/k/kubelet x /k/kubelet --x",
            "/bin/podman run x /k/kubelet",
            "/bin/nice chroot /x /k/kubelet",
            "/bin/nice /bin/docker exec x /k/kubelet",
            "/bin/lxc-attach -n x /k/kubelet",
            "/bin/sh -c exec /k/kubelet",
            "/bin/wrapper /not/there/kubelet",
            "/bin/wrapper k/kubelet",
            "/bin/wrapper kubelet --x",
            "/bin/wrapper hyperkube kubelet",
            "/k/hyperkube apiserver kubelet",
            "/k/hyperkube",
            "/k/kubelet-wrapper --x",
            "/bin/wrapper --kubelet=/k/kubelet",
            "..",
            "",
        ] {
            assert_eq!(begins(line, here), None, "{line}");
        }
        assert_eq!(kubelet(&[], |_| true), None);
    }
}
