//! systemd-sysctl is the judge of how we read sysctl.d: random trees are read by both.
//!
//! `SEED=n COUNT=1 cargo test --test sysctl_d sid` repeats a tree. Each systemd works in a mount namespace, in a throw-away
//! layer over its root, where /proc/sys is a plain folder.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use kubelet_tunables::boot::{Boot, Effect, Place, When};
use kubelet_tunables::files::root::Root;
use kubelet_tunables::persist::persist;
use kubelet_tunables::tunable::{TUNABLES, Tunable, kernel_parse};
use support::{Outcome, is_ci, needs, own_uid, test};

const FOLDERS: [&str; 5] = [
    "etc/sysctl.d",
    "run/sysctl.d",
    "usr/local/lib/sysctl.d",
    "usr/lib/sysctl.d",
    "lib/sysctl.d",
];

/// Tunables that patterns meet too, and that have to stay as they are.
const OTHERS: [&str; 5] = [
    "vm.overcommit_ratio",
    "vm.swappiness",
    "kernel.pid_max",
    "kernel.panic_print",
    "net.ipv4.conf.all.rp_filter",
];

/// `ELOOP`.
const LOOP: i32 = 40;

fn main() -> ExitCode {
    if let Some(root) = std::env::var_os("INSIDE") {
        compare(Path::new(&root));
        return ExitCode::SUCCESS;
    }
    let lab = std::env::var_os("KUBELET_TUNABLES_LAB")
        .unwrap_or_else(|| "/var/cache/kubelet-tunables-lab".into());
    let mut tests = vec![test("here", || inside(Path::new("/")))];
    for suite in ["bullseye", "bookworm", "trixie", "sid"] {
        let root = Path::new(&lab).join(suite);
        tests.push(test(suite, move || {
            if !root.join(".complete").exists() {
                return Err(format!("no root of {suite}; tests/systemd/run makes it"));
            }
            inside(&root)
        }));
    }
    support::main(tests)
}

