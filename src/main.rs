//! Wires arguments, what kubelet was told, the look, the report and the exit code.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use kubelet_tunables::assessment::{
    Assessment, Diagnostic, Image, Mode, NotKnown, TargetInfo, is_in_doubt, predict,
};
use kubelet_tunables::boot::Boot;
use kubelet_tunables::check::{check, correct};
use kubelet_tunables::cli::{Cli, is_nearly_options};
use kubelet_tunables::exit::Exit;
use kubelet_tunables::files::root::Root;
use kubelet_tunables::persist::persist;
use kubelet_tunables::report::{Audience, Format, Stream, UsageError, explain, refuse, say};
use kubelet_tunables::sysctl::ProcSys;
use kubelet_tunables::systemd;
use kubelet_tunables::target::{self, Target, TargetSource, ask};
use rustix::process::geteuid;

fn main() -> ExitCode {
    let root = &Root::machine(Path::new("/"));
    let audience = Audience::of_this_process();
    let mut notes = Vec::new();
    let cli = match (Cli::read(env::args_os()), audience) {
        (Ok(cli), Audience::Service { .. }) => match option_for_a_shell(root, &cli) {
            Some(option) => {
                notes.push(target::not_for_a_unit(root, option));
                Cli::without_options(env::args_os())
            }
            None => cli,
        },
        (Ok(cli), Audience::Person) => cli,
        (Err(answer), Audience::Person) => return answer_to_usage(&answer).into(),
        // A misspelt option is no reason to hold a kubelet.
        (Err(answer), Audience::Service { .. }) => {
            notes.push(target::not_understood(root, &answer));
            Cli::without_options(env::args_os())
        }
    };
    let audience = match cli.format() {
        Format::Text => audience,
        // Somebody reads standard output, also that of a service.
        Format::Json | Format::Prometheus => Audience::Person,
    };
    match (cli.root(), cli.explain()) {
        (Some(directory), _) => match Root::image(directory) {
            Ok(root) => run_on_image(&root, &cli),
            Err(error) => refuse(&UsageError::Root(directory.to_path_buf(), error)),
        },
        (None, Some(tunable)) => {
            let now = ProcSys::new(root.path()).read(tunable.name);
            explain(&Boot::new(root), tunable, Some(&now), None);
            Exit::Success
        }
        (None, None) => run(root, &cli, audience, notes),
    }
    .into()
}

/// An option that has no place in the unit that runs this.
fn option_for_a_shell(root: &Root, cli: &Cli) -> Option<&'static str> {
    let is_own_check = || {
        let own = systemd::current_unit(root.path());
        cli.unit()
            .is_some_and(|unit| own.is_none_or(|own| is_same_unit(unit, &own)))
    };
    let option = cli.option_for_a_shell()?;
    // Another unit, such as one that collects metrics, reads what it prints.
    let is_refused = cli.root().is_none() && (cli.persist() || is_own_check());
    is_refused.then_some(option)
}

fn run(root: &Root, cli: &Cli, audience: Audience, mut notes: Vec<Diagnostic>) -> Exit {
    let is_person = audience == Audience::Person;
    if !is_person {
        notes.extend(misspelt_variables());
    }
    if is_person && cli.unit().is_some() && !geteuid().is_root() {
        // What another user may read and write says nothing of what kubelet may.
        return refuse(&UsageError::NotRoot);
    }
    let proc_sys = ProcSys::new(root.path());
    let mut findings = check(&proc_sys);
    if is_person && !geteuid().is_root() {
        // What this user may not write, root's kubelet may.
        for finding in &mut findings {
            finding
                .refused
                .take_if(|refused| refused.is_permission_denied());
        }
    }
    let mut boot = Boot::new(root);
    // A unit that a person names is asked in any case, for it may not be there.
    let asks = (is_person && cli.unit().is_some()) || is_in_doubt(&findings, &boot);
    if !is_person && !asks && notes.is_empty() {
        // Nothing is logged when all is right.
        return Exit::Success;
    }
    let own_unit = if is_person {
        None
    } else {
        systemd::current_unit(root.path())
    };
    let asked = if asks {
        match ask(root, source(cli, is_person, own_unit.as_deref())) {
            Ok(asked) => asked,
            Err(trouble) => {
                let unit = cli.unit().unwrap_or_default();
                let unit = unit.to_string_lossy().into_owned();
                if is_person {
                    return refuse(&UsageError::Unit(unit, trouble));
                }
                // A slip in the unit's name is no reason to hold a kubelet.
                Target::nothing(TargetInfo::NotKnown(NotKnown::NoSuchUnit(unit)))
            }
        }
    } else {
        Target::nothing(TargetInfo::NotAsked)
    };
    notes.extend(asked.notes);
    let mode = match cli.mode() {
        Mode::AsKubelet => asked.mode_in_unit.unwrap_or_default(),
        mode => mode,
    };
    if mode == Mode::Modify {
        correct(&proc_sys, &mut findings);
    }
    if cli.persist() {
        notes.push(make_permanent(root));
        // The files are read anew, with ours among them.
        boot = Boot::new(root);
    }
    let mut look = Assessment::new(mode, asked.told, findings, &boot, root.path());
    look.notes = notes;
    look.unit = asked.unit;
    look.may_give_up = asked.may_give_up;
    say(&look, audience, cli.format(), own_unit);
    Exit::of(&look)
}

