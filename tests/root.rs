//! What `--root` reads and writes, as strace sees it: the image, and nothing of the machine. And what it predicts of each
//! Debian's root, before and after `--modify --persist`, with that root's own systemd-sysctl as the judge.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use support::{BINARY, Outcome, needs, own_uid, scratch, test};

const SUITES: [&str; 4] = ["bullseye", "bookworm", "trixie", "sid"];

fn main() -> ExitCode {
    let mut tests = vec![
        test("reads_the_image_alone", reads_the_image_alone),
        test("strace_would_see_it", strace_would_see_it),
        test("needs_openat2", needs_openat2),
    ];
    for suite in SUITES {
        tests.push(test(format!("predicts::{suite}"), move || predicts(suite)));
    }
    support::main(tests)
}

/// A copy of the image of tests/cases/54-image.
struct Image(PathBuf);

impl Image {
    fn new(name: &str) -> Self {
        let path = scratch(name);
        let case = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/cases/54-image/mnt/image/."
        );
        let copied = Command::new("cp").args(["-R", case]).arg(&path).status();
        assert!(copied.unwrap().success());
        Self(path)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The calls that name a file or go to the network, of a run with these arguments.
fn calls(image: &Image, arguments: &[&str]) -> Result<(Vec<String>, Option<i32>), String> {
    needs(&["strace"])?;
    let trace = image.0.with_extension("trace");
    let output = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-s",
            "4096",
            "-e",
            "trace=%file,%network",
            "-o",
        ])
        .arg(&trace)
        .arg(BINARY)
        .args(arguments)
        // Cargo's, where the loader would look around.
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    let text = fs::read_to_string(&trace).unwrap_or_default();
    let _ = fs::remove_file(&trace);
    if !text.contains("execve") {
        return Err(format!(
            "strace: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let calls = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, call)| call.trim().to_string())
        .filter(|call| !call.starts_with("+++"))
        .collect();
    Ok((calls, output.status.code()))
}

/// Whether a call stays in the image: it is the opening of its root, or goes out from there and is kept there by the kernel,
/// or names a file in a folder that is already open. Otherwise it is what starts any program.
fn stays(call: &str, image: &Path) -> bool {
    let quoted: Vec<_> = call.split('"').skip(1).step_by(2).collect();
    let from_open_folder = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    let Some((name, arguments)) = call.split_once('(') else {
        return false;
    };
    match name {
        "openat2" => from_open_folder(arguments) && call.contains("RESOLVE_IN_ROOT"),
        "execve" => quoted.first() == Some(&BINARY),
        "openat" | "access" | "readlinkat" | "newfstatat" | "statx" | "mkdirat" | "renameat2"
        | "unlinkat" | "fchmodat" => {
            let path = quoted.first().copied().unwrap_or_default();
            let is_of_the_loader = path.starts_with("/etc/ld.so.") || path.contains(".so");
            let is_of_the_runtime = path == "/proc/self/maps";
            is_of_the_loader
                || is_of_the_runtime
                || Path::new(path) == image
                || (from_open_folder(arguments) && quoted.iter().all(|path| !path.contains('/')))
        }
        _ => false,
    }
}

fn reads_the_image_alone() -> Outcome {
    let image = Image::new("root-trace");
    let path = image.0.to_str().unwrap().to_string();
    let runs: [(&[&str], i32); 6] = [
        (&[], 78),
        (&["--explain", "kernel.panic"], 0),
        (
            &["--", "kubelet", "--config=/var/lib/kubelet/config.yaml"],
            78,
        ),
        (
            &[
                "--",
                "kubelet",
                "--config-dir=/etc/kubernetes/kubelet.conf.d",
            ],
            78,
        ),
        (&["--modify", "--persist"], 0),
        (&["--modify", "--persist"], 0),
    ];
    for (arguments, code) in runs {
        let arguments = [&["--root", &path], arguments].concat();
        let (calls, exit) = calls(&image, &arguments)?;
        assert_eq!(exit, Some(code), "{arguments:?}");
        let in_image = calls.iter().filter(|call| call.starts_with("openat2"));
        assert!(in_image.count() > 5, "{arguments:?}: {calls:#?}");
        let strays: Vec<_> = calls.iter().filter(|call| !stays(call, &image.0)).collect();
        assert!(strays.is_empty(), "{arguments:?}: {strays:#?}");
    }
    Ok(())
}

/// Without `--root`, the same eyes see that the machine is read.
fn strace_would_see_it() -> Outcome {
    let image = Image::new("root-machine");
    let (calls, _) = calls(&image, &[])?;
    let strays: Vec<_> = calls.iter().filter(|call| !stays(call, &image.0)).collect();
    for path in ["/proc/sys/kernel/panic", "/etc/sysctl.d"] {
        let is_seen = strays.iter().any(|call| call.contains(path));
        assert!(is_seen, "{path}: {strays:#?}");
    }
    Ok(())
}

fn needs_openat2() -> Outcome {
    needs(&["strace"])?;
    let image = Image::new("root-seccomp");
    for errno in ["ENOSYS", "EPERM"] {
        let output = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("inject=openat2:error={errno}"))
            .arg(BINARY)
            .arg("--root")
            .arg(&image.0)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errno}: {said}");
        assert!(output.stdout.is_empty(), "{errno}: it has an answer");
        assert_eq!(
            said,
            format!(
                "error: --root {}: the kernel does not allow openat2 (new in Linux 5.6), which keeps links in the image\n",
                image.0.display()
            )
        );
    }
    Ok(())
}

