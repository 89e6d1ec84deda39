//! Writes a look as one JSON object, for programs. Its schema is `packaging/schema.json`, which has the meaning of each
//! member; what is there keeps its name and meaning while `version` stays.

use serde::Serialize;

use super::{Audience, image, messages, remedy};
use crate::assessment::{
    self, Assessment, Diagnostic, Mode, NextBoot, Outcome, TargetInfo, TunableStatus,
};
use crate::boot::sysctl_d::Assignment;
use crate::boot::{Origin, Suspect, WhyUnapplied};
use crate::exit::Exit;
use crate::kubelet::{Protection, SetBy};
use crate::persist::Persisted;

/// Counts up when a member goes or gets another meaning, not when one is added.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    unit: Option<&'a str>,
    image: Option<Image<'a>>,
    mode: &'static str,
    kubelet: Kubelet,
    tunables: Vec<Tunable>,
    notes: Vec<NoteOf>,
    summary: String,
    remedies: Vec<Remedy>,
    exit: Ending,
}

/// The image that was checked in the place of a machine.
#[derive(Serialize)]
struct Image<'a> {
    path: String,
    kernel: Option<&'a str>,
    kernel_configuration: Option<String>,
    command_line: Option<String>,
}

#[derive(Serialize)]
struct Kubelet {
    status: &'static str,
    protect_kernel_defaults: Option<bool>,
    source: Option<Source>,
    reason: Option<String>,
    may_refuse: Option<String>,
    will_start: Option<bool>,
    will_start_after_next_boot: Option<bool>,
}

#[derive(Serialize)]
struct Tunable {
    name: &'static str,
    expected: i64,
    actual: Option<i64>,
    outcome: &'static str,
    message: Option<String>,
    previous: Option<i64>,
    error: Option<String>,
    source: Option<Source>,
    suspects: Vec<SuspectOf>,
    parameter_without_prefix: Option<String>,
    next_boot: Next,
}

#[derive(Serialize)]
struct Next {
    value: Option<i64>,
    source: Option<Source>,
    error: Option<String>,
}

/// Who set something: a place in a file, a word, or neither.
#[derive(Default, Serialize)]
struct Source {
    kind: &'static str,
    file: Option<String>,
    line: Option<usize>,
    text: Option<String>,
    unapplied: Option<UnappliedLine>,
}

#[derive(Serialize)]
struct UnappliedLine {
    file: String,
    line: usize,
    text: String,
    why: Option<&'static str>,
}

#[derive(Serialize)]
struct SuspectOf {
    program: &'static str,
    file: Option<String>,
    line: Option<usize>,
}

#[derive(Serialize)]
struct NoteOf {
    kind: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Remedy {
    purpose: &'static str,
    command: Option<String>,
}

#[derive(Serialize)]
struct Ending {
    code: u8,
    meaning: &'static str,
}

/// The whole report as a text of several lines.
pub(super) fn render(look: &Assessment) -> String {
    let exit = Exit::of(look);
    let document = Document {
        version: VERSION,
        unit: look.unit.as_deref(),
        image: look.image.as_ref().map(Image::from),
        mode: mode(look.mode),
        kubelet: kubelet(look),
        tunables: look.sights.iter().map(|it| tunable(it, look)).collect(),
        notes: look.notes.iter().map(note).collect(),
        summary: match look.image {
            Some(_) => image::summary(look),
            None => messages::summary(look, Audience::Person),
        },
        remedies: remedy::of(look).into_iter().map(Remedy::from).collect(),
        exit: Ending {
            code: exit.code(),
            meaning: exit.meaning(),
        },
    };
    let mut text = serde_json::to_string_pretty(&document)
        .expect("its members are strings, numbers and lists");
    text.push('\n');
    text
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::AsKubelet => "as-kubelet",
        Mode::Warn => "warn",
        Mode::Strict => "strict",
        Mode::Modify => "modify",
        Mode::ModifiedInUnit => "modified-in-unit",
    }
}

fn kubelet(look: &Assessment) -> Kubelet {
    let (status, setting, reason) = match &look.told {
        TargetInfo::NotAsked => ("not-asked", None, None),
        TargetInfo::Nothing => ("no-kubelet", None, None),
        TargetInfo::NotKnown(why) => ("not-known", None, Some(messages::not_known(why))),
        TargetInfo::NotStarted { unit, why } => {
            let why = messages::not_started_by_systemd(unit, why);
            ("not-started", None, Some(why))
        }
        TargetInfo::Kubelet(kubelet) => match &kubelet.protection {
            Protection::On(ground) => ("known", Some((true, ground)), None),
            Protection::Off(ground) => ("known", Some((false, ground)), None),
            Protection::NotThereYet(_) => ("not-configured", None, messages::ground(&look.told)),
            Protection::Fails(why) => ("fails-first", None, Some(why.clone())),
            Protection::Unknown(why) => ("not-known", None, Some(why.clone())),
        },
    };
    Kubelet {
        status,
        protect_kernel_defaults: setting.map(|(value, _)| value),
        source: setting.map(|(_, ground)| Source::from(ground)),
        reason: reason.map(|reason| messages::plain(&messages::without_number(&reason))),
        may_refuse: match &look.told {
            TargetInfo::Kubelet(kubelet) => kubelet.may_refuse.as_deref().map(messages::plain),
            _ => None,
        },
        will_start: look.will_start(),
        will_start_after_next_boot: look.will_start_after_next_boot(),
    }
}

