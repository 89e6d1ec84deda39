//! Kubelet's own parsers are the judge of what protectKernelDefaults comes to, over random command lines and files.

mod support;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use kubelet_tunables::kubelet::{Protection, protection};
use support::{not_run, scratch};

const LINES: usize = 4_000;
const FILES: usize = 4_000;

const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

// Files to begin with.
const YAML: &str = "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\n\
    authentication:\n  anonymous:\n    enabled: false\n  webhook: {cacheTTL: 0s, enabled: true}\n\
    protectKernelDefaults: VALUE\nclusterDNS:\n- 10.96.0.10\nclusterDomain: cluster.local\n\
    cpuManagerReconcilePeriod: 0s\n";
const ALIASES: &str = "x: &a {kind: KubeletConfiguration, protectKernelDefaults: VALUE}\n\
    y: &b\n  apiVersion: kubelet.config.k8s.io/v1beta1\n  protectKernelDefaults: no\n<<: [*a, *b]\nz: *a\n";
const JSON: &str = "{\n\t\"kind\": \"KubeletConfiguration\",\n\t\"apiVersion\": \"kubelet.config.k8s.io/v1beta1\",\n\
    \t\"clusterDNS\": [\"10.96.0.10\"], \"authentication\": {\"webhook\": {\"enabled\": true}},\n\
    \t\"protectKernelDefaults\": VALUE\n}\n";
/// What changes put in.
const PARTS: &[&str] = &[
    "kind: KubeletConfiguration\n",
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

/// A command line without the program, and the file /config.
type Case = (Vec<OsString>, Vec<u8>);

#[test]
fn reads_command_lines_as_kubelet_does() {
    const TEST: &str = "reads_command_lines_as_kubelet_does";
    let Some(judge) = Judge::find(TEST) else {
        return;
    };
    let flags = judge.flags();
    let mut random = Random(1);
    let cases = (0..count(LINES)).map(|_| {
        let content = format!(
            "{HEAD}{}",
            random.of(&[
                "",
                "protectKernelDefaults: true\n",
                "protectKernelDefaults: false\n"
            ])
        );
        (command_line(&mut random, &flags), content.into_bytes())
    });
    judge.compare(TEST, &cases.collect::<Vec<_>>());
}

#[test]
fn reads_files_as_kubelet_does() {
    const TEST: &str = "reads_files_as_kubelet_does";
    let Some(judge) = Judge::find(TEST) else {
        return;
    };
    let mut random = Random(2);
    let cases = (0..count(FILES)).map(|_| (vec!["--config=/config".into()], file(&mut random)));
    judge.compare(TEST, &cases.collect::<Vec<_>>());
}

/// So many, or as many as COUNT says.
fn count(usual: usize) -> usize {
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
    fn find(test: &str) -> Option<Self> {
        let mut build = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubelet/build"));
        build.arg("judge");
        if std::env::var("CI").as_deref() != Ok("true") {
            build.arg("--cached");
        }
        let output = build.output().unwrap();
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            not_run(test, &format!("no judge: {}", why.trim()));
            return None;
        }
        Some(Self(
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

    fn ask(&self, cases: &[Case]) -> Vec<String> {
        let mut judge = Command::new(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = String::new();
        for (words, content) in cases {
            hexadecimal(&mut lines, content);
            for word in words {
                lines.push(' ');
                hexadecimal(&mut lines, word.as_bytes());
            }
            lines.push('\n');
        }
        let mut input = judge.stdin.take().unwrap();
        let writer = thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
        let output = judge.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success(), "the judge failed");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(str::to_string).collect()
    }

    /// Where kubelet goes on, we have to know how, or say that we do not; where it fails by itself, whatever we say does no
    /// harm. SHOW=fails-on shows the cases in which kubelet fails and we say on.
    fn compare(&self, test: &str, cases: &[Case]) {
        let root = scratch(test);
        let answers = self.ask(cases);
        assert_eq!(answers.len(), cases.len(), "the judge's answers");
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut differences = String::new();
        for ((words, content), answer) in cases.iter().zip(&answers) {
            fs::write(root.join("config"), content).unwrap();
            let mut line = vec![OsString::from("kubelet")];
            line.extend(words.iter().cloned());
            let protection = protection(&root, &line);
            let ours = match protection {
                Protection::On(_) => "on",
                Protection::Off(_) => "off",
                Protection::NotThereYet(_) | Protection::Fails(_) => "fails",
                Protection::Unknown(_) => "unknown",
            };
            let kubelet = answer.split(' ').next().unwrap();
            *counts.entry((kubelet_says(kubelet), ours)).or_default() += 1;
            let agrees = kubelet == "fails" || kubelet == ours || ours == "unknown";
            if !agrees
                || std::env::var_os("SHOW")
                    .is_some_and(|show| *show == *format!("{kubelet}-{ours}"))
            {
                let _ = writeln!(
                    differences,
                    "{words:?} {:?}\n    kubelet: {answer}; we: {protection:?}",
                    String::from_utf8_lossy(content)
                );
            }
        }
        let _ = fs::remove_dir_all(root);
        println!("{} compared: {counts:?}", cases.len());
        assert!(differences.is_empty(), "{differences}{counts:?}");
        let of = |kubelet, ours| counts.get(&(kubelet, ours)).copied().unwrap_or(0);
        let unknown = of("on", "unknown") + of("off", "unknown");
        assert!(unknown <= cases.len() / 100, "not known: {counts:?}");
        for kubelet in ["on", "off", "fails"] {
            let count = of(kubelet, kubelet);
            assert!(
                count > cases.len() / 20,
                "few that are {kubelet}: {counts:?}"
            );
        }
    }
}

fn kubelet_says(answer: &str) -> &'static str {
    match answer {
        "on" => "on",
        "off" => "off",
        _ => "fails",
    }
}

fn hexadecimal(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
}
