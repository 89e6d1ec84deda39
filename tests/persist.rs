//! Faults while the file in /etc/sysctl.d is written, each made anew in a mount namespace: nothing half-written and nothing
//! else is left, and the error names the operation and the path.
//!
//! `cargo test --test persist fsync` runs those whose fault has the text. The program runs itself again under the fault.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use kubelet_tunables::files::root::Root;
use kubelet_tunables::persist::{PersistError, persist};
use support::{Outcome, copy, needs, own_uid, scratch, test};

/// The fault; what persist says; the files that are in the folder then. In the fault `$D` is the folder, `$T` the name of
/// the temporary file, and `inject` has strace do that to the calls on that path. `/` as the root is that of the namespace.
const ROWS: &str = "
    : | ok | 90-kubelet.conf
    rmdir $D | ok | 90-kubelet.conf
    mount -t tmpfs tmpfs /etc; R=/ D=/etc/sysctl.d | ok | 90-kubelet.conf
    mount -t tmpfs tmpfs /etc; R=/ D=/etc/sysctl.d; inject openat2:error=ENOSYS | ok (the fault was not made) | 90-kubelet.conf
    inject openat2:error=ENOSYS | the kernel does not allow openat2 (new in Linux 5.6), which keeps links in the image |
    inject openat2:error=EPERM | the kernel does not allow openat2 (new in Linux 5.6), which keeps links in the image |
    inject openat2:error=EAGAIN:when=1..9 | ok | 90-kubelet.conf
    inject openat2:error=EAGAIN | Resource temporarily unavailable |
    inject openat2:error=EINTR:when=1 | ok | 90-kubelet.conf

    mount -t tmpfs -o size=8k tmpfs $D; dd if=/dev/zero of=$D/full bs=4k count=2 2>/dev/null | write $D/90-kubelet.conf: No space left on device | full
    mount -t tmpfs -o nr_inodes=2 tmpfs $D; : >$D/full | create $D/90-kubelet.conf: No space left on device | full
    mount --bind $R $R; mount -o remount,bind,ro $R | create $D/90-kubelet.conf: Read-only file system |
    rmdir $D; mount --bind $R $R; mount -o remount,bind,ro $R | create $D: Read-only file system | none
    chmod 755 $R $R/etc $D; as='setpriv --reuid=65534 --regid=65534 --clear-groups' | create $D/90-kubelet.conf: Permission denied |
    chmod 700 $R/etc; as='setpriv --reuid=65534 --regid=65534 --clear-groups' | open $D: Permission denied |
    echo foreign >$D/99.conf; echo kernel.panic=0 >>$D/99.conf; ln -s 99.conf $D/90-kubelet.conf; ln -s /dev/null $D/zz-kubelet.conf | ok | 90-kubelet.conf 99.conf 99.kubelet.conf zz-kubelet.conf
    echo half >$D/$T | ok | 90-kubelet.conf
    mkdir $D/$T | create $D/90-kubelet.conf: File exists | $T

    rmdir $D; inject mkdirat:error=EIO | create $D: Input/output error | none
    rmdir $D; inject mkdirat:error=EINTR:when=1 | ok | 90-kubelet.conf
    rmdir $D; inject mkdirat:error=ENOSPC | create $D: No space left on device | none
    rmdir $D; inject fsync:error=EIO $R/etc | write to the disk $R/etc: Input/output error |
    rmdir $D; inject fchmod:error=EIO $D | create $D: Input/output error |
    inject getdents64:error=EIO $D | list $D: Input/output error |
    inject openat:error=EMFILE $T | create $D/90-kubelet.conf: Too many open files |
    inject openat:error=EINTR:when=1 $T | ok | 90-kubelet.conf
    inject write:error=EIO $D/$T | write $D/90-kubelet.conf: Input/output error |
    inject write:error=EDQUOT $D/$T | write $D/90-kubelet.conf: Disk quota exceeded |
    inject write:error=EINTR:when=1 $D/$T | ok | 90-kubelet.conf
    inject write:retval=0 $D/$T | write $D/90-kubelet.conf: failed to write whole buffer |
    inject fchmod:error=EPERM $D/$T | write $D/90-kubelet.conf: Operation not permitted |
    inject fsync:error=EIO $D/$T | write $D/90-kubelet.conf: Input/output error |
    inject fsync:error=ENOSPC $D/$T | write $D/90-kubelet.conf: No space left on device |
    inject fsync:error=EINTR:when=1 $D/$T | ok | 90-kubelet.conf
    inject renameat2:error=EIO | rename a temporary file to $D/90-kubelet.conf: Input/output error |
    inject renameat2:error=EROFS | rename a temporary file to $D/90-kubelet.conf: Read-only file system |
    inject renameat2:error=EINTR:when=1 | ok | 90-kubelet.conf
    inject renameat2:error=EINVAL:when=1 | ok | 90-kubelet.conf
    inject renameat2:error=ENOSYS:when=1 | ok | 90-kubelet.conf
    inject renameat2:delay_enter=3s; meanwhile ln -s ../hostname $D/90-kubelet.conf | rename a temporary file to $D/90-kubelet.conf: File exists | 90-kubelet.conf
    inject fsync:error=EIO $D | write to the disk $D: Input/output error | 90-kubelet.conf
    inject fsync:error=EINVAL $D | ok | 90-kubelet.conf
    inject fsync:error=EINTR:when=1 $D | ok | 90-kubelet.conf
    inject fsync:error=EIO $D/$T; inject unlinkat:error=EIO $T | write $D/90-kubelet.conf: Input/output error | $T

    old | ok | 99.conf zz-kubelet.conf
    old; inject unlinkat:error=EIO | remove $D/90-kubelet.conf: Input/output error | 90-kubelet.conf 99.conf zz-kubelet.conf
    old; inject unlinkat:error=ENOENT | ok | 90-kubelet.conf 99.conf zz-kubelet.conf
    old; inject write:error=ENOSPC $D/$T | write $D/zz-kubelet.conf: No space left on device | 90-kubelet.conf 99.conf

    inject write:signal=SIGKILL $D/$T | ended with 137 | $T
    inject fsync:signal=SIGTERM $D/$T | ended with 143 | $T
    inject renameat2:signal=SIGKILL | ended with 137 | $T
