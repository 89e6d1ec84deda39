//! Writes an assessment as one JSON object, for programs. Its schema is `packaging/schema.json`, which has the meaning of
//! each member; a member keeps its name and meaning while `version` stays.

use std::path::Path;

use serde_json::{Value, json};

use super::errors::{self, without_number};
use super::fix::Fix;
use super::messages;
use crate::assessment::{Assessment, Diagnostic, NextBoot, Outcome, TunableStatus};
use crate::boot::{Assignment, Origin, Suspect, WhyUnapplied};
use crate::invocation::Caller;
use crate::kubelet::{Protection, SetBy};
use crate::persist::Persisted;
use crate::systemd::NextStart;
use crate::target::TargetInfo;
use crate::verdict::Mode;

/// Counts up when a member goes or gets another meaning, not when one is added.
const VERSION: u32 = 2;

/// Renders the whole report, in several lines.
pub(super) fn render(assessment: &Assessment) -> String {
    let exit = assessment.exit();
    let document = json!({
        "version": VERSION,
        "unit": assessment.target.unit,
        "image": assessment.image.as_ref().map(|image| json!({
            "path": path(&image.path),
            "kernel": image.kernel.kernel.ok().flatten(),
            "kernel_configuration": image.kernel.config.map(path),
            "command_line": image.kernel.cmdline.ok().flatten().map(path),
        })),
        "mode": match assessment.mode {
            Mode::AsKubelet => "as-kubelet",
            Mode::Warn => "warn",
            Mode::Strict => "strict",
            Mode::Modify if assessment.is_fixing => "modify",
            Mode::Modify => "modify-in-unit",
        },
        "kubelet": kubelet(assessment),
        "tunables": assessment.tunables.iter().map(|it| tunable(it, assessment)).collect::<Value>(),
        "notes": assessment.diagnostics.iter().map(|it| note(it, assessment)).collect::<Value>(),
        "summary": messages::summary(assessment, Caller::Shell),
        "fix": Fix::of(assessment, Caller::Shell).map(|fix| json!({
            "message": messages::fix(&fix),
            "command": fix.command(),
        })),
        "next_start": assessment.next_start.as_ref().map(|(_, next)| next_start(next)),
        "exit": { "code": exit.code(), "meaning": exit.meaning() },
    });
    format!("{document:#}\n")
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn next_start(next: &NextStart) -> Value {
    let (state, within) = match next {
        NextStart::Running => ("running", None),
        NextStart::Starting => ("starting", None),
        NextStart::Retries { within } => ("retries", Some(within.as_secs_f64())),
        NextStart::GivenUp => ("given-up", None),
        NextStart::Stopped => ("stopped", None),
    };
    json!({ "state": state, "within_seconds": within })
}

fn kubelet(assessment: &Assessment) -> Value {
    let info = &assessment.target.info;
    let in_words = || messages::setting(info);
    let (status, setting, reason) = match info {
        TargetInfo::NotAsked => ("not-asked", None, None),
        TargetInfo::None => ("no-kubelet", None, None),
        TargetInfo::NotKnown(why) => ("not-known", None, Some(errors::not_known(why))),
        TargetInfo::NotStarted { .. } => ("not-started", None, in_words()),
        TargetInfo::Kubelet(kubelet) => match &kubelet.protection {
            Protection::On(by) => ("known", Some((true, by)), None),
            Protection::Off(by) => ("known", Some((false, by)), None),
            Protection::NotThereYet(_) => ("not-configured", None, in_words()),
            Protection::RunsOnce(_) => ("not-known", None, in_words()),
            Protection::Fails(why) => ("fails-first", None, Some(why.to_string())),
            Protection::Unknown(why) => ("not-known", None, Some(why.to_string())),
        },
    };
    json!({
        "status": status,
        "protect_kernel_defaults": setting.map(|(value, _)| value),
        "source": setting.map(|(_, by)| match by {
            SetBy::Default => source("default", None, None),
            SetBy::Flag(word) => source("flag", None, Some(word)),
            SetBy::File { path, line } => source("file", Some((path, *line)), None),
        }),
        "reason": reason.as_deref().map(without_number),
        "will_start": assessment.will_start(),
        "will_start_after_next_boot": assessment.will_start_after_next_boot(),
    })
}

fn tunable(status: &TunableStatus, assessment: &Assessment) -> Value {
    let reading = &status.reading;
    // An image has no values yet.
    let is_machine = assessment.image.is_none();
    let error = reading.now.as_ref().err().or(reading.refused.as_ref());
    let (next_source, next_error) = match &status.next {
        NextBoot::Right => (None, None),
        NextBoot::Wrong { origin, .. } => (Some(origin), None),
        NextBoot::Unknown(error) => (None, Some(errors::unread(error))),
    };
    json!({
        "name": reading.tunable.name,
        "expected": reading.tunable.expected,
        "actual": reading.now.as_ref().ok().filter(|_| is_machine),
        "outcome": match status.outcome {
            Outcome::Right => "right",
            Outcome::RightUntilBoot => "right-until-boot",
            Outcome::Corrected => "corrected",
            Outcome::WillBeCorrected => "will-be-corrected",
            Outcome::Overwritten => "overwritten",
            Outcome::Ignored => "ignored",
            Outcome::Undecided => "undecided",
            Outcome::Wrong => "wrong",
            Outcome::Refused => "refused",
            Outcome::Unreadable => "unreadable",
        },
        "message": messages::finding(status, !is_machine),
        "previous": reading.was,
        "error": error.map(errors::sysctl_error),
        "source": status.origin.as_ref().filter(|_| is_machine).map(origin),
        "suspects": status.suspects.iter().map(suspect).collect::<Value>(),
        "parameter_without_prefix": status.parameter_without_prefix,
        "next_boot": {
            "value": status.next_value(),
            "source": next_source.map(origin),
            "error": next_error,
        },
    })
}

fn suspect(suspect: &Suspect) -> Value {
    match suspect {
        Suspect::Tuned => json!({ "program": "tuned", "file": null, "line": null }),
        Suspect::File {
            program,
            path: file,
            line,
        } => {
            json!({ "program": program, "file": path(file), "line": line })
        }
    }
}

fn note(diagnostic: &Diagnostic, assessment: &Assessment) -> Value {
    let kind = match diagnostic {
        Diagnostic::OptionsIgnored { .. } => "options-not-understood",
        Diagnostic::OptionInUnit(_) => "option-in-unit",
        Diagnostic::NotInUnit(_) => "not-in-unit",
        Diagnostic::Persisted(Persisted { file: Some(_), .. }) => "persisted",
        Diagnostic::Persisted(Persisted { file: None, .. }) => "nothing-to-persist",
        Diagnostic::NotPersisted(_) => "not-persisted",
    };
    let message = messages::diagnostic(diagnostic, assessment.target.unit.as_deref());
    json!({ "kind": kind, "message": message })
}

/// Describes what set something: a place in a file, a word, or neither.
fn source(kind: &str, place: Option<(&Path, usize)>, text: Option<&str>) -> Value {
    json!({
        "kind": kind,
        "file": place.map(|(file, _)| path(file)),
        "line": place.map(|(_, line)| line),
        "text": text,
        "unapplied": null,
    })
}

fn origin(origin: &Origin) -> Value {
    let mut value = match origin {
        Origin::File(line) => {
            let place = (&*line.path, line.line);
            source("file", Some(place), Some(&messages::value_of(line)))
        }
        Origin::Kernel { parameter, .. } => match parameter {
            Some(parameter) => source("kernel-command-line", None, Some(parameter)),
            None => source("kernel-default", None, None),
        },
        Origin::SinceBoot { .. } => source("changed-since-boot", None, None),
        Origin::Unknown(error) => source("unknown", None, Some(&errors::unread(error))),
    };
    let (line, why) = match origin {
        Origin::Kernel { unapplied, .. } => unapplied.as_ref().map(|it| (it.line, it.why)).unzip(),
        Origin::SinceBoot { unapplied, .. } => (*unapplied, None),
        Origin::File(_) | Origin::Unknown(_) => (None, None),
    };
    if let Some(line) = line {
        value["unapplied"] = unapplied(line, why);
    }
    value
}

fn unapplied(line: &Assignment, why: Option<WhyUnapplied>) -> Value {
    json!({
        "file": path(&line.path),
        "line": line.line,
        "text": messages::value_of(line),
        "why": why.map(|why| match why {
            WhyUnapplied::Refused => "refused-by-the-kernel",
            WhyUnapplied::FileIsNewer => "written-since-boot",
            WhyUnapplied::FileIsOlder => "changed-back-or-not-applied",
            WhyUnapplied::Unclear => "not-known",
            WhyUnapplied::NotRead => "not-read-by-systemd",
        }),
    })
}
