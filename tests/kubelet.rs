//! Kubelet's own parsers judge what we make of random command lines, files and folders of drop-ins: those of kubelet 1.20.2
//! and, for files, those of today.

mod support;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use kubelet_tunables::files::root::Root;
use kubelet_tunables::kubelet::{self, Kubelet, Protection};
use support::{Outcome, is_ci, scratch};

support::tests![
    reads_command_lines_as_kubelet_does,
    reads_files_as_kubelet_does,
    reads_every_style_of_yaml_as_kubelet_does,
    merges_drop_ins_as_kubelet_does,
];

const LINES: usize = 4_000;
const FILES: usize = 4_000;
const STYLES: usize = 2_000;
const TREES: usize = 2_000;
/// Cases that are on the disk at the same time.
const AT_ONCE: usize = 1_000;

const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

// Files to begin with.
const YAML: &str = "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\n\
    authentication:\n  anonymous:\n    enabled: false\n  webhook: {cacheTTL: 0s, enabled: true}\n\
    protectKernelDefaults: VALUE\nclusterDNS:\n- 10.96.0.10\nclusterDomain: cluster.local\n\
    cpuManagerReconcilePeriod: 0s\nfeatureGates:\n  KubeletInUserNamespace: VALUE\n";
const ALIASES: &str = "x: &a {kind: KubeletConfiguration, protectKernelDefaults: VALUE}\n\
    y: &b\n  apiVersion: kubelet.config.k8s.io/v1beta1\n  protectKernelDefaults: no\n<<: [*a, *b]\nz: *a\n";
const JSON: &str = "{\n\t\"kind\": \"KubeletConfiguration\",\n\t\"apiVersion\": \"kubelet.config.k8s.io/v1beta1\",\n\
    \t\"clusterDNS\": [\"10.96.0.10\"], \"authentication\": {\"webhook\": {\"enabled\": true}},\n\
    \t\"protectKernelDefaults\": VALUE\n}\n";
/// What changes put in.
const PARTS: &[&str] = &[
    "kind: KubeletConfiguration\n",
    "featureGates: {AllAlpha: true, AllBeta: no}\n",
    "featureGates: ~\n",
    "featureGates: *a\n",
    "featuregates: {AllBeta: false}\n",
    "\"featureGates\": {\"AllBeta\": false, \"AllBeta\": null},",
    "evictionHard: {\n}\n",
    "maxPods:\t110\n",
    "protectKernelDefaults:\tfalse\n",
    "clusterDNS: [10.96.0.10,\n10.96.0.11]\n",
    "Kind: KubeletConfiguration\n",
    "kind: null\n",
    "KIND: x\n",
    "apiversion: kubelet.config.k8s.io/v1beta1\n",
    "apiVersion: ~\n",
    "APIVERSION: 1\n",
    "protectKernelDefaults: false\n",
    "protectKernelDefaults: ~\n",
    "ProtectKernelDefaults: false\n",
    "\"protectKernel\\u0044efaults\": off\n",
    "protectKernelDefaults: !!bool \"yes\"\n",
    "\"Kind\": \"KubeletConfiguration\",",
    "\"kind\": null,",
    "\"protectKernelDefaults\": false,",
    "\"protectKernelDefaults\": null,",
    "\"protect\\u004bernelDefaults\": true,",
    "\"kin\\u212a\": 1,",
    "null: 1\n",
    "~: 1\n",
    ": 1\n",
    "? [a]\n: b\n",
    "? a\n",
    "<<: {kind: x}\n",
    "<<: *a\n",
    "\"<<\": 1\n",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "# c\n",
    "\r\n",
    "\n",
    "\t",
    " ",
    "  ",
    ",",
    ":",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "\\",
    "\\/",
    "\\ud800",
    "&a ",
    "*a ",
    "!!str ",
    "!!null ",
    "!x ",
    "|\n",
    ">-\n",
    "@",
    "`",
    "%",
    "true",
    "yes",
    "null",
    "1e3",
    "0x1",
    ".nan",
    "2001-01-01",
    "\u{feff}",
    "\u{a0}",
    "\u{85}",
    "\u{2028}",
    "é",
    "\0",
    "\u{7f}",
    "KubeletConfiguration",
    "protectKernelDefaults",
    "kind",
];

