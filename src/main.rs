//! Wires arguments, verdict, report and exit code.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::ensure;
use clap::error::ContextKind;
use kubelet_tunables::boot::Boot;
use kubelet_tunables::check::{Behavior, check};
use kubelet_tunables::cli::Cli;
use kubelet_tunables::exit::Exit;
use kubelet_tunables::kubelet::{Protection, expand, protection, unit};
use kubelet_tunables::report::{Audience, Report, Stream, say_kubelet_fails, say_usage};
use kubelet_tunables::sysctl::ProcSys;
use rustix::process::geteuid;

fn main() -> ExitCode {
    let root = Path::new("/");
    let audience = Audience::of_this_process();
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(answer) => return answer_to_usage(answer, audience, root).into(),
    };
    let (behavior, ground) = match cli.behavior() {
        Some(behavior) => (behavior, None),
        None => match told(&cli, root).map(|command_line| as_kubelet(&command_line, root)) {
            Ok(Ok((behavior, ground))) => (behavior, Some(ground)),
            Ok(Err(why)) => {
                say_kubelet_fails(&why, audience);
                return Exit::Success.into();
            }
            Err(error) => {
                Stream::Stderr.print(&format!("error: {error:#}\n"));
                return Exit::Io.into();
            }
        },
    };
    let verdict = check(&ProcSys::new(root), behavior);
    let exit = Exit::from(&verdict);
    let boot = Boot::new(root);
    if let Some(report) = Report::of(&verdict, &boot, ground.as_deref(), audience, root) {
        report.say(root);
    }
    exit.into()
}

/// Kubelet's command line, as it stands behind `--` or in the unit.
fn told(cli: &Cli, root: &Path) -> anyhow::Result<Vec<OsString>> {
    match cli.unit() {
        Some(unit) => {
            // What another user may read and write says nothing of what kubelet may.
            ensure!(
                geteuid().is_root(),
                "--unit judges as kubelet, which is root: sudo kubelet-tunables --unit {}",
                unit.display()
            );
            unit::command_line(root, unit)
        }
        None => Ok(expand(cli.kubelet(), |name| std::env::var_os(name))),
    }
}

/// How a mismatch is to be treated and on what ground, or why kubelet will fail before it looks at its tunables.
fn as_kubelet(command_line: &[OsString], root: &Path) -> Result<(Behavior, String), String> {
    match protection(root, command_line) {
        Protection::On(ground) => Ok((
            Behavior::Error,
            format!("protectKernelDefaults is true {ground}"),
        )),
        Protection::Off(ground) => Ok((
            Behavior::AsKubelet,
            format!("protectKernelDefaults is false {ground}"),
        )),
        // As if it were on: a kubelet that is stopped says why, one that dies does not.
        Protection::Unknown(why) => Ok((
            Behavior::Error,
            format!("whether protectKernelDefaults is on is not known ({why})"),
        )),
        Protection::NotThereYet(path) => Err(format!("{} does not exist", path.display())),
        Protection::Fails(why) => Err(why),
    }
}

/// Says clap's help, version or complaint.
fn answer_to_usage(mut answer: clap::Error, audience: Audience, root: &Path) -> Exit {
    // Clap proposes to put what it does not know behind `--`; here that would make it kubelet's command line.
    answer.remove(ContextKind::Suggested);
    let text = answer.render().to_string();
    if !answer.use_stderr() {
        Stream::Stdout.print(&text);
        return Exit::Success;
    }
    match audience {
        Audience::Person => Stream::Stderr.print(&text),
        Audience::Service { journal } => say_usage(&text, journal, root),
    }
    Exit::Usage
}