";

/// What makes the fault and becomes the program: tracer and program keep the process, and so the name of the file.
const FAULT: &str = r#"
D=$R/etc/sysctl.d T=.kubelet-tunables-$$ as= trace=
inject() { trace="$trace -e inject=$1"; [ $# -lt 2 ] || trace="$trace -P $2"; }
# Does that once the temporary file is there.
meanwhile() { (for _ in $(seq 6000); do [ ! -e "$D/$T" ] || { "$@"; break; }; sleep 0.01; done) & }
# A file of ours that a later one beats.
old() { R=$R "$TEST" >/dev/null; echo kernel.panic=0 >"$D/99.conf"; }
mkdir -p "$D" "$R/proc"
: >"$R/proc/cmdline"
eval "$ROW"
eval "echo \"SAID=$SAID\"; echo \"FILES=$FILES\"" >expected
echo "pid=$$ R=$R D=$D" >fault
umask 077
exec $as ${trace:+strace -D -f -q -o trace $trace} env R="$R" "$TEST"
"#;

/// Runs it and looks at what is there then; where the fault was a call's, runs the program again without it.
const LOOK: &str = r#"
cd "$BASE"
sh -c "$FAULT" >said 2>stderr && code=0 || code=$?
. ./fault
said=$(sed -n 's/^SAID: //p' said)
if [ -e trace ]; then
    for _ in $(seq 600); do ! grep -q "^$pid .*+++ " trace || break; sleep 0.1; done
    grep -q 'INJECTED\|DELAYED\|--- SIG\|+++ killed' trace || said="$said (the fault was not made)"
fi
echo "SAID=${said:-ended with $code}"
echo "FILES=$(echo $(ls -A "$D" 2>/dev/null || echo none))"
look() {
    for file in "$D"/*kubelet.conf; do
        [ -f "$file" ] && [ ! -h "$file" ] || continue
        [ "$(stat -c %a "$file")" = 644 ] || echo "$file: mode"
        [ "$(tail -n1 "$file")" = 'kernel.keys.root_maxbytes = 25000000' ] || echo "$file: not whole"
    done
    [ "${said%% *}" != ok ] || [ "$(stat -c %a "$D/")" = 755 ] || echo "$D: mode"
}
look
[ -e trace ] || exit 0
R=$R "$TEST" >again 2>&1 || :
grep -q '^SAID: ok' again || { echo "again:"; cat again; }
ls -d "$D"/.kubelet-tunables* 2>/dev/null || :
look
"#;

fn main() -> ExitCode {
    if let Some(root) = std::env::var_os("R") {
        say(Path::new(&root));
        return ExitCode::SUCCESS;
    }
    let rows: Vec<_> = ROWS.lines().filter(|row| row.contains(" | ")).collect();
    assert!(!rows.is_empty());
    let tests = rows.into_iter().enumerate().map(|(number, row)| {
        let columns: Vec<_> = row.split(" |").map(str::trim).collect();
        let [fault, said, files] = columns[..] else {
            panic!("{row}");
        };
        test(format!("{number:02} {fault}"), move || {
            ends_as_expected(number, fault, said, files)
        })
    });
    support::main(tests.collect())
}

/// Under the fault: what `persist` says.
fn say(path: &Path) {
    // A tree is an image, but for the machine's own root.
    let root = if path == Path::new("/") {
        Ok(Root::machine(path))
    } else {
        Root::image(path)
    };
    let root = match root {
        Ok(root) => root,
        Err(error) => return println!("SAID: {error}"),
    };
    match persist(&root) {
        Ok(_) => println!("SAID: ok"),
        Err(PersistError::Io {
            operation,
            path,
            source,
        }) => {
            println!("SAID: {operation} {}: {source}", path.display());
        }
        Err(error) => println!("SAID: {error:?}"),
    }
}

fn ends_as_expected(number: usize, fault: &str, said: &str, files: &str) -> Outcome {
    if own_uid() != 0 {
        return Err("it needs root".into());
    }
    needs(&["timeout", "unshare", "mount", "setpriv"])?;
    if fault.contains("inject ") {
        needs(&["strace"])?;
    }
    let base = scratch(&format!("persist-{number}"));
    // Every user has to be able to run it.
    let program = base.join("test");
    copy(&std::env::current_exe().unwrap(), &program);
    let root = base.join("root");
    fs::create_dir(&root).unwrap();
    let output = Command::new("timeout")
        .args(["--signal=KILL", "300", "unshare", "--mount"])
        .args(["--propagation", "private", "sh", "-c", LOOK])
        .env("BASE", &base)
        .env("R", &root)
        .env("TEST", &program)
        .env("FAULT", FAULT)
        .env("ROW", fault)
        .env("SAID", said)
        .env("FILES", files)
        .output()
        .unwrap();
    let expected = fs::read_to_string(base.join("expected")).unwrap_or_default();
    let mut seen = String::from_utf8_lossy(&output.stdout).into_owned();
    seen.push_str(&String::from_utf8_lossy(&output.stderr));
    // The number of the error is not of interest.
    assert_eq!(strip_numbers(&seen), expected);
    fs::remove_dir_all(base).unwrap();
    Ok(())
}

/// The text without ` (os error 28)`.
fn strip_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        plain.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    plain
}