fn reads_command_lines_as_kubelet_does() -> Outcome {
    let judge = Judge::find("judge")?;
    let flags = judge.flags();
    let mut random = Random::new(1);
    let mut tally = Tally::default();
    in_turn("lines", count(LINES), |folders| {
        let cases: Vec<_> = folders
            .iter()
            .map(|folder| {
                let content = format!(
                    "{HEAD}{}",
                    random.of(&[
                        "",
                        "protectKernelDefaults: true\n",
                        "protectKernelDefaults: false\n"
                    ])
                );
                fs::write(folder.join("config"), &content).unwrap();
                (command_line(&mut random, &flags), content.into_bytes())
            })
            .collect();
        let answers = judge.ask(cases.iter().map(|(words, content)| line(content, words)));
        for (((words, _), folder), answer) in cases.iter().zip(folders).zip(answers) {
            tally.compare(
                folder,
                words,
                &[&answer],
                &kubelet_at(folder, Path::new("/"), words),
            );
        }
    });
    tally.judge(1, 20);
    Ok(())
}

fn reads_files_as_kubelet_does() -> Outcome {
    let mut random = Random::new(2);
    compare_files("files", count(FILES), 5, || mostly_plain(&mut random, file))
}

fn reads_every_style_of_yaml_as_kubelet_does() -> Outcome {
    let mut random = Random::new(3);
    compare_files("styles", count(STYLES), 15, || {
        mostly_plain(&mut random, |random| Style(random).file().into_bytes())
    })
}

/// Makes a file that in four of five cases has nothing of YAML that makes it unknown to us wherever it stands. Such files are
/// compared too, but teach little.
fn mostly_plain(random: &mut Random, mut made: impl FnMut(&mut Random) -> Vec<u8>) -> Vec<u8> {
    let is_odd = random.once_in(5);
    loop {
        let file = made(random);
        let text = String::from_utf8_lossy(&file);
        if is_odd || !text.contains(['&', '*', '!', '\u{feff}']) && !text.contains("<<") {
            return file;
        }
    }
}

fn compare_files(
    name: &str,
    count: usize,
    not_known: usize,
    mut content: impl FnMut() -> Vec<u8>,
) -> Outcome {
    let (old, today) = (Judge::find("judge")?, Judge::find("today")?);
    let words = [OsString::from("--config=/config")];
    let mut tally = Tally::default();
    in_turn(name, count, |folders| {
        let contents: Vec<_> = folders
            .iter()
            .map(|folder| {
                let content = content();
                fs::write(folder.join("config"), &content).unwrap();
                content
            })
            .collect();
        let old = old.ask(contents.iter().map(|content| line(content, &words)));
        let today = today.ask(
            folders
                .iter()
                .map(|folder| line(folder.as_os_str().as_bytes(), &["--config=config".into()])),
        );
        for ((folder, old), today) in folders.iter().zip(old).zip(today) {
            let ours = kubelet_at(folder, Path::new("/"), &words);
            tally.compare(folder, &words, &[&today, &old], &ours);
        }
    });
    // The odd ones, keys in two spellings, and keys that JSON repeats.
    tally.judge(not_known, 50);
    Ok(())
}

fn merges_drop_ins_as_kubelet_does() -> Outcome {
    let today = Judge::find("today")?;
    let mut random = Random::new(4);
    let mut tally = Tally::default();
    in_turn("trees", count(TREES), |folders| {
        let lines: Vec<_> = folders
            .iter()
            .map(|folder| tree(&mut random, folder))
            .collect();
        let answers = today.ask(
            lines
                .iter()
                .zip(folders)
                .map(|(words, folder)| line(folder.as_os_str().as_bytes(), words)),
        );
        for ((words, folder), answer) in lines.iter().zip(folders).zip(answers) {
            tally.compare(
                folder,
                words,
                &[&answer],
                &kubelet_at(Path::new("/"), folder, words),
            );
        }
    });
    // One drop-in that versions read differently is enough, and some trees have ten.
    tally.judge(5, 50);
    Ok(())
}

fn kubelet_at(root: &Path, working_directory: &Path, words: &[OsString]) -> Kubelet {
    kubelet::read(
        &Root::machine(root),
        working_directory,
        &[&[OsString::from("kubelet")], words].concat(),
    )
}

/// Makes so many folders, some at a time.
fn in_turn(name: &str, count: usize, mut some: impl FnMut(&[PathBuf])) {
    for begin in (0..count).step_by(AT_ONCE) {
        let root = scratch(name);
        let folders: Vec<_> = (begin..count.min(begin + AT_ONCE))
            .map(|number| root.join(number.to_string()))
            .collect();
        for folder in &folders {
            fs::create_dir(folder).unwrap();
        }
        some(&folders);
        fs::remove_dir_all(root).unwrap();
    }
}

