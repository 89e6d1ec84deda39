//! Compares what this crate makes of units with what systemd makes of them.
//!
//! `lay ROOT SEED COUNT` writes units into a root, and what they need. As `dump`, it is their `ExecStart=`, and writes down
//! what it gets. `inside UNIT` runs in their `ExecStartPre=`, as the check does, and `compare` when all of them have run.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use kubelet_tunables::systemd::{self, UnitError};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

const RESULTS: &str = "/run/words";

fn main() -> io::Result<()> {
    if env::current_exe()?.file_name() == Some(OsStr::new("dump")) {
        return dump();
    }
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().filter_map(|word| word.to_str()).collect();
    match words[..] {
        ["lay", root, seed, count] => lay(Path::new(root), number(seed), number(count)),
        ["inside", unit] => inside(unit),
        ["compare"] => compare(),
        ["cost", unit, count] => cost(unit, number(count)),
        ["ask", unit] => ask(unit),
        ["reexec", unit, count] => reexec(unit, number(count)),
        _ => Err(io::Error::other(
            "usage: words lay ROOT SEED COUNT | inside UNIT | compare | cost UNIT COUNT | ask UNIT | reexec UNIT COUNT",
        )),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

/// Writes down words and environment of this process, each ended by a NUL.
fn dump() -> io::Result<()> {
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let unit = groups.trim_end().rsplit('/').next().unwrap_or_default();
    fs::copy("/proc/self/cmdline", format!("{RESULTS}/{unit}.words"))?;
    fs::copy(
        "/proc/self/environ",
        format!("{RESULTS}/{unit}.environment"),
    )?;
    fs::write(
        format!("{RESULTS}/{unit}.directory"),
        env::current_dir()?.as_os_str().as_bytes(),
    )
}

/// Writes down the words that the unit's program is going to get, from within the unit.
fn inside(unit: &str) -> io::Result<()> {
    let start = systemd::exec_start(Path::new("/"), OsStr::new(unit))
        .map_err(|trouble| not_said(&trouble))?;
    let words = start.commands[0].words(&start.environment);
    let words = words.map_err(|trouble| not_said(&trouble))?;
    fs::write(format!("{RESULTS}/{unit}.inside"), ended(&words[1..]))
}

fn ended(words: &[OsString]) -> Vec<u8> {
    words
        .iter()
        .flat_map(|word| [word.as_bytes(), b"\0"].concat())
        .collect()
}

/// Prints what the question costs beside `systemctl show` of the same property: medians of COUNT runs in turn.
///
/// The time that passes depends on what else the machine does; the processor's, PID 1's included, hardly does.
fn cost(unit: &str, count: u64) -> io::Result<()> {
    let own = env::current_exe()?;
    let show: (&OsStr, &[&str]) = (OsStr::new("systemctl"), &["show", "-p", "ExecStart", unit]);
    let process: (&OsStr, &[&str]) = (own.as_os_str(), &["ask", unit]);
    let mut costs = [const { (Vec::new(), Vec::new()) }; 3];
    for _ in 0..count {
        for (at, command) in [Some(show), Some(process), None].into_iter().enumerate() {
            let (start, pid_1) = (Instant::now(), processor("1")?);
            let used = if let Some((program, arguments)) = command {
                let mut command = Command::new(program);
                let child = command.args(arguments).stdout(Stdio::null()).spawn();
                run(child?)?
            } else {
                let before = processor("thread-self")?;
                ask(unit)?;
                processor("thread-self")? - before
            };
            costs[at].0.push(start.elapsed().as_micros());
            costs[at].1.push((used + processor("1")? - pid_1) / 1000);
        }
    }
    for ((wall, used), what) in costs.iter_mut().zip([
        "systemctl show -p ExecStart",
        "the question, as a process",
        "the question, in the check",
    ]) {
        wall.sort_unstable();
        used.sort_unstable();
        let (wall, used) = (wall[wall.len() / 2], used[used.len() / 2]);
        println!("{what:28} {wall:6} us, {used:6} us of the processor");
    }
    Ok(())
}

/// Waits for the child's end, and returns how many nanoseconds of the processor it took.
fn run(mut child: Child) -> io::Result<u64> {
    let pid = Pid::from_child(&child);
    waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )?;
    let used = processor(&child.id().to_string());
    child.wait()?;
    used
}

/// Nanoseconds of the processor that a process has taken.
fn processor(process: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat"))?;
    let used = text
        .split(' ')
        .next()
        .and_then(|number| number.parse().ok());
    used.ok_or_else(|| io::Error::other(text))
}

/// Asks as the check does.
fn ask(unit: &str) -> io::Result<()> {
    systemd::exec_start(Path::new("/"), OsStr::new(unit))
        .map_err(|trouble| not_said(&trouble))
        .map(drop)
}

/// Asks without a pause while systemd executes itself anew so many times, and prints how many questions had no answer.
fn reexec(unit: &str, count: u64) -> io::Result<()> {
    let (mut asked, mut unanswered) = (0, Vec::new());
    for _ in 0..count {
        let mut child = Command::new("systemctl").arg("daemon-reexec").spawn()?;
        while child.try_wait()?.is_none() {
            asked += 1;
            unanswered.extend(ask(unit).err());
        }
    }
    println!(
        "{count} daemon-reexecs: asked {asked} times, {} times unanswered",
        unanswered.len()
    );
    for error in unanswered {
        println!("  {error}");
    }
    Ok(())
}

/// Compares what each unit got with what is said within it and by hand.
fn compare() -> io::Result<()> {
    let mut units: Vec<PathBuf> = fs::read_dir("/etc/words")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension() == Some(OsStr::new("unit")))
        .collect();
    units.sort();
    let (mut passed, mut failed, mut refused, mut unknown) = (0, 0, 0, 0);
    for path in units {
        let name = format!("{}.service", path.file_stem().unwrap_or_default().display());
        match disagreement(&name) {
            Ok(outcome) => {
                passed += 1;
                refused += u32::from(outcome == Outcome::Refused);
                unknown += u32::from(outcome == Outcome::NotKnown);
            }
            Err(text) => {
                failed += 1;
                println!(
                    "FAILED: {name}: {text}\n{}",
                    fs::read(&path)?
                        .escape_ascii()
                        .to_string()
                        .replace("\\n", "\n")
                );
            }
        }
    }
    for (name, expected) in NAMES {
        let said = match systemd::load(Path::new("/"), OsStr::new(name)) {
            Ok(unit) => unit.name,
            Err(trouble) => format!("{trouble:?}"),
        };
        if said == expected {
            passed += 1;
        } else {
            failed += 1;
            println!("FAILED: {name}: {said}, not {expected}");
        }
    }
    for (name, _, expected) in NEXT {
        let said = match systemd::next_start(Path::new("/"), OsStr::new(name)) {
            Ok(next) => format!("{next:?}"),
            Err(trouble) => format!("{trouble:?}"),
        };
        if said == expected {
            passed += 1;
        } else {
            failed += 1;
            println!("FAILED: {name}: {said}, not {expected}");
        }
    }
    println!(
        "{passed} passed, {failed} failed ({refused} are units that systemd does not start, of {unknown} the words are not known by hand)"
    );
    Ok(())
}

