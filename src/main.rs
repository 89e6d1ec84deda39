//! Connects the command line, kubelet's settings, the check, the report and the exit code.

use std::path::Path;
use std::process::ExitCode;

use kubelet_tunables::assessment::{
    Assessment, Diagnostic, Image, Request, needs_kubelet, predict,
};
use kubelet_tunables::boot::Boot;
use kubelet_tunables::cli::Cli;
use kubelet_tunables::files::root::Root;
use kubelet_tunables::invocation::{Caller, Invocation, checks_in_unit, source};
use kubelet_tunables::persist::persist;
use kubelet_tunables::report::{self, UsageError};
use kubelet_tunables::sysctl::{self, ProcSys};
use kubelet_tunables::systemd;
use kubelet_tunables::target::{self, NotKnown, Target, TargetInfo};
use kubelet_tunables::verdict::{Exit, Mode};
use rustix::process::geteuid;

fn main() -> ExitCode {
    let root = Root::machine(Path::new("/"));
    match Invocation::read(&root) {
        Ok(invocation) => run(&root, invocation).into(),
        Err(answer) => report::answer(&answer).into(),
    }
}

fn run(root: &Root, invocation: Invocation) -> Exit {
    let cli = &invocation.cli;
    match (&cli.root, cli.explain) {
        (Some(directory), _) => match Root::image(directory) {
            Ok(image) => check_image(&image, cli),
            Err(error) => report::refuse(&UsageError::Root(directory.clone(), error)),
        },
        (None, Some(tunable)) => {
            let now = ProcSys::new(root.path()).read(tunable.name);
            report::explain(&Boot::new(root), tunable, Some(&now), None);
            Exit::Success
        }
        (None, None) => check_machine(root, invocation),
    }
}

fn check_machine(root: &Root, invocation: Invocation) -> Exit {
    let Invocation {
        caller,
        cli,
        mut diagnostics,
    } = invocation;
    let is_shell = caller == Caller::Shell;
    let is_root = !is_shell || geteuid().is_root();
    if !is_root && cli.unit.is_some() {
        return report::refuse(&UsageError::NotRoot);
    }
    let proc_sys = ProcSys::new(root.path());
    let mut readings = sysctl::read_all(&proc_sys, is_root);
    let mut boot = Boot::new(root);
    // A unit that a person names is asked in any case, for it may not exist.
    let asks = (is_shell && cli.unit.is_some()) || needs_kubelet(&readings, &boot);
    if !is_shell && !asks && diagnostics.is_empty() {
        // Nothing is logged when all is right.
        return Exit::Success;
    }
    let own_unit = (!is_shell)
        .then(|| systemd::current_unit(root.path()))
        .flatten();
    let found = asks.then(|| target::find(root, source(&cli, caller, own_unit.as_deref())));
    let target = match found {
        None => Target::without_unit(TargetInfo::NotAsked),
        Some(Ok(target)) => target,
        Some(Err(error)) => {
            let unit = cli.unit.as_deref().unwrap_or_default();
            let unit = unit.to_string_lossy().into_owned();
            if is_shell {
                return report::refuse(&UsageError::Unit(unit, error));
            }
            // A misspelt unit must not stop kubelet.
            Target::without_unit(TargetInfo::NotKnown(NotKnown::NoSuchUnit(unit)))
        }
    };
    let mut mode_in_unit = None;
    if let (Some(unit), Some(checks)) = (&target.unit, &target.checks) {
        let diagnostic;
        (mode_in_unit, diagnostic) = checks_in_unit(root, unit, checks);
        diagnostics.extend(diagnostic);
    }
    let mut next_start = None;
    if cli.mode() == Mode::Modify {
        readings = sysctl::fix(&proc_sys, readings);
        if is_shell && is_root && cli.kubelet.is_empty() {
            next_start = target::next_start(root, &target, cli.unit.as_deref());
        }
    }
    if cli.persist() {
        diagnostics.push(make_permanent(root));
        // The files are read anew, with ours among them.
        boot = Boot::new(root);
    }
    let request = Request {
        mode: cli.mode(),
        mode_in_unit,
        is_root,
        diagnostics,
        next_start,
    };
    let assessment = Assessment::new(root, request, target, readings, &boot);
    report::say(&assessment, caller, cli.format(), own_unit);
    assessment.exit()
}

/// Judges an image by what its first boot sets. It is a report that was asked for, whoever asked.
fn check_image(root: &Root, cli: &Cli) -> Exit {
    let diagnostics = cli.persist().then(|| make_permanent(root));
    let boot = Boot::new(root);
    if let Some(tunable) = cli.explain {
        report::explain(&boot, tunable, None, Some(&Image::new(root, &boot)));
        return Exit::Success;
    }
    let readings = predict(&boot);
    let info = if cli.kubelet.is_empty() {
        TargetInfo::None
    } else if needs_kubelet(&readings, &boot) {
        target::of_command_line(root, &cli.kubelet)
    } else {
        TargetInfo::NotAsked
    };
    let request = Request {
        mode: cli.mode(),
        mode_in_unit: None,
        is_root: geteuid().is_root(),
        diagnostics: Vec::from_iter(diagnostics),
        next_start: None,
    };
    let target = Target::without_unit(info);
    let assessment = Assessment::new(root, request, target, readings, &boot);
    report::say(&assessment, Caller::Shell, cli.format(), None);
    assessment.exit()
}

/// Writes the file that makes the values permanent.
fn make_permanent(root: &Root) -> Diagnostic {
    match persist(root) {
        Ok(persisted) => Diagnostic::Persisted(persisted),
        Err(error) => Diagnostic::NotPersisted(error),
    }
}