/// What the judges are asked: words in hexadecimal.
fn line(first: &[u8], words: &[OsString]) -> String {
    let mut line = String::new();
    hexadecimal(&mut line, first);
    for word in words {
        line.push(' ');
        hexadecimal(&mut line, word.as_bytes());
    }
    line.push('\n');
    line
}

/// So many in CI, a quarter elsewhere, or as many as COUNT says.
fn count(in_ci: usize) -> usize {
    let usual = if is_ci() { in_ci } else { in_ci / 4 };
    std::env::var("COUNT").map_or(usual, |count| count.parse().unwrap())
}

/// Words such as a person might write, and some that nobody should.
fn command_line(random: &mut Random, flags: &[Flag]) -> Vec<OsString> {
    let mut words: Vec<String> = Vec::new();
    for _ in 0..random.below(7) {
        match random.below(12) {
            0 | 1 => words.push("--config=/config".to_string()),
            2..=4 => words.push(
                random
                    .of(&[
                        "--protect-kernel-defaults",
                        "--protect-kernel-defaults=true",
                        "--protect-kernel-defaults=false",
                        "--protect_kernel_defaults=0",
                        "--protect-kernel_defaults=T",
                    ])
                    .to_string(),
            ),
            5 => words.push(
                random
                    .of(&[
                        "--config",
                        "/config",
                        "--config=",
                        "-v",
                        "-v=4",
                        "-v4",
                        "4",
                        "--v",
                        "-h",
                        "-h=false",
                        "-h=0",
                        "--help",
                        "--help=false",
                        "--version",
                        "--version=false",
                        "--version=raw",
                        "--version=vx",
                        "--",
                        "-",
                        "",
                        "stray",
                        "false",
                        "true",
                        "--unknown",
                        "---",
                        "--=",
                        "-x",
                        "-test.v",
                        "-test.run=x",
                        "-9",
                        "--h",
                        "--protect-kernel-defaults=yes",
                        "--protect-kernel-defaults=",
                    ])
                    .to_string(),
            ),
            choice => {
                let flag = &flags[random.below(flags.len())];
                let name = flag.name.replace('-', random.of(&["-", "-", "-", "_"]));
                let value = match flag.kind.as_str() {
                    "bool" | "version" => random.of(&["true", "false", "f"]),
                    "string" | "stringSlice" => random.of(&["x", "a b", "", "-1", "/x"]),
                    "mapStringString" => random.of(&["a=b", "a<b", ""]),
                    "duration" => random.of(&["1s", "-1s"]),
                    "ip" => "10.0.0.1",
                    _ => random.of(&["1", "-1", "0"]),
                };
                match choice {
                    6 | 7 => words.push(format!("--{name}")),
                    8 | 9 => words.push(format!("--{name}={value}")),
                    _ => words.extend([format!("--{name}"), value.to_string()]),
                }
            }
        }
    }
    words.into_iter().map(OsString::from).collect()
}

/// One of some files, with some changes.
fn file(random: &mut Random) -> Vec<u8> {
    let base = random.of(&[YAML, YAML, ALIASES, JSON]);
    let value = random.of(&["true", "false"]);
    let mut bytes = base.replace("VALUE", value).into_bytes();
    for _ in 0..random.below(4) {
        let lines: Vec<usize> = (0..=bytes.len())
            .filter(|&at| at == 0 || bytes[at - 1] == b'\n')
            .collect();
        let line = lines[random.below(lines.len())];
        let at = random.below(bytes.len() + 1);
        let part = random.of(PARTS).as_bytes();
        match random.below(8) {
            0..=2 => drop(bytes.splice(line..line, part.iter().copied())),
            3 | 4 => drop(bytes.splice(at..at, part.iter().copied())),
            5 => {
                let end = (at + 1 + random.below(3)).min(bytes.len());
                bytes.drain(at..end);
            }
            6 => {
                let end = lines.iter().copied().find(|&next| next > line);
                bytes.drain(line..end.unwrap_or(bytes.len()));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap();
                }
            }
        }
    }
    bytes
}

/// A generator of Marsaglia's, the same in each run.
struct Random(u64);

impl Random {
    /// Begins anew with each number, and with SEED=n elsewhere.
    fn new(number: u64) -> Self {
        let seed = std::env::var("SEED").map_or(0, |seed| seed.parse().unwrap());
        Self(number ^ (seed << 8))
    }

