//! Finds kubelet's own command line in the command that a unit or a person starts.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::files::file;
use crate::files::root::Root;

/// The folders in which systemd searches for a program that is given without a path.
///
/// Source: `DEFAULT_PATH` in systemd's `src/basic/path-util.h`; the last two are for a /usr that is not merged.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The first part of a command that may hide kubelet's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotKubelet {
    /// This program is neither kubelet nor a wrapper that passes its words on.
    Unrecognized(PathBuf),
    /// This program behind a wrapper has no full path.
    NoPath(PathBuf),
    /// This program is a script, which may start kubelet with other arguments.
    Script(PathBuf),
    /// This option of a wrapper may change what kubelet sees, or is not one that the wrapper is known to have.
    WrapperOption {
        /// The wrapper.
        wrapper: PathBuf,
        /// The option.
        option: OsString,
    },
}

/// Kubelet's command line, whose first word is the program, or what may hide it.
type Found<'a> = Result<&'a [OsString], NotKubelet>;

/// Programs that start another one with the words behind their own, as the same user, in the same directory, and with the
/// same files. Each has a line: its name, its options, of which those that end in `=` take a value, and what may stand
/// between them and the program: NUMBER, such as the mask of taskset, or SETTINGS of variables.
///
/// Of env, --chdir is left out, which changes what a relative path leads to, and --split-string, which has a syntax of its
/// own. kubenswrapper enters a mount namespace that is a copy of the host's, or none. Deckhouse's d8-kubelet-forker is left
/// out: it sets the tunables itself before it starts kubelet.
///
/// Sources: their manual pages in coreutils, util-linux, numactl and systemd, and `kubensenter` in
/// github.com/containers/kubensmnt.
const WRAPPERS: &str = "\
choom -n= --adjust=
chrt -a -b -d -e -f -i -o -r -R -v -T= -P= -D= --all-tasks --batch --deadline --ext --fifo --idle \
    --other --reset-on-fork --rr --sched-deadline= --sched-period= --sched-runtime= --verbose NUMBER
env -i -u= --ignore-environment --unset= SETTINGS
ionice -c= -n= -t --class= --classdata= --ignore
kubenswrapper
nice -n= -0 -1 -2 -3 -4 -5 -6 -7 -8 -9 --adjustment=
nohup
numactl -a -b -l -C= -N= -P= -i= -m= -p= -w= --all --balancing --cpunodebind= --interleave= \
    --localalloc --membind= --physcpubind= --preferred= --preferred-many= --weighted-interleave=
setsid -c -f -w --ctty --fork --wait
stdbuf -e= -i= -o= --error= --input= --output=
systemd-cat -p= -t= --identifier= --level-prefix= --priority= --stderr-priority=
systemd-inhibit --mode= --what= --who= --why=
taskset -a -c --all-tasks --cpu-list NUMBER
timeout -f -p -v -k= -s= --foreground --kill-after= --preserve-status --signal= --verbose NUMBER";

/// Finds kubelet: the first word, `hyperkube kubelet`, or either of them by its path behind wrappers that pass their words
/// on. Returns its command line, whose first word is the program.
///
/// # Errors
///
/// Says where something else may decide kubelet's arguments.
pub fn find<'a>(root: &Root, directory: &Path, words: &'a [OsString]) -> Found<'a> {
    let mut rest = words;
    loop {
        let Some((program, behind)) = rest.split_first() else {
            return Err(NotKubelet::Unrecognized(PathBuf::new()));
        };
        let path = Path::new(program);
        let name = path.file_name().unwrap_or_default();
        let found = match name.as_bytes() {
            b"kubelet" => Some(rest),
            b"hyperkube" if behind.first().is_some_and(|word| word == "kubelet") => Some(behind),
            _ => None,
        };
        let wrapper = WRAPPERS.lines().find_map(|line| {
            let (known, options) = line.split_once(' ').unwrap_or((line, ""));
            (name == known).then_some(options)
        });
        // The wrapper before it looks for a word without a path in places of its own.
        let has_place = rest.len() == words.len() || path.is_absolute();
        let options = match (found, wrapper) {
            (None, None) => return Err(NotKubelet::Unrecognized(path.to_path_buf())),
            _ if !has_place => return Err(NotKubelet::NoPath(path.to_path_buf())),
            (Some(found), _) => return refuse_script(root, directory, path).map(|()| found),
            (None, Some(options)) => options,
        };
        // OpenShift's is a script as it is delivered.
        if name != "kubenswrapper" {
            refuse_script(root, directory, path)?;
        }
        rest = passed_on(options, behind).map_err(|option| {
            let (wrapper, option) = (path.to_path_buf(), option.to_os_string());
            NotKubelet::WrapperOption { wrapper, option }
        })?;
    }
}

