//! Holds what the tests share: tests that can say why they cannot run here, and a root of its own for the real binary.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "each test uses its part"
)]

pub mod machine;

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Trial};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_kubelet-tunables");

/// What every case begins with: a machine on which all is right.
const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/base");

/// How a test ends that does not fail: it ran, or why it cannot run here.
pub type Outcome = Result<(), String>;

/// What a test function returns.
pub trait Ending {
    fn outcome(self) -> Outcome;
}

impl Ending for Outcome {
    fn outcome(self) -> Outcome {
        self
    }
}

impl Ending for () {
    fn outcome(self) -> Outcome {
        Ok(())
    }
}

/// A test by this name. One that cannot run here is counted as ignored, with the reason; under `CI=true` it fails.
pub fn test<E: Ending>(name: impl Into<String>, run: impl FnOnce() -> E + Send + 'static) -> Trial {
    Trial::ignorable_test(name, || match run().outcome() {
        Ok(()) => Ok(Completion::Completed),
        Err(why) if is_ci() => Err(format!("it cannot run here: {why}").into()),
        Err(why) => Ok(Completion::ignored_with(why)),
    })
}

/// Whether all tests have to run, and as many cases of each as are worth hours: `CI=true`.
pub fn is_ci() -> bool {
    std::env::var("CI").as_deref() == Ok("true")
}

/// Finds these programs.
///
/// # Errors
///
/// Says which is not installed.
pub fn needs(programs: &[&str]) -> Outcome {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let is_there = |program: &str| folders.iter().any(|it| it.join(program).is_file());
    programs
        .iter()
        .find(|program| !is_there(program))
        .map_or(Ok(()), |program| Err(format!("{program} is not installed")))
}

/// Starts a program, gives it the input, and waits for what it has to say. One that ends before it has read all of its input
/// has its say too.
///
/// # Errors
///
/// Says that the program is not installed.
pub fn ask(command: &mut Command, input: &[u8]) -> Result<Output, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| not_started(command, &error))?;
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || match stdin.write_all(input) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("{error}"),
            _ => (),
        });
        child.wait_with_output()
    });
    Ok(output.unwrap())
}

/// `go run`, with what it compiles kept beside what Cargo does.
pub fn go_run(program: &str) -> Command {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go");
    let mut go = Command::new("go");
    go.arg("run")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(program))
        .env("GOCACHE", cache.join("cache"))
        .env("GOPATH", cache.join("path"))
        .envs([
            ("GO111MODULE", "off"),
            ("GOFLAGS", ""),
            ("CGO_ENABLED", "0"),
        ]);
    go
}

/// Why a program did not start.
pub fn not_started(command: &Command, error: &std::io::Error) -> String {
    let program = command.get_program().display();
    match error.kind() {
        ErrorKind::NotFound => format!("{program} is not installed"),
        _ => format!("{program}: {error}"),
    }
}

/// How long a run may take that took `took`, where an idle machine has to end it within `bound`: a busy one is allowed as
/// much more as `plain`, a run of which nothing is to be waited for, shows it to be slow.
pub fn is_in_time(took: Duration, bound: Duration, plain: impl FnOnce()) -> bool {
    took < bound || {
        let begun = Instant::now();
        plain();
        took < bound + 10 * begun.elapsed()
    }
}

/// What `main` does in a test program that lists its tests itself.
pub fn main(tests: Vec<Trial>) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// The `main` of a test program whose tests are these functions.
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        fn main() -> std::process::ExitCode {
            support::main(vec![$(support::test(stringify!($name), $name)),+])
        }
    };
}
pub(crate) use tests;

/// Programs that a namespace has where they are installed.
const OPTIONAL: [&str; 2] = ["strace", "systemd-sysctl"];

/// As whom the programs in a namespace run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// The machine's root.
    Root,
    /// An ordinary user, who is root in a user namespace of its own.
    Ordinary,
}

impl User {
    /// Whoever can be root where the tests run: the machine's, or that of a user namespace.
    pub fn own() -> Self {
        if own_uid() == 0 {
            Self::Root
        } else {
            Self::Ordinary
        }
    }
}

/// Runs programs in a root file system of their own.
pub struct Namespace {
    base: PathBuf,
    user: User,
    runs: AtomicUsize,
}