    /// True once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % bound
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

struct Flag {
    name: String,
    kind: String,
}

struct Judge(PathBuf);

impl Judge {
    /// The judge; it takes minutes to build, which only CI waits for.
    fn find(name: &str) -> Result<Self, String> {
        let mut build = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubelet/build"));
        build.arg(name);
        if !is_ci() {
            build.arg("--cached");
        }
        let output = build.output().unwrap();
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("no judge: {}", why.trim()));
        }
        Ok(Self(
            OsString::from_vec(output.stdout.trim_ascii().to_vec()).into(),
        ))
    }

    fn flags(&self) -> Vec<Flag> {
        let output = Command::new(&self.0)
            .arg("flags")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let flag = |line: &str| {
            let mut words = line.split(' ').map(str::to_string);
            Some(Flag {
                name: words.next()?,
                kind: words.next()?,
            })
        };
        text.lines().map(|line| flag(line).unwrap()).collect()
    }

    fn ask(&self, lines: impl ExactSizeIterator<Item = String>) -> Vec<String> {
        let count = lines.len();
        let mut judge = Command::new(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines: String = lines.collect();
        let mut input = judge.stdin.take().unwrap();
        let writer = thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
        let output = judge.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success(), "the judge failed");
        let text = String::from_utf8_lossy(&output.stdout);
        let answers: Vec<_> = text.lines().map(str::to_string).collect();
        assert_eq!(answers.len(), count, "the judge's answers");
        answers
    }
}

/// What came of the comparisons.
#[derive(Default)]
struct Tally {
    cases: usize,
    /// What each judge and then we say, and how often.
    counts: BTreeMap<String, usize>,
    unknown: usize,
    on: usize,
    off: usize,
    fails: usize,
    /// How often we know the gate, and a judge agrees.
    gates: usize,
    differences: String,
}

impl Tally {
    /// Where a kubelet goes on, we have to know how, or say that we do not; where it fails by itself, whatever we say does no
    /// harm. SHOW=fails-on shows the cases in which the first judge says that kubelet fails and we say on.
    fn compare(&mut self, folder: &Path, words: &[OsString], answers: &[&str], kubelet: &Kubelet) {
        let ours = match kubelet.protection {
            Protection::On(_) => "on",
            Protection::Off(_) => "off",
            Protection::NotThereYet(_) | Protection::Fails(_) => "fails",
            Protection::Unknown(_) => "unknown",
            Protection::RunsOnce(_) => "once",
        };
        let mut agrees = true;
        let mut kind = String::new();
        for answer in answers {
            let mut answer = answer.split(' ');
            let judged = answer.next().unwrap();
            kind.extend([judged, "-"]);
            // The judge does not run: with --runonce kubelet ends before it looks at its tunables.
            let is_left_open = matches!(ours, "unknown" | "once");
            agrees &= judged == "fails" || judged == ours || is_left_open;
            if judged != "fails"
                && let Some(gate) = kubelet.in_user_namespace
                && let (Some(then), Some(now)) = (answer.next(), answer.next())
            {
                self.gates += 1;
                agrees &= then == now && gate == (then == "true");
            }
        }
        let first = answers[0].split(' ').next().unwrap();
        self.cases += 1;
        self.unknown += usize::from(first != "fails" && ours == "unknown");
        match first {
            "on" => self.on += usize::from(ours == "on"),
            "off" => self.off += usize::from(ours == "off"),
            _ => self.fails += usize::from(ours == "fails"),
        }
        kind += ours;
        let is_wanted = std::env::var("SHOW").is_ok_and(|show| show == kind);
        if !agrees || is_wanted {
            let _ = writeln!(
                self.differences,
                "{words:?}\n    judged: {answers:?}\n    we: {kubelet:?}"
            );
            show(folder, &mut self.differences);
        }
        *self.counts.entry(kind).or_default() += 1;
    }

    /// Wants no difference, so many in a hundred at the most that are not known, and of each answer one in so many.
    fn judge(&self, not_known: usize, one_in: usize) {
        println!(
            "{} compared: {:?}, {} gates",
            self.cases, self.counts, self.gates
        );
        assert!(
            self.differences.is_empty(),
            "{}{:?}",
            self.differences,
            self.counts
        );
        assert!(
            self.unknown <= self.cases * not_known / 100,
            "not known: {:?}",
            self.counts
        );
        for agreed in [self.on, self.off, self.fails] {
            assert!(
                agreed > self.cases / one_in,
                "few of one: {:?}",
                self.counts
            );
        }
    }
}