/// Finds kubelet in a command line that a person gives, who may also call it by a name such as kubelet-1.36.
///
/// # Errors
///
/// Those of [`find`].
pub fn find_given<'a>(root: &Root, directory: &Path, words: &'a [OsString]) -> Found<'a> {
    let found = find(root, directory, words);
    let Err(NotKubelet::Unrecognized(program)) = &found else {
        return found;
    };
    let name = program.file_name().unwrap_or_default().as_bytes();
    // A blank would be that of a whole command line in quotes.
    if !name.starts_with(b"kubelet") || name.contains(&b' ') || words[0] != *program {
        return found;
    }
    refuse_script(root, directory, program)?;
    Ok(words)
}

/// Returns the words that a wrapper with these options starts, or the option that is not known.
fn passed_on<'a>(options: &str, mut words: &'a [OsString]) -> Result<&'a [OsString], &'a OsStr> {
    while let Some((word, behind)) = words.split_first() {
        if word == "--" {
            words = behind;
            break;
        }
        if !matches!(word.as_bytes(), [b'-', _, ..]) {
            break;
        }
        let takes_next = word.to_str().and_then(|word| takes_next(options, word));
        let taken = usize::from(takes_next.ok_or(word.as_os_str())?);
        words = &behind[taken.min(behind.len())..];
    }
    let is_number = |word: &&OsString| word.as_bytes().first().is_some_and(u8::is_ascii_digit);
    // With another PATH, a wrapper without a path may be another program.
    let is_setting = |word: &&OsString| {
        let word = word.as_bytes();
        word.contains(&b'=') && !word.starts_with(b"PATH=")
    };
    let own = match options.rsplit(' ').next() {
        Some("NUMBER") => words.iter().take(1).filter(is_number).count(),
        Some("SETTINGS") => words.iter().take_while(is_setting).count(),
        _ => 0,
    };
    Ok(&words[own..])
}

/// Returns true if the next word is the value of the last option in this one; none if one is not known.
fn takes_next(options: &str, word: &str) -> Option<bool> {
    let takes_value = |option: &str| {
        let mut options = options.split(' ');
        let found = options.find(|known| known.strip_suffix('=').unwrap_or(known) == option);
        found.map(|known| known.ends_with('='))
    };
    if word.starts_with("--") {
        return match word.split_once('=') {
            Some((option, _)) => takes_value(option)?.then_some(false),
            None => takes_value(word),
        };
    }
    for (at, letter) in word.char_indices().skip(1) {
        if takes_value(&format!("-{letter}"))? {
            return Some(at + letter.len_utf8() == word.len());
        }
    }
    Some(false)
}

/// Refuses a program that the kernel would hand to an interpreter. One that cannot be read is taken for none.
fn refuse_script(root: &Root, directory: &Path, program: &Path) -> Result<(), NotKubelet> {
    let place = if program.as_os_str().as_bytes().contains(&b'/') {
        Some(directory.join(program))
    } else {
        let folders = PATH.split(':').map(Path::new);
        let mut places = folders.map(|folder| folder.join(program));
        places.find(|place| is_executable(root, place))
    };
    let mut start = [0; 2];
    let file = place.map(|place| root.open(place));
    if let Some(Ok(mut file)) = file
        && file::read_some(&mut file, &mut start).is_ok()
        && start == *b"#!"
    {
        return Err(NotKubelet::Script(program.to_path_buf()));
    }
    Ok(())
}