/// What is found of a unit of which nothing that is said is wrong.
#[derive(PartialEq)]
enum Outcome {
    Same,
    /// systemd does not start it.
    Refused,
    /// A word refers to a variable that only systemd knows.
    NotKnown,
}

/// Variables of the units here, besides those that they get.
const VARIABLES: [&str; 20] = [
    "A",
    "B",
    "C",
    "D",
    "CD",
    "AB",
    "_",
    "_x",
    "A2",
    "1A",
    "IP",
    "ROLES",
    "MANAGER",
    "DEFAULT",
    "SPACE",
    "TERM",
    "container",
    "HOME",
    "USER",
    "RUNTIME_DIRECTORY",
];

/// What differs, if anything does.
fn disagreement(name: &str) -> Result<Outcome, String> {
    let result = |what: &str| fs::read(format!("{RESULTS}/{name}.{what}")).ok();
    let text = fs::read_to_string(format!("/etc/systemd/system/{name}")).unwrap_or_default();
    let by_hand = systemd::load(Path::new("/"), OsStr::new(name));
    let said = by_hand.as_ref().ok().map(|unit| {
        let command = &unit.service.commands[0];
        command.words(&unit.service.environment)
    });
    let is_known = match &said {
        Some(Err(UnitError::UnknownVariable { name, setting })) => {
            let (setting, value) = setting.split_once('=').unwrap_or_default();
            if !text.contains(&format!("{setting}=")) || !text.contains(value) {
                return Err(format!("by hand: {setting}= may set {}", name.display()));
            }
            false
        }
        _ => true,
    };
    let Some(words) = result("words") else {
        return match by_hand {
            Err(
                UnitError::EnvironmentFile { .. } | UnitError::Broken(_) | UnitError::NoCommand,
            ) => Ok(Outcome::Refused),
            Ok(_) if !is_known => Ok(Outcome::Refused),
            other => Err(format!("it was not started, by hand: {other:?}")),
        };
    };
    let by_hand = by_hand.map_err(|trouble| format!("{trouble:?}"))?;
    let words: Vec<_> = words.split_inclusive(|&byte| byte == 0).skip(1).collect();
    let words = words.concat();
    if let Some(Ok(said)) = said {
        same("words by hand", &ended(&said[1..]), &words)?;
    }
    same(
        "words inside",
        &result("inside").unwrap_or_default(),
        &words,
    )?;
    let environment: BTreeMap<_, _> = result("environment")
        .unwrap_or_default()
        .split(|&byte| byte == 0)
        .filter_map(|text| {
            let at = text.iter().position(|&byte| byte == b'=')?;
            Some((text[..at].to_vec(), text[at + 1..].to_vec()))
        })
        // What systemd makes up for each process.
        .filter(|(name, _)| {
            !matches!(
                &name[..],
                b"INVOCATION_ID" | b"JOURNAL_STREAM" | b"SYSTEMD_EXEC_PID"
            ) && !name.starts_with(b"MEMORY_PRESSURE_")
        })
        .collect();
    let names = VARIABLES.map(|name| name.as_bytes().to_vec());
    for name in names.iter().chain(environment.keys()) {
        let name = OsStr::from_bytes(name);
        let real = environment.get(name.as_bytes()).map(Vec::as_slice);
        // From systemd 262 on variables in commands are replaced from more than a process gets.
        if real.is_none() && text.contains("UnsetEnvironment=") {
            continue;
        }
        // What only systemd knows is right whatever it is.
        if let Ok(said) = by_hand.service.environment.get(name) {
            let shown = |value: Option<&[u8]>| match value {
                Some(value) => [b"=", value].concat(),
                None => b" is not set".to_vec(),
            };
            same(
                &format!("{} by hand", name.display()),
                &shown(said.map(OsStr::as_bytes)),
                &shown(real),
            )?;
        }
    }
    match by_hand.working_directory {
        Some(directory) => same(
            "directory by hand",
            directory.as_os_str().as_bytes(),
            &result("directory").unwrap_or_default(),
        )?,
        None if text.contains("WorkingDirectory=~") && text.contains("User=") => {}
        None => return Err("the directory is not known by hand".to_owned()),
    }
    Ok(if is_known {
        Outcome::Same
    } else {
        Outcome::NotKnown
    })
}

