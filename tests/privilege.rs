//! What the process touches, by strace, compared with the kept list `tests/touched`; and that this is the least: nothing
//! but /proc/sys is written, and by --persist a file in /etc/sysctl.d, no network is used, no process is started, and
//! little memory is enough.
//!
//! `UPDATE=1 cargo test --test privilege` writes the list anew; the difference is then yours to read.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::machine::{AWAIT_TRACE, Machine, WHO};
use support::{BINARY, Outcome};

support::tests![touches_what_is_listed_and_no_more, fits_in_8_mib];

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/touched");

/// In the unit and by hand, with each behaviour: who, arguments, exit. Each on the machine as it is, with all six right,
/// and without its files.
const RUNS: [(&str, &str, i32); 15] = [
    ("unit", "$protected", 78),
    ("unit", "$folder", 78),
    ("unit", "$unprotected", 0),
    ("unit", "--strict $protected", 78),
    ("unit", "--warn $protected", 0),
    ("unit", "--modify $protected", 0),
    ("unit", "--wran $protected", 78),
    // No systemd answers here, so nothing is known of kubelet.
    ("unit", "--unit kubelet.service", 0),
    ("service", "$protected", 78),
    ("hand", "", 78),
    ("hand", "--warn", 0),
    ("hand", "--modify", 0),
    ("hand", "$protected", 78),
    ("hand", "--unit kubelet.service", 0),
    ("hand", "--help", 0),
];
const ALL_RIGHT: &str = "cd /proc/sys; echo 1 >vm/overcommit_memory; echo 10 >kernel/panic; echo 1 >kernel/panic_on_oops; cd /";
const BARE: &str = "rm -r /boot /etc/sysctl.d /usr/share/kubelet-tunables";
const CALLS: &str = "%file,%network,%process,%creds,write,writev,pwrite64,pwritev,ftruncate,fallocate,ioctl,kill,mount";
const PERSISTS: (&str, &str, i32) = ("hand", "--modify --persist", 0);

fn touches_what_is_listed_and_no_more() -> Outcome {
    let machine = Machine::new("privilege", &["stat", "grep", "sleep"])?;
    machine.has_strace()?;
    let mut touched = BTreeSet::new();
    for setup in ["", ALL_RIGHT, BARE] {
        for (who, arguments, exit) in RUNS {
            let exit = if setup == ALL_RIGHT && exit == 78 {
                0
            } else {
                exit
            };
            touched.extend(trace(&machine, setup, (who, arguments, exit)));
        }
    }
    for line in &touched {
        let (verb, object) = line.split_once(' ').unwrap_or((line, ""));
        let least = match verb {
            "execute" => object == "/bin/kubelet-tunables",
            "ask" | "list" | "read" | "send" | "stat" | "thread" => true,
            "socket" => object.starts_with("AF_UNIX "),
            "write" => object.starts_with("/proc/sys/") || object.starts_with("standard "),
            _ => false,
        };
        assert!(least, "it has to do without: {line}");
    }
    let mut list = String::from(
        "# What kubelet-tunables touches, in the unit and by hand, by tests/privilege.rs; what is in a folder of\n\
         # configuration as one, and without what the dynamic linker and the C library read before main.\n",
    );
    for line in &touched {
        let _ = writeln!(list, "{line}");
    }
    list.push_str("\n# And by hand with --persist:\n");
    for line in trace(&machine, "", PERSISTS).difference(&touched) {
        assert!(line.contains(" /etc/sysctl.d"), "{line}");
        let _ = writeln!(list, "{line}");
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(KEPT, &list).unwrap();
    }
    let kept = fs::read_to_string(KEPT).unwrap();
    assert_eq!(
        list, kept,
        "what it touches has changed; UPDATE=1 rewrites {KEPT}"
    );
    Ok(())
}

fn fits_in_8_mib() -> Outcome {
    let group = MemoryGroup::new().ok_or("no control group with a limit on memory can be made")?;
    let output = Command::new("sh")
        .args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""])
        .arg(&group.folder)
        .args([BINARY, "--", "kubelet"])
        .arg(concat!(
            "--config=",
            env!("CARGO_MANIFEST_DIR"),
            "/tests/machine/var/lib/kubelet/config.yaml"
        ))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("peak in a group of 8 MiB: {} KiB", group.peak() / 1024);
    assert!(matches!(output.status.code(), Some(0 | 78)), "{output:?}");
    assert!(said.contains("kernel.keys.root_maxbytes"), "{output:?}");
    Ok(())
}

/// A control group whose memory is limited, of the one hierarchy or of the older ones.
struct MemoryGroup {
    folder: PathBuf,
    peak: &'static str,
}

