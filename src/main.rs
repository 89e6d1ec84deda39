//! Wires arguments, verdict, report and exit code.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ContextKind;
use kubelet_tunables::boot::Boot;
use kubelet_tunables::check::check;
use kubelet_tunables::cli::Cli;
use kubelet_tunables::exit::Exit;
use kubelet_tunables::report::{Audience, Report, Stream, say_usage};
use kubelet_tunables::sysctl::ProcSys;

fn main() -> ExitCode {
    let root = Path::new("/");
    let audience = Audience::of_this_process();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => return answer_to_usage(answer, audience, root).into(),
    };
    let verdict = check(&ProcSys::new(root), cli.behavior());
    let exit = Exit::from(&verdict);
    let boot = Boot::read(root);
    Report::new(&verdict, &boot, audience, root).say(root);
    exit.into()
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