/// Runs this program again in a mount namespace of its own, to compare with the systemd of this root.
fn inside(root: &Path) -> Outcome {
    if own_uid() != 0 {
        return Err("it needs root".into());
    }
    if program(root).is_none() {
        return Err("systemd-sysctl is not installed".into());
    }
    needs(&["unshare", "mount", "chroot"])?;
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .env("INSIDE", root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

fn program(root: &Path) -> Option<&'static str> {
    [
        "usr/lib/systemd/systemd-sysctl",
        "lib/systemd/systemd-sysctl",
    ]
    .into_iter()
    .find(|path| root.join(path).exists())
}

fn compare(lower: &Path) {
    let count = match (lower == Path::new("/"), is_ci()) {
        (true, true) => 2500,
        (true, false) => 250,
        (false, true) => 300,
        (false, false) => 50,
    };
    let number = |name, default| {
        std::env::var(name).map_or(default, |text| text.parse::<u64>().expect(name))
    };
    let (first, count) = (number("SEED", 1), number("COUNT", count));
    let root = layer(lower);
    let program = program(&root).unwrap();
    let mut differences = String::new();
    let (mut set, mut loops) = (0, 0);
    for seed in first..first + count {
        lay(&root, seed);
        apply(&root, program);
        let boot = Boot::new(&Root::machine(&root));
        // Of a link to itself the versions think differently, and we say that we do not know.
        if TUNABLES.iter().any(|tunable| is_unknown(&boot, tunable)) {
            loops += 1;
            continue;
        }
        as_an_image(&root, seed);
        for tunable in &TUNABLES {
            explained(&boot, tunable, seed);
            let theirs = value(&root, tunable.name);
            let ours = boot
                .sysctl_d()
                .assignment(tunable, When::Now)
                .map_or(String::new(), |it| {
                    String::from_utf8_lossy(&it.text).trim().to_string()
                });
            set += usize::from(!theirs.is_empty());
            if theirs != ours {
                let _ = writeln!(
                    differences,
                    "SEED={seed}: {}: systemd \"{theirs}\", we \"{ours}\"",
                    tunable.name
                );
            }
        }
        if seed % 10 == 1 {
            without_run(&root, program, &boot, seed);
        }
    }
    let version = Command::new("chroot")
        .args([
            root.to_str().unwrap(),
            "sh",
            "-c",
            "systemctl --version | head -n1",
        ])
        .output()
        .unwrap();
    println!(
        "{}: {count} trees from seed {first}, {set} values set, {} differences ({loops} trees with a looping link not judged)",
        String::from_utf8_lossy(&version.stdout).trim(),
        differences.lines().count()
    );
    if !differences.is_empty() && count == 1 {
        let show = format!(
            "cd {} && grep -r --exclude-dir=proc '' {}; ls -l {}",
            root.display(),
            FOLDERS.join(" "),
            FOLDERS.join(" ")
        );
        let shown = Command::new("sh").args(["-c", &show]).output().unwrap();
        differences.push_str(&String::from_utf8_lossy(&shown.stdout));
    }
    assert!(differences.is_empty(), "{differences}");
    assert!(count < 100 || set > 100, "the trees set next to nothing");
    make_permanent(&root, program, first, count.div_ceil(10));
}

/// True if a link to itself keeps what a boot sets from being known.
fn is_unknown(boot: &Boot, tunable: &Tunable) -> bool {
    [When::Now, When::NextBoot].into_iter().any(|when| {
        let problem = boot.value(tunable, when).err();
        problem.is_some_and(|problem| problem.error.raw_os_error() == Some(LOOP))
    })
}

/// What is in /run, the next boot does not find.
fn without_run(root: &Path, program: &str, boot: &Boot, seed: u64) {
    fs::remove_dir_all(root.join("run/sysctl.d")).unwrap();
    apply(root, program);
    for tunable in &TUNABLES {
        let ours = boot.sysctl_d().assignment(tunable, When::NextBoot);
        let ours = ours.map_or(String::new(), |it| {
            String::from_utf8_lossy(&it.text).trim().to_string()
        });
        let name = tunable.name;
        assert_eq!(ours, value(root, name), "SEED={seed}: {name}");
    }
}

/// Of an image the same line has to count, but for those of /run, with which no boot begins.
fn as_an_image(root: &Path, seed: u64) {
    let ignored = vec![PathBuf::from("run/sysctl.d")];
    let machine = Boot::without(&Root::machine(root), ignored);
    let image = Boot::new(&Root::image(root).unwrap());
    for tunable in &TUNABLES {
        assert_eq!(
            image.sysctl_d().assignment(tunable, When::Now),
            machine.sysctl_d().assignment(tunable, When::Now),
            "SEED={seed}: {}",
            tunable.name
        );
    }
}

/// One setting is effective: the line that systemd-sysctl applies last, or, if the kernel refuses that, an earlier pattern
/// or the kernel's default.
fn explained(boot: &Boot, tunable: &Tunable, seed: u64) {
    let settings = boot.explain(tunable);
    let places = |is_meant: fn(&Effect) -> bool| -> Vec<_> {
        let meant = settings.iter().filter(|it| is_meant(&it.effect));
        meant.map(|it| it.place).collect()
    };
    let sets = places(|effect| matches!(effect, Effect::Sets(_)));
    let refused = places(|effect| matches!(effect, Effect::Refused));
    let line = boot.sysctl_d().assignment(tunable, When::NextBoot);
    let is_at = |place: &Place| matches!((place, line), (Place::Line(at), Some(line)) if at.assignment == *line);
    let is_taken = line.is_some_and(|line| kernel_parse(tunable, &line.text).is_some());
    let is_pattern =
        |place: &Place| matches!(place, Place::Line(line) if !line.assignment.explicit);
    let [effective] = &sets[..] else {
        panic!("SEED={seed}: {}: {settings:#?}", tunable.name);
    };
    let is_right = if is_taken {
        is_at(effective)
    } else {
        let is_lower = matches!(effective, Place::Kernel { .. }) || is_pattern(effective);
        is_lower && (line.is_none() || refused.iter().any(is_at))
    };
    assert!(is_right, "SEED={seed}: {}: {settings:#?}", tunable.name);
}

/// Persists over trees, twice, with more files in between: systemd-sysctl has to set the six right then, also when /run is
/// empty again, and the other tunables as before.
fn make_permanent(root: &Path, program: &str, first: u64, count: u64) {
    let mut troubles = String::new();
    let (mut written, mut right) = (0, 0);
    for seed in first..first + count {
        let mut random = lay(root, seed);
        for round in 1..=2 {
            let others = |root| OTHERS.map(|name| value(root, name));
            apply(root, program);
            let before = others(root);
            let outcome = persist(&Root::machine(root));
            written += usize::from(outcome.as_ref().is_ok_and(|it| it.file.is_some()));
            apply(root, program);
            let after = others(root);
            let mut wrong = wrong(root);
            if round == 2 {
                fs::remove_dir_all(root.join("run/sysctl.d")).unwrap();
                apply(root, program);
                wrong.extend(self::wrong(root));
            }
            if outcome.is_ok() && wrong.is_empty() && before == after {
                right += 1;
            } else {
                let _ = writeln!(
                    troubles,
                    "SEED={seed}, round {round}: {outcome:?}, wrong: {wrong:?}, others {before:?} before, {after:?} after"
                );
            }
            scatter(root, &mut random);
        }
    }
    println!(
        "persist: {right} of {} right, with {written} files written",
        2 * count
    );
    assert!(troubles.is_empty(), "{troubles}");
    assert!(count < 10 || written > 10, "next to nothing was to be done");
}

/// The rows that the kernel would have otherwise than kubelet needs.
fn wrong(root: &Path) -> Vec<String> {
    TUNABLES
        .iter()
        .filter_map(|tunable| {
            let written = value(root, tunable.name);
            let value = kernel_parse(tunable, written.as_bytes()).unwrap_or(tunable.default);
            (value != tunable.expected).then(|| format!("{}={written}", tunable.name))
        })
        .collect()
}

/// Empties the tunables and runs systemd-sysctl.
fn apply(root: &Path, program: &str) {
    for name in TUNABLES.iter().map(|tunable| tunable.name).chain(OTHERS) {
        fs::write(tunable_file(root, name), "").unwrap();
    }
    // Its exit code tells of lines it did not like; what it wrote is what counts.
    let ran = Command::new("chroot")
        .arg(root)
        .arg(format!("/{program}"))
        .output()
        .unwrap();
    assert_ne!(
        ran.status.code(),
        Some(127),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// What systemd-sysctl wrote, on the first line: where two patterns match, both are written, and a plain file keeps the
/// end of what was longer.
fn value(root: &Path, name: &str) -> String {
    let written = fs::read_to_string(tunable_file(root, name)).unwrap();
    let line = written.lines().next().unwrap_or_default();
    line.trim().to_string()
}

fn tunable_file(root: &Path, name: &str) -> PathBuf {
    root.join("proc/sys").join(name.replace('.', "/"))
}

/// A throw-away layer over a root.
fn layer(lower: &Path) -> PathBuf {
    let base = PathBuf::from("/mnt");
    mount(&["-t", "tmpfs", "tmpfs", "/mnt"]);
    for folder in ["upper", "work", "root"] {
        fs::create_dir(base.join(folder)).unwrap();
    }
    let options = format!(
        "lowerdir={},upperdir=/mnt/upper,workdir=/mnt/work",
        lower.display()
    );
    mount(&["-t", "overlay", "overlay", "-o", &options, "/mnt/root"]);
    base.join("root")
}

fn mount(arguments: &[&str]) {
    let status = Command::new("mount").args(arguments).status().unwrap();
    assert!(status.success(), "mount {arguments:?}");
}

/// Writes the tree of this seed, and the folders of the tunables.
fn lay(root: &Path, seed: u64) -> Random {
    for folder in folders(root) {
        let _ = fs::remove_dir_all(root.join(folder));
    }
    for name in TUNABLES.iter().map(|tunable| tunable.name).chain(OTHERS) {
        fs::create_dir_all(tunable_file(root, name).parent().unwrap()).unwrap();
    }
    fs::write(root.join("proc/cmdline"), "\n").unwrap();
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    scatter(root, &mut random);
    random
}

fn folders(root: &Path) -> &'static [&'static str] {
    let split = fs::symlink_metadata(root.join("lib")).unwrap().is_dir();
    if split { &FOLDERS } else { &FOLDERS[..4] }
}

/// Writes some files, in the place of what has their names.
fn scatter(root: &Path, random: &mut Random) {
    let folders = folders(root);
    for folder in folders {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for _ in 0..random.below(7) {
        let name = random.one(&[
            "10-a.conf",
            "50-b.conf",
            "90-kubelet.conf",
            "99-sysctl.conf",
            "z.conf",
            "zz-kubelet.conf",
            "zzz.conf",
            ".hidden.conf",
            "10-a.conf.bak",
            "20-c.CONF",
            "9.conf",
            "a b.conf",
            "\u{e9}.conf",
        ]);
        let folder = random.one(folders);
        let up = "../".repeat(folder.split('/').count());
        let path = root.join(folder).join(name);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        match random.below(20) {
            0 => symlink("/dev/null", &path).unwrap_or(()),
            1 => symlink("/nowhere", &path).unwrap_or(()),
            2 => fs::create_dir(&path).unwrap_or(()),
            3 => symlink(format!("{up}elsewhere.conf"), &path).unwrap_or(()),
            4 => symlink(name, &path).unwrap_or(()),
            _ => {
                let _ = fs::write(&path, random.content());
            }
        }
    }
    fs::write(root.join("elsewhere.conf"), random.content()).unwrap();
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn one<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    fn content(&mut self) -> String {
        let mut content = String::new();
        for _ in 0..self.below(8) {
            content.push_str(&self.line());
            content.push_str(self.one(&["\n", "\n", "\n", "\n", "\n", "\r\n", "\n\n", "\r", "\0"]));
        }
        if self.below(3) == 0 {
            content.truncate(content.trim_end_matches('\n').len());
        }
        content
    }

    fn line(&mut self) -> String {
        let space = self.one(&["", "", " ", "\t", "  "]);
        let comment = self.one(&["", "", "", "", "", "", "#", ";", "# ", "//"]);
        let minus = self.one(&["", "", "", "", "-", "- ", "--"]);
        let name = self.name();
        let around = self.one(&["=", " = ", " =", "= ", "\t=\t", "==", " : ", " "]);
        let value = self.one(&[
            "0", "1", "2", "10", "1000000", "25000000", "-1", "0x0a", "", "ten", "10 # ten",
            "${X}", "\"10\"", "1 0", "10\\", "a=b",
        ]);
        match self.below(12) {
            0 => format!("{space}-{name}{space}"),
            1 => self
                .one(&[
                    "",
                    " ",
                    "[section]",
                    "junk",
                    "=",
                    "= 1",
                    "-",
                    "kernel.panic",
                    "\\",
                ])
                .to_string(),
            _ => format!("{space}{comment}{minus}{name}{around}{value}{space}"),
        }
    }

    fn name(&mut self) -> String {
        let tunable = self.one(&TUNABLES.each_ref());
        let slashes = tunable.name.replace('.', "/");
        match self.below(10) {
            0..=3 => tunable.name.to_string(),
            4 => slashes,
            5 => self
                .one(&[
                    "kernel/keys.root_maxkeys",
                    "kernel.keys/root_maxkeys",
                    "/kernel/panic",
                    ".kernel.panic",
                    "kernel..panic",
                    "kernel//panic",
                    "kernel/./panic",
                    "kernel.panic.",
                    "kernel/panic/",
                    "kernel.panic_on",
                    "Kernel.panic",
                    "kernel/panic_on_oops ",
                    "vm.overcommit_ratio",
                    "net.ipv4.conf.all.rp_filter",
                    "/proc/sys/kernel/panic",
                ])
                .to_string(),
            6 | 7 => self
                .one(&[
                    "kernel.panic*",
                    "kernel.*",
                    "vm.*",
                    "vm/*",
                    "*.panic*",
                    "kernel.pan?c",
                    "kernel.[op]anic",
                    "kernel.[!o]anic",
                    "kernel.keys.*",
                    "kernel.*.root_max*",
                    "*",
                    "*.*",
                    "*/*/*",
                    "kernel.panic_on_oop[r-t]",
                    "kernel.[panic",
                    "kernel.pan[[:alpha:]]c",
                    "kernel/\\panic*",
                    "vm.panic_on_???",
                    "kernel.*panic*",
                    "{vm,kernel}.panic*",
                    "kernel.{panic,x}*",
                    "kernel.{panic,panic_on_oops}",
                    "kernel.p{an,e{x,y}}?c",
                    "-kernel.p*",
                ])
                .to_string(),
            8 => {
                // A pattern made of the name.
                let mut name = tunable.name.to_string();
                let at = usize::try_from(self.below(name.len() as u64)).unwrap();
                name.replace_range(at..=at, self.one(&["*", "?", "[a-z]", "[_.]", "\\"]));
                name
            }
            _ => tunable
                .name
                .replacen('.', self.one(&["/", "..", " . ", "."]), 1),
        }
    }
}