impl MemoryGroup {
    fn new() -> Option<Self> {
        [
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.max_usage_in_bytes",
            ),
            ("/sys/fs/cgroup", "memory.max", "memory.peak"),
        ]
        .into_iter()
        .find_map(|(parent, limit, peak)| {
            let folder = Path::new(parent).join(format!("kubelet-tunables-{}", std::process::id()));
            fs::create_dir(&folder).ok()?;
            let group = Self { folder, peak };
            let limit = group.folder.join(limit);
            (limit.exists() && fs::write(limit, "8388608").is_ok()).then_some(group)
        })
    }

    fn peak(&self) -> u64 {
        let peak = fs::read_to_string(self.folder.join(self.peak)).unwrap_or_default();
        peak.trim().parse().unwrap_or_default()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// What one run touches.
fn trace(
    machine: &Machine,
    setup: &str,
    (who, arguments, exit): (&str, &str, i32),
) -> BTreeSet<String> {
    let run = machine.run(&format!(
        "cat >/tmp/check <<'CHECK'
{setup}\nwho={who}{WHO}
exec strace -D -f -q -y -o /tmp/trace -e trace={CALLS} /bin/kubelet-tunables {arguments} >/dev/null
CHECK
sh /tmp/check && code=0 || code=$?
{AWAIT_TRACE}
cat /tmp/trace
exit $code"
    ));
    assert_eq!(run.exit, exit, "{who} {arguments}: {run:?}");
    run.stdout.lines().filter_map(touch).map(plain).collect()
}

/// Without the number of the process in the name of the temporary file.
fn plain(touch: String) -> String {
    const NAME: &str = ".kubelet-tunables-";
    match touch.split_once(NAME) {
        Some((before, after)) => {
            let after = after.trim_start_matches(|it: char| it.is_ascii_digit());
            format!("{before}{NAME}PID{after}")
        }
        None => touch,
    }
}

/// What a line of strace touches, in words; none where that is nothing.
fn touch(line: &str) -> Option<String> {
    let line =
        line.trim_start_matches(|character: char| character.is_ascii_digit() || character == ' ');
    let (call, arguments) = line.split_once('(')?;
    let path = arguments.split('"').nth(1).unwrap_or_default();
    if path.contains(".so") || path.starts_with("/etc/ld.so") || line.starts_with("<...") {
        return None;
    }
    let mut path = path.replace("6.1.0", "RELEASE");
    // What is named from an open folder on.
    if arguments.starts_with(|it: char| it.is_ascii_digit()) && !path.is_empty() {
        path = match path.as_str() {
            "." => opened(arguments).to_string(),
            name => format!("{}/{name}", opened(arguments)),
        };
    }
    let path = match path.rsplit_once('/') {
        Some((folder, name)) if Path::new(name).extension().is_some_and(|it| it == "conf") => {
            format!("{folder}/*.conf")
        }
        _ => path,
    };
    Some(match call {
        "execve" => format!("execute {path}"),
        "openat" if arguments.contains("O_CREAT") => format!("create {path}"),
        "openat" if arguments.contains("O_WRONLY") || arguments.contains("O_RDWR") => {
            format!("write {path}")
        }
        "openat" if arguments.contains("O_DIRECTORY") => format!("list {path}"),
        "openat" => format!("read {path}"),
        // Of what is open already there is no path.
        "statx" | "newfstatat" | "fstat" if path.is_empty() => return None,
        // The dynamic linker looks for libraries.
        "newfstatat" | "access" if path.starts_with("/lib/") => return None,
        "statx" | "newfstatat" | "access" | "readlink" => format!("stat {path}"),
        "write" => format!("write {}", opened(arguments)),
        "renameat2" => {
            let name = arguments.split('"').nth(3)?;
            format!("rename {path} to {}/{name}", opened(arguments))
        }
        "socket" => format!(
            "socket {}",
            arguments.split(['|', ',']).take(2).collect::<String>()
        ),
        "sendto" | "sendmsg" => {
            let (_, address) = arguments.split_once("sun_path=\"")?;
            format!("send {}", address.split('"').next()?)
        }
        "connect" => format!(
            "ask {}",
            arguments.split("sun_path=\"").nth(1)?.split('"').next()?
        ),
        "clone" | "clone3" if arguments.contains("CLONE_THREAD") => "thread".to_string(),
        "clone" | "clone3" => "process".to_string(),
        // Whether it is a terminal, and how wide.
        "ioctl" if arguments.contains("TCGETS") || arguments.contains("TIOCGWINSZ") => return None,
        // What it knows of itself. The last is a thread that ended with the process before its next call.
        "exit" | "exit_group" | "wait4" | "geteuid" | "getcwd" | "setsockopt" | "???" => {
            return None;
        }
        _ => line.to_string(),
    })
}

/// The file of a descriptor, as in `3</proc/sys/kernel/panic>, "10", 2) = 2`.
fn opened(arguments: &str) -> &str {
    match arguments.split_once('<') {
        Some(("1", _)) => "standard output",
        Some(("2", _)) => "standard error",
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => arguments,
    }
}