/// Judges an image by what its first boot will make of it. It is a report that was asked for, whoever asked.
fn run_on_image(root: &Root, cli: &Cli) -> Exit {
    let notes: Vec<_> = cli
        .persist()
        .then(|| make_permanent(root))
        .into_iter()
        .collect();
    let boot = Boot::new(root);
    if let Some(tunable) = cli.explain() {
        explain(&boot, tunable, None, Some(&Image::new(root, &boot)));
        return Exit::Success;
    }
    let findings = predict(&boot);
    let told = if cli.kubelet().is_empty() {
        TargetInfo::Nothing
    } else if is_in_doubt(&findings, &boot) {
        target::by_words(root, cli.kubelet())
    } else {
        TargetInfo::NotAsked
    };
    let mut look = Assessment::of_image(cli.mode(), told, findings, &boot, root);
    look.notes = notes;
    say(&look, Audience::Person, cli.format(), None);
    Exit::of(&look)
}

/// Writes the file that makes the values permanent.
fn make_permanent(root: &Root) -> Diagnostic {
    match persist(root) {
        Ok(persisted) => Diagnostic::Persisted(persisted.below(root)),
        Err(error) => Diagnostic::NotPersisted(error),
    }
}

/// Where kubelet's words are to be had.
fn source<'a>(cli: &'a Cli, is_person: bool, own_unit: Option<&'a str>) -> TargetSource<'a> {
    match cli.unit() {
        // Started by another unit, such as one that collects metrics, it looks from outside too.
        Some(unit) if is_person || own_unit.is_some_and(|own| !is_same_unit(unit, own)) => {
            TargetSource::Unit(unit)
        }
        Some(unit) => TargetSource::OwnUnit(unit),
        None if !cli.kubelet().is_empty() => TargetSource::Words(cli.kubelet()),
        None if is_person && geteuid().is_root() => TargetSource::UsualUnit,
        None if is_person => TargetSource::Nowhere,
        None => own_unit.map_or(TargetSource::Nowhere, |own| {
            TargetSource::OwnUnit(OsStr::new(own))
        }),
    }
}

/// Whether a unit was named that has this full name.
fn is_same_unit(named: &OsStr, own: &str) -> bool {
    named == own || own.strip_suffix(".service").is_some_and(|own| named == own)
}

/// Variables that were meant to hold the options of the check.
fn misspelt_variables() -> impl Iterator<Item = Diagnostic> {
    env::vars_os()
        .filter(|(name, value)| is_nearly_options(name) && !value.is_empty())
        .map(|(name, _)| Diagnostic::VariableMisspelt(name.to_string_lossy().into_owned()))
}

/// Answers clap's help, version or complaint.
fn answer_to_usage(answer: &clap::Error) -> Exit {
    let text = answer.render().to_string();
    if answer.use_stderr() {
        Stream::Stderr.print(&text);
        Exit::Usage
    } else {
        Stream::Stdout.print(&text);
        Exit::Success
    }
}