fn same(what: &str, said: &[u8], real: &[u8]) -> Result<(), String> {
    if said == real {
        return Ok(());
    }
    Err(format!(
        "{what}:\n  said {}\n  real {}",
        said.escape_ascii(),
        real.escape_ascii()
    ))
}

fn not_said(trouble: &UnitError) -> io::Error {
    io::Error::other(format!("{trouble:?}"))
}

/// Names of units, and what is found by hand of each.
const NAMES: [(&str, &str); 12] = [
    ("shape-kubeadm", "shape-kubeadm.service"),
    ("shape-kubeadm.service", "shape-kubeadm.service"),
    ("alias", "alias.service"),
    ("template@x", "template@x.service"),
    ("nosuch", "NotFound"),
    ("no such", "NotFound"),
    ("template@", "NotFound"),
    ("masked", "Masked"),
    (
        "empty",
        "Broken(\"Unit empty.service has a bad unit file setting.\")",
    ),
    ("stops-only", "NoCommand"),
    ("multi-user.target", "NoCommand"),
    ("x.socket", "NotFound"),
];

/// Units that are started, their settings, and what is said of their next start.
const NEXT: [(&str, &str, &str); 8] = [
    ("next-runs", "ExecStart=/bin/sleep 600", "Running"),
    (
        "next-notifies-late",
        "Type=notify\nExecStart=/bin/sleep 600",
        "Running",
    ),
    (
        "next-waits",
        "ExecStartPre=/bin/sleep 600\nExecStart=/bin/true",
        "Starting",
    ),
    (
        "next-retries",
        "ExecStart=/bin/false\nRestart=always\nRestartSec=300",
        "Retries { within: 300s }",
    ),
    ("next-gives-up", "ExecStart=/bin/false", "GivenUp"),
    (
        "next-hits-limit",
        "ExecStart=/bin/false\nRestart=always\nRestartSec=10ms",
        "GivenUp",
    ),
    ("next-ends", "ExecStart=/bin/true", "Stopped"),
    ("next-nowhere", "", "NotFound"),
];

