//! Makes a machine on which three tunables are wrong (`tests/machine`), with the sockets of a journald and a systemd.
//!
//! `vm.overcommit_memory` is so by the kernel's default, `kernel.panic` by /etc/sysctl.d/99-custom.conf:1, and
//! `kernel.panic_on_oops` by hand, as the kernel's configuration has it right.

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use super::{Namespace, Outcome, User};

/// Shell that makes the check believe in who starts it: `who` is `hand`, `service` (with nothing but a stream) or `unit`
/// (with the journal and the Status line); and words for kubelets.
pub const WHO: &str = r"
set -eu
protected='-- kubelet --config=/var/lib/kubelet/config.yaml'
folder='-- kubelet --config-dir=/etc/kubernetes/kubelet.conf.d'
unprotected='-- kubelet'
case $who in
    hand) ;;
    service) export SYSTEMD_EXEC_PID=$$ ;;
    unit) export SYSTEMD_EXEC_PID=$$ JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) NOTIFY_SOCKET=/run/notify ;;
esac
";

/// Shell that waits until /tmp/trace, which `strace -D` goes on writing, has the end of the first process.
pub const AWAIT_TRACE: &str = r#"
until read first rest </tmp/trace && grep -q "^\($first *\)*+++ " /tmp/trace; do sleep 0.01; done
"#;

pub struct Machine(Namespace);

/// What became of a script, and what was said where.
#[derive(Debug)]
pub struct Run {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
    pub journal: String,
    pub status: String,
    /// With what it takes to make the machine.
    pub took: Duration,
}

impl Machine {
    /// Prepares a machine with these programs.
    ///
    /// # Errors
    ///
    /// Says why it cannot be had here.
    pub fn new(name: &str, programs: &[&str]) -> Result<Self, String> {
        Namespace::new(name, User::own(), programs).map(Self)
    }

    /// Whether the machine has strace.
    ///
    /// # Errors
    ///
    /// Says that it is not installed.
    pub fn has_strace(&self) -> Outcome {
        self.0.has("strace")
    }

    /// Runs a shell script on the machine as it was at first; several at once do not see each other.
    pub fn run(&self, script: &str) -> Run {
        let tree = self
            .0
            .lay(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machine").as_ref());
        let bind = |name| {
            let socket = UnixDatagram::bind(tree.join(name)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let (journal, notify) = (bind("journal"), bind("notify"));
        let begun = Instant::now();
        let output = self.0.enter(&tree, script);
        let took = begun.elapsed();
        let status = output.status;
        let exit = status.code().or(status.signal().map(|signal| 128 + signal));
        Run {
            exit: exit.unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            journal: text(&taken_from(&journal)),
            status: text(&taken_from(&notify)),
            took,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn taken_from(socket: &UnixDatagram) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length) = socket.recv(&mut buffer) {
        all.extend_from_slice(&buffer[..length]);
        all.push(b'\n');
    }
    all
}
