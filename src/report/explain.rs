//! Prints --explain: everything that sets one tunable, in boot order, with its effect.

use std::fmt::Write as _;
use std::path::Path;

use super::errors::{io_error, sysctl_error, unread};
use super::messages::{self, plain, source, suspect};
use super::stream::Stream;
use super::text::{fold, width};
use crate::assessment::Image;
use crate::boot::{Boot, Effect, Origin, Place, Setting, When};
use crate::sysctl::SysctlError;
use crate::tunable::Tunable;

/// Before what takes effect.
const MARK: &str = "  > ";
const NO_MARK: &str = "    ";
/// Before a remark on a file.
const BELOW: &str = "      ";

/// Prints the page. `now` is the current value; none for an image.
pub fn explain(
    boot: &Boot,
    tunable: &Tunable,
    now: Option<&Result<i64, SysctlError>>,
    image: Option<&Image>,
) {
    let width = width();
    let mut text = format!("{}\n\n", tunable.name);
    let mut row = |name: &str, value: &str, remark: &str| {
        let _ = write!(text, "{NO_MARK}{name:<14}{value:>9}  ");
        let column = NO_MARK.len() + 25;
        let room = width.saturating_sub(column).max(20);
        fold(&mut text, remark, &" ".repeat(column), room);
    };
    let by_whom = |value: i64, origin: &Origin| {
        let is_right = value == tunable.expected;
        let verdict = if is_right { "right" } else { "wrong" };
        let source = source(origin).map(|source| format!(" ({source})"));
        format!("{verdict}{}", source.unwrap_or_default())
    };
    let needed = tunable.expected.to_string();
    row("kubelet needs", &needed, tunable.reason);
    match now {
        None => {}
        Some(Ok(now)) => {
            let remark = by_whom(*now, &boot.origin(tunable, *now, When::Now));
            row("now", &now.to_string(), &remark);
        }
        Some(Err(error)) => row("now", "?", &sysctl_error(error)),
    }
    let which = image.map_or("next boot", |_| "first boot");
    let forecast = boot.value(tunable, When::NextBoot);
    match forecast {
        Ok(value) => {
            let remark = by_whom(value, &boot.origin(tunable, value, When::NextBoot));
            row(which, &value.to_string(), &remark);
        }
        Err(error) => row(which, "?", &unread(error)),
    }
    text.push('\n');
    let heading = match forecast {
        Ok(_) => "What sets it at boot, in order; > marks the one that takes effect:",
        Err(_) => "What sets it at boot, in order; which one takes effect is not known:",
    };
    fold(&mut text, heading, "", width);
    text.push('\n');
    text += &listed(&boot.explain(tunable), forecast.is_ok(), width);
    let suspects = boot.suspects(tunable, None);
    if !suspects.is_empty() {
        text += "\nWhat may set it later:\n\n";
        for suspect in &suspects {
            let _ = writeln!(text, "{NO_MARK}{}", self::suspect(suspect));
        }
    }
    if let Some(image) = image {
        text.push('\n');
        fold(&mut text, &messages::prediction(image), "", width);
    }
    Stream::Stdout.print(&text);
}

/// Lists the settings, each file's lines below its name.
fn listed(settings: &[Setting], is_known: bool, width: usize) -> String {
    let texts = settings.iter().map(|setting| left(setting).chars().count());
    // What is longer has its effect on a line of its own.
    let column = texts.filter(|length| *length <= 30).fold(8, usize::max);
    let mut text = String::new();
    let mut above = None;
    for setting in settings {
        let heading = heading(&setting.place);
        if above.as_ref() != Some(&heading) {
            let _ = writeln!(text, "{NO_MARK}{}", plain(&heading));
            if let Effect::Hidden { by, masked } = setting.effect {
                let link = if masked { ", a link to /dev/null" } else { "" };
                let because = format!("not read, as {} hides it{link}", by.display());
                let room = width.saturating_sub(BELOW.len());
                text.push_str(BELOW);
                fold(&mut text, &because, BELOW, room);
            }
            above = Some(heading);
        }
        let takes_effect = is_known && matches!(setting.effect, Effect::Sets(_));
        let mark = if takes_effect { MARK } else { NO_MARK };
        let left = left(setting);
        let effect = effect(&setting.effect, &setting.place);
        let line = match (left.chars().count() <= column, effect.is_empty()) {
            (_, true) => format!("{mark}  {left}"),
            (true, _) => format!("{mark}  {left:<column$}   {effect}"),
            (false, _) => format!("{mark}  {left}\n{NO_MARK}  {:<column$}   {effect}", ""),
        };
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn heading(place: &Place) -> String {
    let (what, path) = match place {
        Place::Kernel { config, .. } => ("the kernel's default", config),
        Place::CommandLine { path, .. } => ("the kernel command line", path),
        Place::Line(line) => return line.assignment.path.display().to_string(),
        Place::File(path) => return path.display().to_string(),
    };
    let by = path.as_ref().map(|path| format!(", by {}", path.display()));
    format!("{what}{}", by.unwrap_or_default())
}

/// Returns what stands there; of a file with the number of the line.
fn left(setting: &Setting) -> String {
    let text = plain(&setting.text());
    match setting.place {
        Place::Line(line) => format!("{:>3}: {text}", line.assignment.line),
        _ => text,
    }
}

/// Says what effect a setting has.
fn effect(effect: &Effect, place: &Place) -> String {
    match effect {
        Effect::Sets(_) | Effect::Hidden { .. } => String::new(),
        Effect::Overridden(by) => format!("overridden by {}", short(by, place)),
        Effect::Refused => "rejected by the kernel".to_string(),
        Effect::NoPrefix => "no effect: it must begin with sysctl.".to_string(),
        Effect::Excludes => "no pattern sets it".to_string(),
        Effect::Excluded(by) => format!("excluded by {}", short(by, place)),
        Effect::Nothing => "no effect, as a pattern excludes nothing".to_string(),
        Effect::Volatile => "gone at the next boot, which empties /run".to_string(),
        Effect::Unread(problem) | Effect::UnreadEarlier(problem) => {
            format!("could not be read: {}", plain(&io_error(&problem.error)))
        }
    }
}

/// Names a place as seen from another: no two files that are read have the same name.
fn short(place: &Place, from: &Place) -> String {
    match (place, from) {
        (Place::Line(line), Place::Line(here)) if line.assignment.path == here.assignment.path => {
            format!("line {}", line.assignment.line)
        }
        (Place::Line(line), _) => {
            let path = &line.assignment.path;
            let name = path.file_name().map_or(&**path, Path::new);
            let name = plain(&name.to_string_lossy());
            format!("{name}:{}", line.assignment.line)
        }
        (Place::CommandLine { parameter, .. }, _) => plain(&String::from_utf8_lossy(parameter)),
        (Place::Kernel { .. } | Place::File(_), _) => "the kernel's default".to_string(),
    }
}