/// Shapes of the field: the command's arguments, more settings, and the file that `EnvironmentFile=` may name.
const SHAPES: [(&str, &str, &str, &[u8]); 43] = [
    ("kubeadm", "$A $B $UNSET $C", "Environment=\"A=--bootstrap-kubeconfig=/b --kubeconfig=/k\"\nEnvironment=\"B=--config=/c\"\nEnvironmentFile=-FILE\nEnvironmentFile=-/nowhere\nRemainAfterExit=yes", b"C=\"--x --y=z\"\n"),
    ("kubespray", "$A \\\n  $B \\\n  $UNSET", "EnvironmentFile=-FILE", b"A=\"--v=2 \\\n--config=/c \\\n --node-ip=192.0.2.2\"\n# comment\nB='x y'\n"),
    ("kops", "\"$DAEMON_ARGS\"", "EnvironmentFile=FILE", b"DAEMON_ARGS=\"--config=/c --v=2\"\nHOME=\"/root\"\n"),
    ("eks", "--config /c --x=y $A $B", "Environment='A=--node-ip=1 --v=2'\nEnvironment='B='", b""),
    ("eks-no-newline", "$NODEADM_KUBELET_ARGS", "EnvironmentFile=FILE", b"NODEADM_KUBELET_ARGS=--v=2 --config=/c --hostname-override=x"),
    ("aks", "--enable-server --node-labels=\"${LABELS}\" --v=2 $A $B", "EnvironmentFile=FILE", b"LABELS=a=b,c=d e\nA=--eviction-hard=memory.available<750Mi,nodefs.available<10% --x\nB=--config /c\n"),
    ("openshift", "--config=/c --node-ip=${IP} --labels=${ROLES},x=${ID} --v=${LEVEL}", "Environment=LEVEL=2\nEnvironmentFile=-FILE", b"IP=192.0.2.2\nID=master\n"),
    ("no-expansion", "$A ${A} $$", "Environment=A=b", b""),
    ("argv0", "$A x", "Environment=\"A=b c\"", b""),
    ("default-and-alternative", "${A:-d} ${A:+e} ${A} ${UNSET:-d}", "Environment=A=b", b""),
    ("names", "$1 $A/x $A.b $ $é ${é} ${1} ${} ${A B} \"$A B\" $A$B x$A ${A}${B}", "Environment=A=b \"B=c d\" _x=1\n", b""),
    ("dollars", "$$A $$$$ $$$A a$$b ${A}$$ $${A} \"$$\"", "Environment=A=b", b""),
    ("braces", "${A ${A${B} ${A:${B}} }{ ${ A}", "Environment=A=b B=c", b""),
    ("splitting", "$A $B $C $D", "EnvironmentFile=FILE", b"A='\"a b\" c'\nB=\"x\\\\\\\\ y 'z'\"\nC='a \\'\nD=\"  \"\n"),
    ("open-quote", "$A $B", "EnvironmentFile=FILE", b"A='x \"y z'\nB=\"it's one\"\n"),
    ("lines", "$A", "EnvironmentFile=FILE", b"A='x\ny\tz'\n"),
    ("order", "$A $B", "EnvironmentFile=FILE\nEnvironment=A=unit B=unit", b"A=file\n"),
    ("missing", "$A", "EnvironmentFile=/nowhere", b""),
    ("missing-glob", "$A", "EnvironmentFile=/nowhere/*.env", b""),
    ("missing-glob-dash", "$A", "EnvironmentFile=-/nowhere/*.env", b""),
    ("glob", "$A $B $C $D", "EnvironmentFile=/etc/words/glob/*.env\nEnvironmentFile=-/etc/words/g[l]ob/?.hidden\nEnvironmentFile=/etc/words/g*/{x,y}", b""),
    ("folder", "$A", "EnvironmentFile=-/etc/words", b""),
    ("folder-must", "$A", "EnvironmentFile=/etc/words", b""),
    ("not-utf8", "$A $B", "EnvironmentFile=-FILE", b"A=\xff\nB=c\n"),
    ("not-utf8-must", "$A", "EnvironmentFile=FILE", b"A=\xff\n"),
    ("nul", "$A $B", "EnvironmentFile=-FILE", b"A=b\nB=c\0\n"),
    ("bom", "$A $B", "EnvironmentFile=FILE", b"\xef\xbb\xbfA=b\nB=c\n"),
    ("crlf", "$A $B", "EnvironmentFile=FILE", b"A=b\r\nB=\"c\r\nd\"\r\n\r\n"),
    ("export", "$A ${A}", "EnvironmentFile=FILE", b"export A=b\n A = c d  \n A2 =x\n1A=x\n=x\nA\n"),
    ("comments", "$A $B $C", "EnvironmentFile=FILE", b"# x \\\nA=b\n; y\\\\\nB=c\n#\nC=d # e\n"),
    ("unset", "$A $B $C ${A}", "Environment=A=1 B=2 C=3\nUnsetEnvironment=A B=2 C=4", b""),
    ("pass", "$container $HOME $TERM x$PATH ${PATH}", "PassEnvironment=container HOME TERM NOSUCH", b""),
    ("manager", "$MANAGER $DEFAULT ${PATH}", "Environment=DEFAULT=unit", b""),
    ("pass-elsewhere", "$A", "PassEnvironment=container HOME\nEnvironment=A=b", b""),
    ("pass-overridden", "$container", "PassEnvironment=container\nEnvironment=container=x", b""),
    ("glob-before", "$A ${B}", "EnvironmentFile=/etc/words/glob/*.env\nEnvironmentFile=FILE", b"A=x\nB=y\n"),
    ("glob-elsewhere", "--x", "EnvironmentFile=/etc/words/glob/*.env", b""),
    ("folders", "$RUNTIME_DIRECTORY $STATE_DIRECTORY", "RuntimeDirectory=k\nEnvironment=STATE_DIRECTORY=x", b""),
    ("user", "$HOME x$USER ${USER}", "User=root\nWorkingDirectory=~", b""),
    ("no-user", "x$USER ${USER} ${HOME} $LOGNAME", "", b""),
    ("login", "${HOME}", "SetLoginEnvironment=yes", b""),
    ("user-home", "${HOME}", "WorkingDirectory=~", b""),
    ("directory", "$A", "WorkingDirectory=-/nowhere", b""),
];

