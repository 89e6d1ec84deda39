//! Draws the page on one tunable: every place that has a say in it, in the order of the boot, and what becomes of it.

use std::fmt::Write as _;
use std::path::Path;

use super::image;
use super::messages::{plain, plain_path, source, suspect, sysctl_error, unread, without_number};
use super::stream::Stream;
use super::terminal::{WIDTH, fold};
use crate::assessment::Image;
use crate::boot::Boot;
use crate::boot::explain::{Effect, Explained, Place};
use crate::sysctl::SysctlError;
use crate::tunable::Tunable;

/// Before what has the last word.
const MARK: &str = "  > ";
const NO_MARK: &str = "    ";
/// Before what is said of a file.
const BELOW: &str = "      ";

/// The page on a tunable, which is `now` so on the machine; an image has no now.
pub fn explain(
    boot: &Boot,
    tunable: &Tunable,
    now: Option<&Result<i64, SysctlError>>,
    image: Option<&Image>,
) {
    let width = Stream::Stdout.width().unwrap_or(WIDTH).max(WIDTH);
    Stream::Stdout.print(&page(boot, tunable, now, image, width));
}

fn page(
    boot: &Boot,
    tunable: &Tunable,
    now: Option<&Result<i64, SysctlError>>,
    image: Option<&Image>,
    width: usize,
) -> String {
    let mut text = format!("{}\n\n", tunable.name);
    let mut row = |name: &str, value: &str, remark: &str| {
        let _ = write!(text, "{NO_MARK}{name:<14}{value:>9}  ");
        let column = NO_MARK.len() + 25;
        fold(&mut text, remark, &" ".repeat(column), width - column);
    };
    let by_whom = |boot: &Boot, value: i64| {
        let is_right = value == tunable.expected;
        let verdict = if is_right { "right" } else { "wrong" };
        match source(&boot.origin(tunable, value)) {
            Some(source) => format!("{verdict} ({source})"),
            None => verdict.to_string(),
        }
    };
    let needed = tunable.expected.to_string();
    row("kubelet needs", &needed, tunable.reason);
    match now {
        None => {}
        Some(Ok(now)) => row("now", &now.to_string(), &by_whom(boot, *now)),
        Some(Err(error)) => row("now", "?", &sysctl_error(error)),
    }
    let which = if image.is_some() { "first" } else { "next" };
    let forecast = boot.next().forecast(tunable);
    let (value, remark) = match forecast {
        Ok(value) => (value.to_string(), by_whom(boot.next(), value)),
        Err(problem) => ("?".to_string(), format!("not known: {}", unread(problem))),
    };
    row(&format!("{which} boot"), &value, &remark);
    text += match forecast {
        Ok(_) => "\nWhat sets it at boot, in this order; > is what counts:\n\n",
        Err(_) => "\nWhat sets it at boot, in this order; what counts is not known:\n\n",
    };
    text += &says(&boot.explain(tunable), forecast.is_ok(), width);
    let suspects = boot.suspects(tunable, None);
    if !suspects.is_empty() {
        text += "\nWhat may set it later:\n\n";
        for suspect in &suspects {
            let _ = writeln!(text, "{NO_MARK}{}", self::suspect(suspect));
        }
    }
    if let Some(image) = image {
        text.push('\n');
        fold(&mut text, &image::image_kernel(image), "", width);
    }
    text
}

/// The places, each file's lines below its name.
fn says(says: &[Explained], is_known: bool, width: usize) -> String {
    let texts = says.iter().map(|say| left(say).chars().count());
    // What is longer gets a line of its own for what becomes of it.
    let column = texts.filter(|length| *length <= 30).fold(8, usize::max);
    let mut text = String::new();
    let mut above = None;
    for say in says {
        let heading = heading(&say.place);
        if above.as_ref() != Some(&heading) {
            let _ = writeln!(text, "{NO_MARK}{heading}");
            if let Effect::Hidden { by, masked } = &say.effect {
                let link = if *masked { ", a link to /dev/null" } else { "" };
                let because = format!("not read, as {} hides it{link}", plain_path(by));
                text.push_str(BELOW);
                fold(&mut text, &because, BELOW, width - BELOW.len());
            }
            above = Some(heading);
        }
        let mark = if is_known && say.effect == Effect::Counts {
            MARK
        } else {
            NO_MARK
        };
        let left = left(say);
        let effect = effect(&say.effect, &say.place);
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
    match place {
        Place::Kernel { config: None } => "the kernel's default".to_string(),
        Place::Kernel { config: Some(path) } => {
            format!("the kernel's default, by {}", plain_path(path))
        }
        Place::CommandLine { path: None, .. } => "the kernel command line".to_string(),
        Place::CommandLine {
            path: Some(path), ..
        } => format!("the kernel command line, by {}", plain_path(path)),
        Place::File { path, .. } => plain_path(path),
    }
}

/// What stands there; of a file with the number of the line.
fn left(say: &Explained) -> String {
    match &say.place {
        Place::File { line: 0, .. } => String::new(),
        Place::File { line, .. } => format!("{line:>3}: {}", plain(&say.text)),
        _ => plain(&say.text),
    }
}

/// What becomes of what stands at the place.
fn effect(effect: &Effect, place: &Place) -> String {
    match effect {
        Effect::Counts | Effect::Hidden { .. } => String::new(),
        Effect::Overridden(by) => format!("overridden by {}", short(by, place)),
        Effect::Refused => "refused by the kernel".to_string(),
        Effect::NoPrefix => "no effect without sysctl. before it".to_string(),
        Effect::Excludes => "no pattern sets it".to_string(),
        Effect::Excluded(by) => format!("excluded by {}", short(by, place)),
        Effect::Nothing => "no effect, as a pattern excludes nothing".to_string(),
        Effect::Volatile => "gone at the next boot, which empties /run".to_string(),
        Effect::Unread(why) => format!("could not be read: {}", plain(&without_number(why))),
    }
}

/// A place as seen from another: of two files read, no two have the same name.
fn short(place: &Place, from: &Place) -> String {
    match (place, from) {
        (Place::File { path, line }, Place::File { path: here, .. }) if path == here => {
            format!("line {line}")
        }
        (Place::File { path, line }, _) => {
            let name = path.file_name().map_or(path.as_path(), Path::new);
            format!("{}:{line}", plain_path(name))
        }
        (Place::CommandLine { word, .. }, _) => plain(word),
        (Place::Kernel { .. }, _) => "the kernel's default".to_string(),
    }
}