/// Returns true if systemd would take the file for a program.
///
/// Source: `find_executable_full()` in systemd's `src/basic/path-util.c`.
fn is_executable(root: &Root, path: &Path) -> bool {
    root.stat(path).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_mode & 0o111 != 0
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// What is found in a line: kubelet's words, or why not.
    fn found(root: &Path, line: &str, given: bool) -> String {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let find = if given { find_given } else { find };
        match find(&Root::machine(root), Path::new("/work"), &words) {
            Ok(words) => words.join(OsStr::new(" ")).into_string().unwrap(),
            Err(NotKubelet::Unrecognized(program)) => format!("not: {}", program.display()),
            Err(NotKubelet::NoPath(program)) => format!("no path: {}", program.display()),
            Err(NotKubelet::Script(program)) => format!("script: {}", program.display()),
            Err(NotKubelet::WrapperOption { wrapper, option }) => {
                format!("option: {} {}", wrapper.display(), option.display())
            }
        }
    }

    #[test]
    fn finds_kubelet_behind_wrappers_that_pass_words_on() {
        for (line, expected) in [
            ("/k/kubelet --x", "/k/kubelet --x"),
            ("kubelet --x", "kubelet --x"),
            ("hyperkube kubelet --x", "kubelet --x"),
            ("/k/hyperkube kubelet --x", "kubelet --x"),
            ("nice /k/hyperkube kubelet --x", "kubelet --x"),
            ("/u/kubenswrapper /k/kubelet --x", "/k/kubelet --x"),
            ("nice -n 5 /k/kubelet nice", "/k/kubelet nice"),
            ("nice -n-5 /k/kubelet", "/k/kubelet"),
            ("nice -15 /k/kubelet", "/k/kubelet"),
            (
                "nice --adjustment=5 /u/env A=b C= /k/kubelet A=b",
                "/k/kubelet A=b",
            ),
            ("nice --adjustment 5 -- /k/kubelet", "/k/kubelet"),
            ("ionice -c 2 -n0 /u/chrt -r 99 /k/kubelet", "/k/kubelet"),
            ("ionice -tc2 /k/kubelet", "/k/kubelet"),
            ("chrt -o 0 /k/kubelet", "/k/kubelet"),
            ("taskset -c 0-3,8 /k/kubelet", "/k/kubelet"),
            ("taskset 0x3 /k/kubelet", "/k/kubelet"),
            ("numactl -N 0 --membind=0 /k/kubelet", "/k/kubelet"),
            ("env -i -u X A=b /k/kubelet", "/k/kubelet"),
            ("stdbuf -oL -e 0 /k/kubelet", "/k/kubelet"),
            ("timeout -k 5 --signal=KILL 10s /k/kubelet", "/k/kubelet"),
            ("setsid -w /k/kubelet", "/k/kubelet"),
            (
                "systemd-inhibit --what sleep --why=x /k/kubelet",
                "/k/kubelet",
            ),
            ("systemd-cat -t kubelet /k/kubelet", "/k/kubelet"),
            ("choom -n -999 -- /k/kubelet", "/k/kubelet"),
            // What another program does is not known.
            ("/bin/docker logs -f kubelet", "not: /bin/docker"),
            ("/bin/docker run x /k/kubelet --x", "not: /bin/docker"),
            ("sh -c /k/kubelet", "not: sh"),
            ("nice chroot /x /k/kubelet", "not: chroot"),
            ("nice -5 sudo /k/kubelet", "not: sudo"),
            ("timeout chroot /k/kubelet", "not: chroot"),
            ("chrt -o sudo /k/kubelet", "not: sudo"),
            ("setsid -w unshare --root=/k /k/kubelet", "not: unshare"),
            (
                "/opt/d8-kubelet-forker /k/kubelet",
                "not: /opt/d8-kubelet-forker",
            ),
            ("/k/hyperkube apiserver kubelet", "not: /k/hyperkube"),
            ("/k/hyperkube", "not: /k/hyperkube"),
            ("/k/kubelet-1.36 --x", "not: /k/kubelet-1.36"),
            ("nice kubelet --x", "no path: kubelet"),
            ("nice hyperkube kubelet", "no path: hyperkube"),
            ("nice k/kubelet", "no path: k/kubelet"),
            (
                "nice --kubelet=/k/kubelet",
                "option: nice --kubelet=/k/kubelet",
            ),
            ("env -C /x /k/kubelet", "option: env -C"),
            ("env -iC/x /k/kubelet", "option: env -iC/x"),
            ("env --chdir=/x /k/kubelet", "option: env --chdir=/x"),
            ("env -S /k/kubelet", "option: env -S"),
            ("env - /k/kubelet", "not: -"),
            ("env PATH=/x nice /k/kubelet", "not: PATH=/x"),
            ("taskset -pc 0 /k/kubelet", "option: taskset -pc"),
            ("nice", "not: "),
            ("nice -n", "not: "),
            ("timeout", "not: "),
            ("..", "not: .."),
            ("", "not: "),
        ] {
            assert_eq!(
                found(Path::new("/nonexistent"), line, false),
                expected,
                "{line}"
            );
        }
    }

    #[test]
    fn a_person_may_call_it_by_a_longer_name() {
        for (line, expected) in [
            ("/k/kubelet --x", "/k/kubelet --x"),
            ("kubelet-1.36 --x", "kubelet-1.36 --x"),
            ("./kubelet.new --x", "./kubelet.new --x"),
            ("nice /k/kubelet-1.36", "not: /k/kubelet-1.36"),
            ("kubeadm init", "not: kubeadm"),
            ("--config=/x", "not: --config=/x"),
        ] {
            assert_eq!(
                found(Path::new("/nonexistent"), line, true),
                expected,
                "{line}"
            );
        }
        let quoted = [OsString::from("kubelet --x")];
        let root = Root::machine(Path::new("/nonexistent"));
        assert!(find_given(&root, Path::new("/"), &quoted).is_err());
    }

    #[test]
    fn what_a_script_does_is_not_known() {
        let root = std::env::temp_dir().join(format!("kubelet-tunables-c-{}", std::process::id()));
        for (path, mode, text) in [
            ("k/kubelet", 0o755, "\u{7f}ELF"),
            ("s/kubelet", 0o755, "#!/bin/sh\n"),
            ("s/hyperkube", 0o755, "#!/bin/sh\n"),
            ("s/nice", 0o755, "#!/bin/sh\n"),
            ("s/kubenswrapper", 0o755, "#!/bin/sh\n"),
            ("work/kubelet", 0o755, "#!/bin/sh\n"),
            ("usr/local/bin/kubelet", 0o644, "not a program"),
            ("usr/bin/kubelet", 0o755, "#!/bin/sh\n"),
            ("usr/bin/hyperkube", 0o755, "#"),
            ("bin/hyperkube", 0o755, "#!/bin/sh\n"),
            ("usr/sbin/env", 0o755, "#!/bin/sh\n"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        for (line, expected) in [
            ("/k/kubelet", "/k/kubelet"),
            ("/s/kubelet", "script: /s/kubelet"),
            ("nice /s/kubelet", "script: /s/kubelet"),
            ("/s/hyperkube kubelet", "script: /s/hyperkube"),
            ("/s/nice /k/kubelet", "script: /s/nice"),
            ("/s/kubenswrapper /k/kubelet", "/k/kubelet"),
            ("./kubelet", "script: ./kubelet"),
            ("kubelet", "script: kubelet"),
            ("hyperkube kubelet", "kubelet"),
            ("env /k/kubelet", "script: env"),
        ] {
            assert_eq!(found(&root, line, false), expected, "{line}");
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