/// Describes what is in a folder.
fn show(path: &Path, text: &mut String) {
    let kind = fs::symlink_metadata(path).unwrap().file_type();
    if kind.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            show(&entry.unwrap().path(), text);
        }
    } else if kind.is_symlink() {
        let _ = writeln!(
            text,
            "    {} -> {}",
            path.display(),
            fs::read_link(path).unwrap().display()
        );
    } else {
        let content = fs::read(path).unwrap();
        let _ = writeln!(
            text,
            "    {} {:?}",
            path.display(),
            String::from_utf8_lossy(&content)
        );
    }
}

fn hexadecimal(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
}

/// Makes a file and a folder of drop-ins, and a command line that names them.
fn tree(random: &mut Random, folder: &Path) -> Vec<OsString> {
    let mut words: Vec<String> = Vec::new();
    if !random.once_in(3) {
        fs::write(folder.join("config"), drop_in(random)).unwrap();
        words.push(
            random
                .of(&[
                    "--config=config",
                    "--config=./x/../config",
                    "--config=d/../link/../config",
                ])
                .to_string(),
        );
    }
    fs::create_dir(folder.join("d")).unwrap();
    fs::create_dir(folder.join("elsewhere")).unwrap();
    fs::write(folder.join("elsewhere/file"), drop_in(random)).unwrap();
    symlink("elsewhere", folder.join("link")).unwrap();
    let target = if random.once_in(8) { "elsewhere" } else { "d" };
    symlink(target, folder.join("l")).unwrap();
    symlink("d", folder.join("l.conf")).unwrap();
    fs::write(folder.join("x.conf"), drop_in(random)).unwrap();
    populate(random, &folder.join("d"), 2);
    populate(random, &folder.join("elsewhere"), 0);
    words.push(if random.once_in(4) {
        format!(
            "--config-dir={}",
            random.of(&[
                "l",
                "l/",
                "l/.",
                "l/../d",
                "link/../d",
                "x/../d",
                "config",
                "x.conf",
                "x.conf/",
                "l.conf",
                "nowhere",
                "",
                "elsewhere/",
                "."
            ])
        )
    } else {
        format!(
            "--config-dir={}",
            random.of(&["d", "./d", "d/", "d//", "d/../d"])
        )
    });
    if random.once_in(6) {
        words.push(
            random
                .of(&[
                    "--protect-kernel-defaults",
                    "--protect-kernel-defaults=false",
                ])
                .to_string(),
        );
    }
    if random.once_in(6) {
        words.push(format!(
            "--feature-gates={}",
            random.of(&[
                "KubeletInUserNamespace=true",
                "KubeletInUserNamespace=false",
                "AllAlpha=true",
                "AllBeta=false",
                "",
                "OfAnotherVersion=true"
            ])
        ));
    }
    words.into_iter().map(OsString::from).collect()
}

fn populate(random: &mut Random, folder: &Path, depth: usize) {
    for _ in 0..random.below(5) {
        let name = random.of(&[
            "10.conf",
            "20.conf",
            "30.conf",
            ".hidden.conf",
            ".conf",
            "b.conf",
            "B.conf",
            "a.yaml",
            "10.conf~",
            "conf",
        ]);
        let path = folder.join(name);
        if fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        match random.below(40) {
            0 => symlink("/dev/null", path).unwrap(),
            1 => symlink(".", path).unwrap(),
            2 => symlink("nowhere", path).unwrap(),
            3 | 4 => symlink(folder.parent().unwrap().join("x.conf"), path).unwrap(),
            5..10 if depth > 0 => {
                fs::create_dir(&path).unwrap();
                populate(random, &path, depth - 1);
            }
            _ => fs::write(path, drop_in(random)).unwrap(),
        }
    }
}

