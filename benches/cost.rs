//! Measures what the check costs, and what other programs that read the six cost: `cargo bench`, as root.
//!
//! It runs itself again in a mount namespace with its own /run, /proc/sys, sysctl.d directories and journald, and prints
//! tables and which aims are met. `RUNS=n` runs each program n times; the default is 300.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubelet_tunables::tunable::TUNABLES;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches");
/// The names that a file sets exist in the namespace alone.
const SETTINGS_PER_FILE: usize = 3;

/// Sets the six right, so that the next boot gives no reason to warn.
const SHIPPED: &str = include_str!("../systemd/90-kubelet.conf");

/// What kubeadm writes to /var/lib/kubelet/config.yaml: every key that has no default, and not the one that matters.
const KUBEADM: &str = include_str!("kubeadm.yaml");
/// The drop-in's arguments.
const IN_UNIT: [&str; 2] = ["--unit", "kubelet.service"];

/// The environment of kubelet's unit on a node behind a proxy, but for `JOURNAL_STREAM` and `NOTIFY_SOCKET`, which are those
/// of this machine: with them 22 variables. The C library and the check look at each one.
const ENVIRONMENT: [(&str, &str); 20] = [
    // Of systemd.
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"),
    ("LANG", "en_US.UTF-8"),
    ("INVOCATION_ID", "5f3a8c1de09b4c7f8f2b6d4a1c0e9b37"),
    ("SYSTEMD_EXEC_PID", "1482"),
    (
        "MEMORY_PRESSURE_WATCH",
        "/sys/fs/cgroup/system.slice/kubelet.service/memory.pressure",
    ),
    ("MEMORY_PRESSURE_WRITE", "c29tZSAyMDAwMDAgMjAwMDAwMAA="),
    // Of a drop-in for the proxy, in both spellings, as programs differ in which they read.
    ("HTTP_PROXY", PROXY),
    ("HTTPS_PROXY", PROXY),
    ("ALL_PROXY", PROXY),
    ("NO_PROXY", NO_PROXY),
    ("http_proxy", PROXY),
    ("https_proxy", PROXY),
    ("all_proxy", PROXY),
    ("no_proxy", NO_PROXY),
    // Of kubeadm's drop-in.
    (
        "KUBELET_KUBECONFIG_ARGS",
        "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf",
    ),
    (
        "KUBELET_CONFIG_ARGS",
        "--config=/var/lib/kubelet/config.yaml",
    ),
    (
        "KUBELET_KUBEADM_ARGS",
        "--container-runtime-endpoint=unix:///run/containerd/containerd.sock --pod-infra-container-image=registry.k8s.io/pause:3.9",
    ),
    (
        "KUBELET_EXTRA_ARGS",
        "--node-ip=10.0.3.17 --hostname-override=worker-17.example.com",
    ),
    ("GODEBUG", "x509sha1=1"),
    // Of ours.
    ("KUBELET_TUNABLES_ARGS", ""),
];
const PROXY: &str = "http://kubelet:password@proxy.example.com:3128";
const NO_PROXY: &str = "localhost,127.0.0.1,::1,10.96.0.0/12,10.244.0.0/16,192.168.0.0/16,172.16.0.0/12,169.254.169.254,\
    .svc,.svc.cluster.local,.cluster.local,.example.com,registry.example.com,k8s-api.example.com";
const KUBEADM_FLAGS: [&str; 6] = [
    "--",
    "/usr/bin/kubelet",
    "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
    "--kubeconfig=/etc/kubernetes/kubelet.conf",
    "--config=/var/lib/kubelet/config.yaml",
    "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("inside"), Some(scratch)) => {
            measure(Path::new(&scratch));
            ExitCode::SUCCESS
        }
        (Some("--bench"), _) => outside(),
        _ => {
            println!("cost: measured by `cargo bench` only");
            ExitCode::SUCCESS
        }
    }
}

/// Builds what is compared and goes inside.
fn outside() -> ExitCode {
    for (tool, package) in [
        ("unshare", "util-linux"),
        ("cc", "gcc"),
        ("sysctl", "procps"),
        ("dash", "dash"),
        ("strace", "strace"),
        ("valgrind", "valgrind"),
        ("go", "golang-go"),
    ] {
        if find(tool).is_none() {
            println!("MISSING: {tool} (package {package}): what hangs on it is not measured");
        }
    }
    let scratch = std::env::temp_dir().join(format!("kubelet-tunables-{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    let done = build(&scratch).and_then(|()| {
        let inside = Command::new("unshare")
            .args(["--mount", "--propagation=private", "--pid", "--fork"])
            .args(["--mount-proc", "--kill-child"])
            .arg(std::env::current_exe().unwrap())
            .args([Path::new("inside"), &scratch])
            .status();
        succeeded("inside the namespace, which needs root", inside)
    });
    fs::remove_dir_all(&scratch).unwrap();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("NOT MEASURED: {why}");
            ExitCode::FAILURE
        }
    }
}

