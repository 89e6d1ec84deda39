//! Wires arguments, verdict, report and exit code.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ContextKind;
use kubelet_tunables::check::check;
use kubelet_tunables::cli::Cli;
use kubelet_tunables::exit::Exit;
use kubelet_tunables::report::{Audience, Report, Stream};
use kubelet_tunables::sysctl::ProcSys;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => return ExitCode::from(answer_to_usage(answer)),
    };
    let audience = Audience::of_this_process();
    let verdict = check(&ProcSys::new(Path::new("/")), cli.behavior());
    Report::new(&verdict, audience).say(audience);
    ExitCode::from(Exit::from(&verdict))
}

/// Prints clap's help, version or complaint.
fn answer_to_usage(mut answer: clap::Error) -> Exit {
    // Clap proposes to put what it does not know behind `--`; here that would make it kubelet's command line.
    answer.remove(ContextKind::Suggested);
    let text = answer.render().to_string();
    if answer.use_stderr() {
        Stream::Stderr.print(&text);
        Exit::Usage
    } else {
        Stream::Stdout.print(&text);
        Exit::Success
    }
}