/// Writes the units of the shapes, and as many random ones.
fn lay(root: &Path, seed: u64, count: u64) -> io::Result<()> {
    let place = Place {
        units: root.join("etc/systemd/system"),
        files: root.join("etc/words"),
    };
    fs::create_dir_all(place.files.join("glob"))?;
    for (name, content) in [
        ("b.env", "A=b\nB=b"),
        ("a.env", "A=a\nC=\"a a\""),
        (".x.env", "D=hidden"),
        ("x.hidden", "D=h"),
        ("{x,y}", "D=brace"),
    ] {
        fs::write(place.files.join("glob").join(name), content)?;
    }
    for (name, arguments, settings, file) in SHAPES {
        let prefix = match name {
            "no-expansion" => ":",
            "argv0" => "@",
            _ => "",
        };
        place.unit(&format!("shape-{name}"), prefix, arguments, settings, file)?;
    }
    for (name, settings, _) in NEXT {
        if !settings.is_empty() {
            let path = place.units.join(format!("{name}.service"));
            fs::write(path, format!("[Service]\n{settings}\n"))?;
        }
    }
    for (name, content) in [
        ("template@", "ExecStart=/bin/x %i"),
        ("empty", "Type=simple"),
        (
            "stops-only",
            "Type=oneshot\nRemainAfterExit=yes\nExecStop=/bin/x",
        ),
    ] {
        let path = place.units.join(format!("{name}.service"));
        fs::write(path, format!("[Service]\n{content}\n"))?;
    }
    symlink("/dev/null", place.units.join("masked.service"))?;
    symlink("shape-kubeadm.service", place.units.join("alias.service"))?;
    for number in 0..count {
        let mut random = Random(seed.wrapping_mul(1_000_003).wrapping_add(number));
        random.next();
        let prefix = random.one(&["", "", "", "", ":", "@", "-", "@:", "+"]);
        // With `@` comes a name first; a command line that is left without one is not executed.
        let name = if prefix.contains('@') { "name " } else { "" };
        let arguments = format!("{name}{}", random.arguments());
        let (settings, file) = (random.settings(), random.file());
        place.unit(
            &format!("random-{number:04}"),
            prefix,
            &arguments,
            &settings,
            &file,
        )?;
    }
    Ok(())
}