fn build(scratch: &Path) -> Result<(), String> {
    let ours = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/build"))
        .arg("--binary")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("packaging/build: {error}"))?;
    let ours = String::from_utf8_lossy(&ours.stdout);
    fs::copy(ours.trim(), scratch.join("ours"))
        .map_err(|error| format!("packaging/build: {error}"))?;
    for program in ["six", "peak"] {
        let compiled = Command::new("cc")
            .args(["-O2", "-static", "-s", "-o"])
            .arg(scratch.join(program))
            .arg(format!("{SOURCES}/{program}.c"))
            .status();
        succeeded("cc", compiled)?;
    }
    empty_main(&scratch.join("empty"))?;
    if find("go").is_some() {
        let compiled = Command::new("go")
            .args(["build", "-ldflags", "-s -w", "-o"])
            .arg(scratch.join("six-go"))
            .arg(format!("{SOURCES}/six.go"))
            .env("CGO_ENABLED", "0")
            .env("GOCACHE", scratch.join("go-cache"))
            .status();
        succeeded("go build", compiled)?;
    }
    Ok(())
}

/// What Rust's runtime and the C library do by themselves, built as ours is.
fn empty_main(program: &Path) -> Result<(), String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let mut compiler = Command::new(rustc)
        .args(["-O", "-Cpanic=abort", "-Cstrip=symbols"])
        .args(["-Ctarget-feature=+crt-static"])
        .args(["-Clink-arg=-Wl,-z,pack-relative-relocs", "-o"])
        .args([program, Path::new("-")])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("rustc: {error}"))?;
    let written = compiler.stdin.take().unwrap().write_all(b"fn main() {}");
    written.map_err(|error| format!("rustc: {error}"))?;
    succeeded("rustc", compiler.wait())
}

fn succeeded(what: &str, status: std::io::Result<std::process::ExitStatus>) -> Result<(), String> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what}: {status}")),
        Err(error) => Err(format!("{what}: {error}")),
    }
}

fn find(tool: &str) -> Option<PathBuf> {
    [
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
        "/usr/sbin",
        "/sbin",
        "/lib/systemd",
    ]
    .iter()
    .map(|folder| Path::new(folder).join(tool))
    .find(|path| path.exists())
}

/// A program, how it is called and how it is to exit.
struct Program {
    name: &'static str,
    path: PathBuf,
    arguments: Vec<String>,
    exit: i32,
}

impl Program {
    fn new(name: &'static str, path: impl Into<PathBuf>, arguments: &[&str], exit: i32) -> Self {
        Self {
            name,
            path: path.into(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            exit,
        }
    }
}

/// What a program costs; what could not be measured is none.
struct Figures {
    name: &'static str,
    bytes: u64,
    wall: Vec<Duration>,
    instructions: Option<u64>,
    calls: Option<u64>,
    peak: Option<u64>,
}

impl Figures {
    /// The median of how often longer it takes than the other, run for run.
    fn ratio_to(&self, other: &Self) -> f64 {
        let mut ratios: Vec<_> = (self.wall.iter().zip(&other.wall))
            .map(|(own, other)| own.as_secs_f64() / other.as_secs_f64())
            .collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }

    fn median(&self) -> Duration {
        let mut wall = self.wall.clone();
        wall.sort_unstable();
        wall[wall.len() / 2]
    }
}

/// Where systemd would read the Status line.
const NOTIFY_SOCKET: &str = "/run/systemd/notify";

/// The namespace: a journald, somebody who reads the Status line, and what the programs are started with.
struct Lab {
    scratch: PathBuf,
    runs: usize,
    stderr: OwnedFd,
    journal_stream: String,
    journald: Child,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.journald.kill();
        let _ = self.journald.wait();
    }
}