impl Namespace {
    /// Prepares a base with the binary, a shell and these further programs.
    ///
    /// # Errors
    ///
    /// Says why this user cannot have such a namespace here.
    pub fn new(name: &str, user: User, programs: &[&str]) -> Result<Self, String> {
        let base = scratch(name);
        let namespace = Self {
            base,
            user,
            runs: AtomicUsize::new(0),
        };
        let is_root = own_uid() == 0;
        if user == User::Root && !is_root {
            return Err("it needs root".into());
        }
        needs(&["timeout", "unshare", "ldd", "mount"])?;
        if user == User::Ordinary && is_root {
            needs(&["setpriv"])?;
        }
        let probe = namespace.unshare().arg("true").output().unwrap();
        if !probe.status.success() {
            return Err(format!(
                "no mount namespace: {}",
                String::from_utf8_lossy(&probe.stderr).trim()
            ));
        }
        for folder in ["bin", "lib", "lib64", "root"] {
            fs::create_dir_all(namespace.base.join(folder)).unwrap();
        }
        copy(
            Path::new(BINARY),
            &namespace.base.join("bin/kubelet-tunables"),
        );
        namespace.add_libraries(Path::new(BINARY));
        fs::copy(
            concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/90-kubelet.conf"),
            namespace.base.join("90-kubelet.conf"),
        )
        .unwrap();
        for program in ["sh", "cat", "cp", "rm", "sed", "setpriv"]
            .iter()
            .chain(programs)
        {
            namespace.add_program(program)?;
        }
        // Not every machine has it, and not every script wants it.
        for program in OPTIONAL {
            let _ = namespace.add_program(program);
        }
        namespace.add_script("as-service", "SYSTEMD_EXEC_PID=$$ exec \"$@\"");
        namespace.add_script(
            "without-privileges",
            "exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all \"$@\"",
        );
        // What a person does about it, the reboot being what the kernel and systemd-sysctl do to the six.
        namespace.add_script(
            "systemctl",
            "LD_LIBRARY_PATH=$(echo /lib/*/systemd) systemd-sysctl",
        );
        namespace.add_script(
            "fix",
            "kubelet-tunables --warn | sed -n '/:$/{n;s/^    //p}' >/tmp/fix; cat /tmp/fix; sh -e /tmp/fix",
        );
        namespace.add_script(
            "reboot",
            "rm -rf /run/sysctl.d; cd /proc/sys; for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops; do echo 0 >$name; done
             echo 1000000 >kernel/keys/root_maxkeys; echo 25000000 >kernel/keys/root_maxbytes; systemctl",
        );
        for entry in ["", "bin", "lib", "lib64", "root"] {
            make_executable(&namespace.base.join(entry));
        }
        Ok(namespace)
    }

    /// Runs a shell script in the namespace, over the tree of `case`; several at once do not see each other.
    pub fn run(&self, case: &Path, script: &str) -> Output {
        self.enter(&self.lay(case), script)
    }

    /// Whether the namespace has this one of `OPTIONAL`.
    ///
    /// # Errors
    ///
    /// Says that it is not installed.
    pub fn has(&self, program: &str) -> Outcome {
        if self.base.join("bin").join(program).exists() {
            Ok(())
        } else {
            Err(format!("{program} is not installed"))
        }
    }

    /// Copies `tests/base`, and the tree of a case over it, to where every user reaches them.
    fn lay(&self, case: &Path) -> PathBuf {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let copy = self.base.join(format!("case-{run}"));
        for tree in [Path::new(BASE), case] {
            let copied = Command::new("cp").arg("-dRT").arg(tree).arg(&copy).status();
            assert!(
                copied.is_ok_and(|status| status.success()),
                "copy {}",
                tree.display()
            );
        }
        copy
    }

    /// Runs a script over what `lay` copied, and removes that.
    fn enter(&self, copy: &Path, script: &str) -> Output {
        let output = self
            .unshare()
            .args(["sh", "-c", include_str!("enter"), "enter"])
            .args([self.base.as_path(), copy])
            .arg(script)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let _ = fs::remove_dir_all(copy);
        output
    }

    fn unshare(&self) -> Command {
        let is_root = own_uid() == 0;
        // What hangs is to fail its test and not to hold up all others; a busy machine is far from it.
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", "300"]);
        command.arg(if self.user == User::Ordinary && is_root {
            "setpriv"
        } else {
            "unshare"
        });
        match self.user {
            User::Root => command.arg("--mount"),
            User::Ordinary if is_root => command.args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "unshare",
                "--user",
                "--map-root-user",
                "--mount",
            ]),
            User::Ordinary => command.args(["--user", "--map-root-user", "--mount"]),
        };
        command
    }

    fn add_script(&self, name: &str, body: &str) {
        let path = self.base.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        make_executable(&path);
    }

    fn add_program(&self, name: &str) -> Result<(), String> {
        let path = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/lib/systemd"]
            .iter()
            .map(|folder| Path::new(folder).join(name))
            .find(|path| path.exists())
            .ok_or_else(|| format!("{name} is not installed"))?;
        copy(&path, &self.base.join("bin").join(name));
        self.add_libraries(&path);
        Ok(())
    }

    /// Copies what the dynamic linker would load, to the folder where it looks for it.
    fn add_libraries(&self, program: &Path) {
        let listing = Command::new("ldd").arg(program).output().unwrap();
        let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
        let libraries: BTreeSet<_> = listing
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
            .collect();
        for library in libraries {
            let path = Path::new(library.strip_prefix("/usr").unwrap_or(library));
            let place = self.base.join(path.strip_prefix("/").unwrap());
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            make_executable(place.parent().unwrap());
            copy(Path::new(library), &place);
        }
    }
}

/// Copies a file that is to be executed.
///
/// By a process of its own: a test that forks meanwhile would inherit a file that is open for writing, which the kernel
/// does not execute.
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "copy {}",
        from.display()
    );
}

/// The user that the tests run as.
pub fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid()
}

/// An empty folder for a test, outside any home folder so that every user can enter it.
pub fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("kubelet-tunables-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    make_executable(&path);
    path
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

/// Lets every user execute the file, or enter the folder.
fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