struct Place {
    units: PathBuf,
    files: PathBuf,
}

impl Place {
    fn unit(
        &self,
        name: &str,
        prefix: &str,
        arguments: &str,
        settings: &str,
        file: &[u8],
    ) -> io::Result<()> {
        let path = format!("/etc/words/{name}.env");
        let settings = settings.replace("FILE", &path);
        let text = format!(
            "[Service]\nType=oneshot\n{settings}\nExecStartPre=-/usr/local/bin/words inside %n\nExecStart={prefix}/usr/local/bin/dump {arguments}\n"
        );
        fs::write(self.units.join(format!("{name}.service")), &text)?;
        fs::write(self.files.join(format!("{name}.env")), file)?;
        // Both together, to be shown where there is a difference.
        let shown = [text.as_bytes(), b"--- file ---\n", file, b"\n"].concat();
        fs::write(self.files.join(format!("{name}.unit")), shown)
    }
}

/// Random numbers from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % limit
    }

    fn one<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn text(&mut self, parts: &[&str], longest: usize) -> String {
        (0..self.below(longest + 1))
            .map(|_| self.one(parts))
            .collect()
    }

    /// Arguments of a command in a unit, quoted in all ways.
    fn arguments(&mut self) -> String {
        const PARTS: [&str; 26] = [
            "$A", "${A}", "$B", "${B}", "$$", "$", "{", "}", ":", "--x=", "é", "${A:-b}", "${A",
            "$USER", "$HOME", "$AB", "${A B}", "/", ".", "%%", "x", "\\\\", "\\t", "\\x24",
            "${CD}", "$CD",
        ];
        let mut arguments = String::new();
        for _ in 0..=self.below(6) {
            let word = self.text(&PARTS, 4);
            let _ = match self.below(4) {
                0 => write!(arguments, "\"{word} \" "),
                1 => write!(arguments, "'{word}' "),
                _ => write!(arguments, "{} ", word.replace(' ', "")),
            };
        }
        // Rarely what systemd may refuse.
        if self.below(30) == 0 {
            arguments.push_str(self.one(&["'", "\\q", "; /bin/true", ";"]));
        }
        arguments
    }

    fn settings(&mut self) -> String {
        const PARTS: [&str; 16] = [
            "a", "b c", " ", "=", "\\\"", "\\\\", "'", "$A", "${B}", "$$", "\\t", "\\n", "é",
            "--x", ":", "{",
        ];
        let mut settings = String::new();
        for _ in 0..self.below(4) {
            let name = self.one(&["A", "B", "CD", "AB", "_"]);
            let value = self.text(&PARTS, 5);
            let _ = writeln!(settings, "Environment=\"{name}={value}\"");
        }
        if self.below(2) == 0 {
            settings.push_str(self.one(&[
                "EnvironmentFile=FILE\n",
                "EnvironmentFile=-FILE\n",
                "EnvironmentFile=-/etc/words/glob/*\nEnvironmentFile=-FILE\n",
                "EnvironmentFile=FILE\nEnvironmentFile=-/etc/words/glob/*.env\n",
            ]));
        }
        if self.below(4) == 0 {
            settings.push_str(self.one(&[
                "UnsetEnvironment=A\n",
                "UnsetEnvironment=B CD=\n",
                "UnsetEnvironment=A=a\n",
                "PassEnvironment=container HOME\n",
                "PassEnvironment=A PATH\n",
                "User=root\n",
                "RuntimeDirectory=k\n",
                "WorkingDirectory=/etc\n",
                "WorkingDirectory=-/nowhere\n",
                "WorkingDirectory=~\n",
                "UnsetEnvironment=PATH\n",
            ]));
        }
        settings
    }

    fn file(&mut self) -> Vec<u8> {
        const PARTS: [&[u8]; 36] = [
            b"A=",
            b"A=",
            b"B=",
            b"B=",
            b"CD=",
            b"AB=",
            b"\n",
            b"\n",
            b"\n",
            b"\nA=",
            b"\nB=\"",
            b"\"",
            b"\"",
            b"'",
            b"'",
            b"\\",
            b"\\\n",
            b" ",
            b" ",
            b"\t",
            b"\r\n",
            b"#",
            b"\n#",
            b"\n;",
            b";",
            b"x",
            b"y z",
            b"$A",
            b"`",
            b"=",
            "\u{e9}".as_bytes(),
            b"--v=2",
            b"<10%",
            b"export ",
            b"{",
            b"\\\\",
        ];
        let mut file: Vec<u8> = (0..self.below(16))
            .flat_map(|_| self.one(&PARTS).to_vec())
            .collect();
        if self.below(25) == 0 {
            file.extend_from_slice(self.one::<&[u8]>(&[
                b"\xff",
                b"\0",
                b"\x01",
                b"\x7f",
                b"\xef\xbb\xbf",
                b"\nA=\x1bx\n",
            ]));
        }
        file
    }
}