impl Lab {
    fn set_up(scratch: &Path) -> Self {
        fs::create_dir_all("/usr/local/lib/sysctl.d").unwrap_or_default();
        for folder in [
            "/run",
            "/boot",
            "/etc/sysctl.d",
            "/usr/lib/sysctl.d",
            "/usr/local/lib",
            "/var/lib",
        ] {
            if Path::new(folder).is_dir() {
                mount(folder);
            }
        }
        fs::create_dir_all("/var/lib/kubelet").unwrap();
        fs::create_dir_all("/run/systemd/journal").unwrap();
        fs::create_dir_all("/run/log/journal").unwrap();
        let journald = find("systemd-journald").expect("systemd-journald (package systemd)");
        let journald = Command::new(journald)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let stream = loop {
            match UnixStream::connect("/run/systemd/journal/stdout") {
                Ok(stream) => break stream,
                Err(_) if begun.elapsed() < Duration::from_secs(5) => {
                    sleep(Duration::from_millis(10));
                }
                Err(error) => panic!("journald: {error}"),
            }
        };
        let notified = UnixDatagram::bind(NOTIFY_SOCKET).unwrap();
        std::thread::spawn(move || while notified.recv(&mut [0; 4096]).is_ok() {});
        // What sd_journal_stream_fd(3) sends: identifier, unit, priority, and four switches.
        (&stream).write_all(b"cost\n\n6\n1\n0\n0\n0\n").unwrap();
        let stderr = OwnedFd::from(stream);
        let stat = File::from(stderr.try_clone().unwrap()).metadata().unwrap();

        let kept = [
            "kernel/osrelease",
            "kernel/hostname",
            "kernel/random/boot_id",
        ]
        .map(|name| (name, fs::read(format!("/proc/sys/{name}")).unwrap()));
        mount("/proc/sys");
        for (name, content) in kept {
            put(&format!("/proc/sys/{name}"), content);
        }
        // Of the size of Debian's, with the two options that decide in its middle.
        let option = |number| format!("CONFIG_OPTION_NUMBER_{number}=m\n");
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let config: String = (0..5000)
            .map(option)
            .chain(["# CONFIG_PANIC_ON_OOPS is not set\nCONFIG_PANIC_TIMEOUT=0\n".to_string()])
            .chain((5000..10000).map(option))
            .collect();
        put(&format!("/boot/config-{}", release.trim()), config);
        Self {
            scratch: scratch.to_path_buf(),
            runs: std::env::var("RUNS").map_or(300, |runs| runs.parse().expect("RUNS=n")),
            stderr,
            journal_stream: format!("{}:{}", stat.dev(), stat.ino()),
            journald,
        }
    }

    /// Lays out so many files, sets the six, and times the programs in turns, then counts what each costs.
    fn compare(&self, title: &str, right: bool, programs: &[Program]) -> Vec<Figures> {
        for tunable in TUNABLES {
            let value = if right {
                tunable.expected
            } else {
                tunable.default
            };
            put(&proc_sys(tunable.name), format!("{value}\n"));
        }
        let mut figures: Vec<_> = programs.iter().map(|it| self.count(it)).collect();
        // The first run of each warms up. Forth and back, as each finds the machine as another has left it.
        for run in 0..=self.runs {
            for turn in 0..programs.len() {
                let at = if run % 2 == 0 {
                    turn
                } else {
                    programs.len() - 1 - turn
                };
                let begun = Instant::now();
                self.run(&[], &programs[at]);
                if run > 0 {
                    figures[at].wall.push(begun.elapsed());
                }
            }
        }
        print_table(title, &figures);
        figures
    }

    fn count(&self, program: &Program) -> Figures {
        Figures {
            name: program.name,
            bytes: fs::metadata(&program.path).unwrap().len(),
            wall: Vec::new(),
            instructions: self.instructions(program),
            calls: self.calls(program),
            peak: (0..5).map(|_| self.peak(program)).max(),
        }
    }

    fn command(&self, wrapper: &[&str], program: &Program) -> Command {
        let mut words = wrapper
            .iter()
            .map(ToString::to_string)
            .chain([program.path.display().to_string()])
            .chain(program.arguments.iter().cloned());
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .env_clear()
            .envs(ENVIRONMENT)
            .env("JOURNAL_STREAM", &self.journal_stream)
            .env("NOTIFY_SOCKET", NOTIFY_SOCKET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.stderr.try_clone().unwrap());
        command
    }

    fn run(&self, wrapper: &[&str], program: &Program) {
        let status = self.command(wrapper, program).status().unwrap();
        assert_eq!(status.code(), Some(program.exit), "{}", program.name);
    }