/// A configuration of a few lines, most of them sound.
fn drop_in(random: &mut Random) -> String {
    match random.below(60) {
        0 => return String::new(),
        1 => return "{}".to_string(),
        2 => return "---\n".to_string(),
        _ => {}
    }
    if random.once_in(4) {
        let mut text = String::from(
            "{\"kind\": \"KubeletConfiguration\", \"apiVersion\": \"kubelet.config.k8s.io/v1beta1\"",
        );
        for _ in 0..random.below(4) {
            let part = if random.once_in(40) {
                random.of(&[
                    "\"protectKernelDefaults\": null",
                    "\"ProtectKernelDefaults\": true",
                    "\"protect\\u212aernelDefaults\": true",
                    "\"featureGates\": {\"KubeletInUserNamespace\": null}",
                    "\"y\": \"\\ud800\"",
                ])
            } else {
                random.of(&[
                    "\"protectKernelDefaults\": true",
                    "\"protectKernelDefaults\": false",
                    "\"featureGates\": {\"KubeletInUserNamespace\": true}",
                    "\"featureGates\": {\"AllBeta\": null, \"AllAlpha\": true}",
                    "\"x\": {\"a\": [1, {\"b\": 1}]}",
                    "\"maxPods\": 110",
                ])
            };
            let _ = write!(text, ",\n{part}");
        }
        return text
            + random.of(&[
                "}",
                "}\n",
                "\n}\n",
                "}",
                "}",
                "}",
                ",\"x\": {\"b\": 1, \"b\": 2}}",
                ", \"Kind\": 1}",
                ", \"KIND\": \"x\"}",
            ]);
    }
    let mut text = match random.below(200) {
        0 => HEAD.replace("kind", "Kind"),
        1 => HEAD.replace("apiV", "APIv"),
        2 => HEAD.replace("v1beta1", "v1"),
        3..9 => "kind: KubeletConfiguration\n".to_string(),
        9 => format!("{HEAD}Kind: x\n"),
        10 => format!("{HEAD}KIND: [x]\n"),
        11 => format!("{HEAD}apiversion: a/b/c\n"),
        _ => HEAD.to_string(),
    };
    for _ in 0..random.below(4) {
        text += if random.once_in(40) {
            random.of(&[
                "protectKernelDefaults: null\n",
                "protectKernelDefaults:\n",
                "protectKernelDefaults: \"true\"\n",
                "ProtectKernelDefaults: true\n",
                "protectkerneldefaults: false\n",
                "PROTECTKERNELDEFAULTS: true\n",
                "featureGates: {KubeletInUserNamespace: null}\n",
                "featureGates: {KubeletInUserNamespace: \"true\"}\n",
                "featureGates: null\n",
                "FeatureGates: {AllBeta: false}\n",
                "featureGates: [x]\n",
                "x: {a: 1, a: 2}\n",
                "y: &a {protectKernelDefaults: true}\n<<: *a\n",
                "z: &b yes\nprotectKernelDefaults: *b\n",
            ])
        } else {
            random.of(&[
                "protectKernelDefaults: true\n",
                "protectKernelDefaults: false\n",
                "protectKernelDefaults: yes\n",
                "featureGates: {KubeletInUserNamespace: true}\n",
                "featureGates: {KubeletInUserNamespace: false, AllAlpha: true}\n",
                "featureGates:\n  AllAlpha: true\n  AllBeta: off\n",
                "maxPods: 110\n",
                "x: {a: 1, b: [2, {c: 3}]}\n",
                "clusterDNS:\n- 10.96.0.10\n",
                "# nothing\n",
            ])
        };
    }
    text
}

/// Writes configurations in the styles that YAML has for the same.
struct Style<'a>(&'a mut Random);