fn tunable(sight: &TunableStatus, look: &Assessment) -> Tunable {
    let finding = &sight.finding;
    // An image has no values yet.
    let is_machine = look.image.is_none();
    let error = finding.now.as_ref().err().or(finding.refused.as_ref());
    Tunable {
        name: finding.tunable.name,
        expected: finding.tunable.expected,
        actual: finding.now.as_ref().ok().copied().filter(|_| is_machine),
        outcome: outcome(sight.outcome),
        message: messages::finding(sight, !is_machine),
        previous: finding.was,
        error: error.map(messages::sysctl_error),
        source: (sight.origin.as_ref())
            .filter(|_| is_machine)
            .map(Source::from),
        suspects: sight.suspects.iter().map(SuspectOf::from).collect(),
        parameter_without_prefix: sight
            .parameter_without_prefix
            .as_deref()
            .map(messages::plain),
        next_boot: match &sight.next {
            NextBoot::Right => Next {
                value: Some(finding.tunable.expected),
                source: None,
                error: None,
            },
            NextBoot::Wrong { value, origin } => Next {
                value: Some(*value),
                source: Some(origin.into()),
                error: None,
            },
            NextBoot::Unknown(problem) => Next {
                value: None,
                source: None,
                error: Some(messages::unread(problem)),
            },
        },
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
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
    }
}

fn note(note: &Diagnostic) -> NoteOf {
    NoteOf {
        kind: match note {
            Diagnostic::OptionsNotUnderstood { .. } => "options-not-understood",
            Diagnostic::VariableMisspelt(_) => "variable-misspelt",
            Diagnostic::OptionInUnit(_) => "option-in-unit",
            Diagnostic::NotInUnit(_) => "not-in-unit",
            Diagnostic::Persisted(Persisted { file: Some(_), .. }) => "persisted",
            Diagnostic::Persisted(Persisted { file: None, .. }) => "nothing-to-persist",
            Diagnostic::NotPersisted(_) => "not-persisted",
        },
        message: messages::note(note),
    }
}

impl<'a> From<&'a assessment::Image<'_>> for Image<'a> {
    fn from(image: &'a assessment::Image) -> Self {
        let image_kernel = &image.image_kernel;
        Self {
            path: messages::plain_path(&image.path),
            kernel: image_kernel.kernel.ok().flatten(),
            kernel_configuration: image_kernel.config.map(messages::plain_path),
            command_line: image_kernel
                .cmdline
                .ok()
                .flatten()
                .map(messages::plain_path),
        }
    }
}

impl From<&SetBy> for Source {
    fn from(ground: &SetBy) -> Self {
        match ground {
            SetBy::Default => Self {
                kind: "default",
                ..Self::default()
            },
            SetBy::Flag(word) => Self {
                kind: "flag",
                text: Some(messages::plain(word)),
                ..Self::default()
            },
            SetBy::File { path, line } => Self {
                kind: "file",
                file: Some(messages::plain_path(path)),
                line: Some(*line),
                ..Self::default()
            },
        }
    }
}

impl From<&Origin<'_>> for Source {
    fn from(origin: &Origin) -> Self {
        match origin {
            Origin::File(line) => Self {
                kind: "file",
                file: Some(messages::plain_path(&line.path)),
                line: Some(line.line),
                text: Some(messages::asked(line)),
                unapplied: None,
            },
            Origin::Kernel { word, unapplied } => Self {
                kind: match word {
                    Some(_) => "kernel-command-line",
                    None => "kernel-default",
                },
                text: word.as_deref().map(messages::plain),
                unapplied: unapplied
                    .as_ref()
                    .map(|it| UnappliedLine::new(it.line, Some(it.why))),
                ..Self::default()
            },
            Origin::SinceBoot { unapplied, .. } => Self {
                kind: "changed-since-boot",
                unapplied: unapplied.map(|line| UnappliedLine::new(line, None)),
                ..Self::default()
            },
            Origin::Unknown(problem) => Self {
                kind: "unknown",
                text: Some(messages::unread(problem)),
                ..Self::default()
            },
        }
    }
}

impl UnappliedLine {
    fn new(line: &Assignment, why: Option<WhyUnapplied>) -> Self {
        Self {
            file: messages::plain_path(&line.path),
            line: line.line,
            text: messages::asked(line),
            why: why.map(|why| match why {
                WhyUnapplied::Refused => "refused-by-the-kernel",
                WhyUnapplied::FileIsNewer => "written-since-boot",
                WhyUnapplied::FileIsOlder => "changed-back-or-not-applied",
                WhyUnapplied::Unclear => "not-known",
                WhyUnapplied::NotRead => "not-read-by-systemd",
            }),
        }
    }
}

impl From<&Suspect> for SuspectOf {
    fn from(suspect: &Suspect) -> Self {
        match suspect {
            Suspect::Tuned => Self {
                program: "tuned",
                file: None,
                line: None,
            },
            Suspect::File {
                program,
                path,
                line,
            } => Self {
                program,
                file: Some(messages::plain_path(path)),
                line: Some(*line),
            },
        }
    }
}

impl From<remedy::Remedy> for Remedy {
    fn from(remedy: remedy::Remedy) -> Self {
        Self {
            purpose: remedy.purpose,
            command: remedy.command,
        }
    }
}