    /// Instructions of the program and all its children.
    fn instructions(&self, program: &Program) -> Option<u64> {
        find("valgrind")?;
        let logs = self.scratch.join("callgrind");
        fs::create_dir(&logs).unwrap();
        let log = format!("--log-file={}/%p", logs.display());
        let wrapper = [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--trace-children=yes",
            &log,
        ];
        let status = self.command(&wrapper, program).status().unwrap();
        let mut sum = 0;
        for log in fs::read_dir(&logs).unwrap() {
            let log = fs::read_to_string(log.unwrap().path()).unwrap();
            let collected = log
                .lines()
                .filter_map(|line| line.split_once("Collected : "));
            sum += collected.fold(0, |sum, (_, count)| {
                sum + count.trim().parse::<u64>().unwrap()
            });
        }
        fs::remove_dir_all(&logs).unwrap();
        if status.code() != Some(program.exit) {
            println!("{}: {status} under valgrind", program.name);
            return None;
        }
        Some(sum)
    }

    /// System calls of the program and all its children.
    fn calls(&self, program: &Program) -> Option<u64> {
        find("strace")?;
        let log = self.scratch.join("strace");
        let log = log.to_str().unwrap();
        self.run(&["strace", "-f", "-qq", "-o", log], program);
        let calls = fs::read_to_string(log).unwrap();
        let begun = calls
            .lines()
            .filter(|line| line.contains('(') && !line.contains(" resumed>"));
        u64::try_from(begun.count()).ok()
    }

    /// KiB; of several processes that of the first, as the others are gone or smaller.
    fn peak(&self, program: &Program) -> u64 {
        let launcher = self.scratch.join("peak");
        let mut command = self.command(&[launcher.to_str().unwrap()], program);
        let printed = command.stdout(Stdio::piped()).output().unwrap();
        let text = String::from_utf8_lossy(&printed.stdout);
        // The program's own output comes before.
        text.lines().last().unwrap().parse().unwrap()
    }
}

fn mount(folder: &str) {
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "tmpfs", folder])
        .status();
    succeeded(folder, mounted).unwrap();
}