/// Run in a mount namespace, over a layer on a root: what is predicted, what systemd-sysctl makes of kernel defaults, and the
/// same after the file is written.
const BOTH: &str = r#"
set -eu
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
root=/mnt/root program=$2
echo 'kernel.pan* = 5' >$root/usr/lib/sysctl.d/45-pattern.conf
echo 'kernel.panic_on_oops = 1' >$root/etc/sysctl.d/50-oops.conf
predicted() {
    code=0
    "$program" --root $root >/mnt/report || code=$?
    sed -n '2,7s/^\([a-z._]*\) *[0-9]* *\([0-9?]*\) .*/\1=\2/p' /mnt/report
    echo "exit $code"
}
booted() {
    # As the kernel starts, in a plain folder, so that a value is cut to its length.
    for value in vm.overcommit_memory=0 vm.panic_on_oom=0 kernel.panic=0 kernel.panic_on_oops=0 \
        kernel.keys.root_maxkeys=1000000 kernel.keys.root_maxbytes=25000000; do
        file=$root/proc/sys/$(echo "${value%=*}" | tr . /)
        mkdir -p "${file%/*}"
        echo "${value#*=}" >"$file"
    done
    sysctl=/usr/lib/systemd/systemd-sysctl
    [ -e "$root$sysctl" ] || sysctl=/lib/systemd/systemd-sysctl
    chroot $root "$sysctl" || :
    for name in vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops \
        kernel.keys.root_maxkeys kernel.keys.root_maxbytes; do
        # A plain file keeps the end of what was longer; the first line is what was written.
        echo "$name=$(head -n1 "$root/proc/sys/$(echo $name | tr . /)")"
    done
}
predicted
echo --
booted
echo --
"$program" --root $root --modify --persist >/dev/null
predicted
echo --
booted
"#;

fn predicts(suite: &str) -> Outcome {
    let lab = std::env::var_os("KUBELET_TUNABLES_LAB").map_or_else(
        || PathBuf::from("/var/cache/kubelet-tunables-lab"),
        PathBuf::from,
    );
    let root = lab.join(suite);
    if own_uid() != 0 {
        return Err("it needs root".into());
    }
    if !root.join(".complete").exists() {
        return Err(format!("no root of {suite}; tests/systemd/run makes it"));
    }
    needs(&["unshare", "mount", "chroot"])?;
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            BOTH,
            "sh",
        ])
        .arg(&root)
        .arg(BINARY)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let parts: Vec<_> = text.split("--\n").collect();
    let [predicted, booted, predicted_after, booted_after] = parts[..] else {
        panic!("{text}{errors}");
    };
    println!("{suite}: {}", predicted.replace('\n', " "));
    assert_eq!(predicted, format!("{booted}exit 78\n"), "{errors}");
    assert!(booted.contains("kernel.panic=5\nkernel.panic_on_oops=1\n"));
    assert_eq!(
        predicted_after,
        format!("{booted_after}exit 0\n"),
        "{errors}"
    );
    assert!(booted_after.contains("kernel.panic=10\n"), "{booted_after}");
    Ok(())
}