impl Style<'_> {
    fn file(&mut self) -> String {
        let mut entries = vec![
            self.entry("kind", "KubeletConfiguration", true),
            self.entry("apiVersion", "kubelet.config.k8s.io/v1beta1", true),
        ];
        for _ in 0..=self.0.below(5) {
            entries.push(self.any());
        }
        for _ in 0..self.0.below(4) {
            let at = self.0.below(entries.len());
            let to = self.0.below(entries.len());
            entries.swap(at, to);
        }
        let mut text = self
            .0
            .of(&[
                "",
                "",
                "",
                "",
                "---\n",
                "--- # begin\n",
                "%YAML 1.1\n---\n",
                "%TAG !k! tag:yaml.org,2002:\n---\n",
                "\u{feff}",
                "# first\n\n",
                "\n\n",
                "---\n\n# a\n",
            ])
            .to_string();
        let tag = text.contains("%TAG");
        if self.0.once_in(8) {
            // All in braces, which must not be the first character.
            text = format!(
                "{}--- {{",
                text.trim_start_matches("---\n").trim_end_matches("---\n")
            );
            if text.starts_with("--- # begin") || text.contains('%') {
                text = "--- {".to_string();
            }
            for entry in &entries {
                text += self.of(&["", " ", "\n", "\n  ", "\n\t", " # c\n"]);
                text += &entry.flow;
                text.push(',');
            }
            text += self.of(&["}", "\n}\n", " }\n", "\n  }\n...\n", "} # end\n"]);
        } else {
            for entry in &entries {
                text += &entry.block;
                text += if self.0.once_in(60) {
                    self.of(&["\t# c\n", "\n\t\n"])
                } else {
                    self.of(&["\n", "\n", " \n", " # c\n", "\n\n", "\n# c\n", "\n  # c\n"])
                };
            }
            text += self.of(&[
                "",
                "",
                "",
                "...\n",
                "---\nprotectKernelDefaults: 1\n",
                "# end",
            ]);
        }
        if tag {
            text = text.replace("!!bool", "!k!bool");
        }
        match self.0.below(12) {
            0 => text.replace('\n', "\r\n"),
            1 => text.replace("# c", "# \u{e9} \u{2028}#"),
            _ => text,
        }
    }

    fn of(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.0.below(choices.len())]
    }

    /// An entry with one word for a value.
    fn entry(&mut self, key: &str, value: &str, is_text: bool) -> Entry {
        let scalar = self.scalar(value, is_text);
        self.with(key, &scalar, &scalar)
    }

    /// An entry whose value is given as it stands in a block and in brackets.
    fn with(&mut self, key: &str, block: &str, flow: &str) -> Entry {
        let key = match self.0.below(8) {
            0 => format!("\"{key}\""),
            1 => format!("'{key}'"),
            2 => format!("\"{}\"", key.replace('e', "\\x65")),
            3 => format!("!!str {key}"),
            _ => key.to_string(),
        };
        let colon = self.of(&[": ", ": ", ": ", ":  ", " : ", ":\t", ": \t"]);
        let flow = match self.0.below(8) {
            0 => format!("{key}:\n {flow}"),
            1 if key.starts_with('"') => format!("{key}:{flow}"),
            2 => format!("? {key} : {flow}"),
            _ => format!("{key}{colon}{flow}"),
        };
        let block = if block.starts_with('\n') {
            format!("{key}:{block}")
        } else {
            match self.0.below(10) {
                0 => format!("? {key}\n: {block}"),
                1 => format!("{key}:\n  {block}"),
                2 => format!("{key}: # c\n    {block}"),
                _ => format!("{key}{colon}{block}"),
            }
        };
        Entry { block, flow }
    }

    fn scalar(&mut self, value: &str, is_text: bool) -> String {
        let anchor = format!("&a{} ", self.0.below(1000));
        let prefix = if self.0.once_in(12) {
            anchor
        } else {
            String::new()
        };
        let scalar = if is_text {
            match self.0.below(8) {
                0 => format!("\"{value}\""),
                1 => format!("'{value}'"),
                2 => format!("!!str {value}"),
                3 => format!("\"{}\"", value.replace('k', "\\u006b")),
                4 => format!("\"{}\\\n   {}\"", &value[..1], &value[1..]),
                _ => value.to_string(),
            }
        } else if self.0.once_in(8) && matches!(value, "true" | "yes" | "off") {
            format!("!!bool {value}")
        } else {
            value.to_string()
        };
        prefix + &scalar
    }

    fn any(&mut self) -> Entry {
        match self.0.below(14) {
            0..4 => {
                let on = self.on();
                self.entry("protectKernelDefaults", on, false)
            }
            4 | 5 => self.gate(),
            6 => {
                let number = self.of(&["110", "0x6e", "0b11", "+110", "1_0"]);
                self.entry("maxPods", number, false)
            }
            7 => self.list(),
            8 => self.text(),
            9 => self.literal(),
            10 => self.merge(),
            11 => self.alias(),
            12 => self.nested(),
            _ => {
                let value = self.of(&[
                    "\"true\"",
                    "1",
                    "t",
                    "[]",
                    "{}",
                    "!!str yes",
                    "! true",
                    "!local no",
                    "tRUE",
                ]);
                self.with("protectKernelDefaults", value, value)
            }
        }
    }

    fn on(&mut self) -> &'static str {
        self.of(&[
            "true", "false", "yes", "off", "True", "NO", "y", "~", "null",
        ])
    }

    fn gate(&mut self) -> Entry {
        let on = self.on();
        let gate = self.of(&["KubeletInUserNamespace", "AllAlpha", "AllBeta"]);
        let inner = self.entry(gate, on, false);
        let (indent, space) = (
            self.of(&["  ", " ", "    "]),
            self.of(&["", " ", "\n", "\n  "]),
        );
        let block = if inner.block.contains('\n') || self.0.once_in(3) {
            format!("{{{space}{}{space}}}", inner.flow)
        } else {
            format!("\n{indent}{}", inner.block)
        };
        self.with(
            "featureGates",
            &block,
            &format!("{{{space}{}{space}}}", inner.flow),
        )
    }

    fn list(&mut self) -> Entry {
        let list = self.of(&[
            "[10.96.0.10]",
            "[ 10.96.0.10, '10.96.0.11', ]",
            "[\n10.96.0.10\n]",
            "[10.96.0.10,\n10.96.0.11]",
            "[\"a\",\n\t\"b\"]",
            "[]",
            "[# c\n x]",
            "[a b c, d]",
            "[a: b, ? c : d]",
        ]);
        let block = self.of(&[
            "\n- 10.96.0.10",
            "\n  - 10.96.0.10\n  - \"10.96.0.11\"",
            "\n-   10.96.0.10\n-\t10.96.0.11",
            "\n- # c\n  10.96.0.10",
            "\n- - a\n  - b",
            "\n-\n  - a",
        ]);
        let block = if self.0.once_in(2) { list } else { block };
        self.with("clusterDNS", block, list)
    }

    fn text(&mut self) -> Entry {
        let text = self.of(&[
            "cluster.local",
            "\"cluster\n  local\"",
            "'it''s'",
            "a#b",
            "a:b",
            "http://x",
            "\"a: b\"",
            "<x",
            "-x",
            "?x",
            ":x",
            "a b  c",
            "2001-01-01",
            "1e3",
            ".5",
            "=",
            "é",
            "\u{1f600}",
            "\"\\t\\/\\N\\_\\L\"",
            "\"q\nq\"",
            "'a\n\n b'",
            "a\n  b\n\n  c",
        ]);
        let flow = self.of(&[
            "cluster.local",
            "\"cluster\nlocal\"",
            "'it''s'",
            "a#b",
            "a:b",
            "http://x",
            "-x",
            "a b",
            "\"{\"",
            "'[,]'",
        ]);
        self.with("clusterDomain", text, flow)
    }

    fn literal(&mut self) -> Entry {
        let text = self.of(&[
            "|\n  a\n  b",
            ">\n  a\n\n   b",
            "|-\n a",
            "|+\n a\n",
            ">2\n   a",
            "|\n\n  # no comment\n  protectKernelDefaults: 1",
            "| # c\n  a",
            "|1-\n  a",
        ]);
        let key = self.of(&["text", "a"]);
        Entry {
            block: format!("{key}: {text}"),
            flow: format!("{key}: x"),
        }
    }

    fn merge(&mut self) -> Entry {
        let merge = self.of(&[
            "<<: {protectKernelDefaults: true}",
            "<<: [{protectKernelDefaults: false}, {x: 1}]",
            "\"<<\": 1",
            "<<: {featureGates: {AllAlpha: true}}",
        ]);
        Entry {
            block: merge.to_string(),
            flow: merge.to_string(),
        }
    }

    fn alias(&mut self) -> Entry {
        let (block, flow) = (
            self.of(&[
                "x: &x {protectKernelDefaults: on}\n<<: *x",
                "x: &x yes\nprotectKernelDefaults: *x",
                "x: &x {AllAlpha: true}\nfeatureGates: *x",
                "x: &x\n  y: *x",
                "x: &x {a: 1}\ny: [*x, *x]",
                "y: &y [{protectKernelDefaults: n}]\n<<: *y",
            ]),
            self.of(&[
                "x: &x {protectKernelDefaults: on}, <<: *x",
                "x: &x yes, protectKernelDefaults: *x",
                "x: [&x {a: 1}, *x]",
                "*x : 1",
                "x, y",
                "x: , y:",
            ]),
        );
        Entry {
            block: block.to_string(),
            flow: flow.to_string(),
        }
    }

    fn nested(&mut self) -> Entry {
        let (block, flow) = (
            self.of(&[
                "evictionHard: {\n}",
                "evictionHard: {memory.available: 100Mi\n}",
                "authentication:\n  webhook:\n    cacheTTL: 0s\n  anonymous: {enabled: false}",
                "authentication:\n webhook: {enabled: true,\n cacheTTL: 0s}",
                "? a\n? b",
                "x:\n- y: 1\n  z: 2\n- y: 3",
                "x:\n  - &q\n    y: 1\n  - !!map\n    y: 1\n  - !!seq\n    - y",
                "x: !local\n  y: 1",
                "? |\n  k\n: v",
            ]),
            self.of(&[
                "evictionHard: {\n}",
                "a: {b: {c: [d, {e: f}]}}",
                "\"a\":1",
                "a: !!str",
                "a: &z",
                "'b':[]",
            ]),
        );
        Entry {
            block: block.to_string(),
            flow: flow.to_string(),
        }
    }
}

/// An entry of a mapping, as it stands in a block and in brackets.
struct Entry {
    block: String,
    flow: String,
}