fn put(path: &str, content: impl AsRef<[u8]>) {
    fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn proc_sys(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

/// Has so many files in the four folders in turn, as distributions have them: a comment, then settings.
fn lay_out(count: usize) {
    const FOLDERS: [&str; 4] = ["etc", "run", "usr/local/lib", "usr/lib"];
    for number in 0..count {
        let mut content = format!("# Settings of package {number}.\n# See sysctl.d(5).\n\n");
        for setting in 0..SETTINGS_PER_FILE {
            let name = format!("net.made.package{number}.setting{setting}");
            let _ = writeln!(content, "{name} = {setting}");
            put(&proc_sys(&name), "0\n");
        }
        let folder = FOLDERS[number % FOLDERS.len()];
        put(
            &format!("/{folder}/sysctl.d/{number:04}-package.conf"),
            content,
        );
    }
}

fn measure(scratch: &Path) {
    let lab = Lab::set_up(scratch);
    let names: Vec<_> = TUNABLES.iter().map(|tunable| tunable.name).collect();
    let cats: String = names.iter().fold(String::new(), |mut cats, name| {
        let _ = write!(cats, "value=$(cat {}); ", proc_sys(name));
        cats
    });
    let ours = |name, arguments: &[&str], exit| {
        Program::new(name, lab.scratch.join("ours"), arguments, exit)
    };
    let sysctl = || {
        let mut arguments = vec!["-n"];
        arguments.extend(&names);
        Program::new("sysctl -n", find("sysctl").unwrap(), &arguments, 0)
    };
    let applies = || Program::new("systemd-sysctl", find("systemd-sysctl").unwrap(), &[], 0);
    let go = |exit| {
        let path = lab.scratch.join("six-go");
        path.exists()
            .then(|| Program::new("Go, the same check", path, &[], exit))
    };
    let empty = || Program::new("Rust, empty main", lab.scratch.join("empty"), &[], 0);
    let floor = || Program::new("C, six bare reads", lab.scratch.join("six"), &[], 0);
    let dash = || Program::new("dash, six $(cat)", find("dash").unwrap(), &["-c", &cats], 0);

    println!(
        "Each program {} times, in turns; its standard error goes to a journald.",
        lab.runs
    );
    let title = "passing, no sysctl.d file, so with a warning of the next boot";
    lab.compare(title, true, &[ours("ours", &[], 0), floor(), sysctl()]);
    let mut programs = vec![ours("ours, exit 78", &[], 78), floor(), sysctl()];
    programs.extend(go(78));
    lab.compare("failing, three wrong, no sysctl.d file", false, &programs);

    put("/etc/sysctl.d/90-kubelet.conf", SHIPPED);
    let title = "all right: as the drop-in starts it, 90-kubelet.conf and no other file";
    let programs = [ours("ours", &IN_UNIT, 0), floor(), sysctl(), empty()];
    let bare = lab.compare(title, true, &programs);
    let title = "the same, beside what does more";
    let mut programs = vec![ours("ours", &IN_UNIT, 0), applies(), dash()];
    programs.extend(go(0));
    let beside = lab.compare(title, true, &programs);

    lay_out(10);
    let protected = format!("{KUBEADM}protectKernelDefaults: true\n");
    put("/var/lib/kubelet/config.yaml", protected);
    let title =
        "passing, ten files more and kubeadm's configuration file with protectKernelDefaults: true";
    let programs = [ours("ours", &IN_UNIT, 0), applies(), sysctl()];
    let ten = lab.compare(title, true, &programs);
    let title = "failing, the same with three wrong";
    let programs = [ours("ours, exit 78", &KUBEADM_FLAGS, 78), sysctl()];
    let all = lab.compare(title, false, &programs);

    lay_out(1000);
    let programs = [ours("ours", &IN_UNIT, 0), applies()];
    let thousand = lab.compare("passing, a thousand sysctl.d files", true, &programs);

    judge(&bare, &beside[1], &ten[0], &all[0], &thousand);
}

/// Holds the figures against the aims: `bare` and `thousand` have ours first, the others are ours but `applied`, which is
/// systemd-sysctl's over one file.
fn judge(bare: &[Figures], applied: &Figures, ten: &Figures, all: &Figures, thousand: &[Figures]) {
    println!("\naims");
    let ours = &bare[0];
    aim_ratio("wall, of sysctl -n", ours.ratio_to(&bare[2]), 0.90);
    aim("instructions, all right", ours.instructions, Some(205_000));
    aim("system calls, all right", ours.calls, Some(68));
    aim(
        "system calls, ten files and three wrong",
        all.calls,
        Some(240),
    );
    let peak = [ours, ten, all].map(|it| it.peak).into_iter().max();
    aim(
        "KiB at the peak, up to ten files",
        peak.flatten(),
        Some(2048),
    );
    aim("bytes", Some(ours.bytes), Some(2_050_000));
    let per_file = |at: usize, bare: &Figures, of: fn(&Figures) -> Option<u64>| {
        Some(of(&thousand[at])?.saturating_sub(of(bare)?) / 1000)
    };
    for (what, of) in [
        (
            "instructions a file, of systemd-sysctl's",
            (|it| it.instructions) as fn(&Figures) -> _,
        ),
        ("system calls a file, of systemd-sysctl's", |it| it.calls),
        ("nanoseconds a file, of systemd-sysctl's", |it| {
            u64::try_from(it.median().as_nanos()).ok()
        }),
    ] {
        aim(what, per_file(0, ours, of), per_file(1, applied, of));
    }
}

fn print_table(title: &str, figures: &[Figures]) {
    println!(
        "\n{title}\n{:<22} {:>9} {:>8} {:>6} {:>12} {:>6} {:>8}",
        "", "bytes", "wall ms", "ratio", "instructions", "calls", "peak KiB"
    );
    let shown = |count: Option<u64>| count.map_or("-".to_string(), grouped);
    for it in figures {
        println!(
            "{:<22} {:>9} {:>8.3} {:>6.2} {:>12} {:>6} {:>8}",
            it.name,
            grouped(it.bytes),
            it.median().as_secs_f64() * 1000.0,
            it.ratio_to(&figures[0]),
            shown(it.instructions),
            shown(it.calls),
            shown(it.peak)
        );
    }
}

fn grouped(count: u64) -> String {
    if count < 1000 {
        return count.to_string();
    }
    format!("{},{:03}", grouped(count / 1000), count % 1000)
}

fn aim(what: &str, value: Option<u64>, limit: Option<u64>) {
    match (value, limit) {
        (Some(value), Some(limit)) => {
            verdict(value <= limit, what, &grouped(value), &grouped(limit));
        }
        _ => println!("-       {what}: not measured"),
    }
}

fn aim_ratio(what: &str, value: f64, limit: f64) {
    verdict(
        value <= limit,
        what,
        &format!("{value:.2}"),
        &format!("{limit:.2}"),
    );
}

fn verdict(met: bool, what: &str, value: &str, limit: &str) {
    let met = if met { "met" } else { "MISSED" };
    println!("{met:<7} {what}: {value} (at most {limit})");
}
