//! Prints the report for a person: a table of the six, then the findings and how to fix them.

use std::fmt::Write as _;

use super::entry;
use super::fix::Fix;
use super::messages::{self, plain};
use super::stream::Stream;
use crate::assessment::{Assessment, Outcome, TunableStatus};
use crate::invocation::Caller;

/// Columns of text if no terminal says otherwise.
const WIDTH: usize = 80;

const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const RESET: &str = "\x1b[0m";

/// Renders the whole report for standard output.
pub(super) fn render(assessment: &Assessment) -> String {
    let width = width();
    let mut text = table(assessment, Stream::Stdout.shows_color());
    text.push('\n');
    let mut entries = entry::diagnostics(assessment);
    entries.extend(entry::findings(assessment));
    for entry in &entries {
        fold(&mut text, &entry.message, "    ", width);
    }
    if !entries.is_empty() {
        text.push('\n');
    }
    let summary = messages::summary(assessment, Caller::Shell);
    fold(&mut text, &format!("{summary}."), "", width);
    if let Some(fix) = Fix::of(assessment, Caller::Shell) {
        text.push('\n');
        advise(&mut text, messages::fix(&fix), fix.command(), width);
    }
    if let Some((unit, next)) = &assessment.next_start
        && assessment.blocking() == 0
        && !assessment.is_not_checked()
        && let Some((sentence, command)) = messages::next_start(unit, next)
    {
        text.push('\n');
        advise(&mut text, &sentence, command.as_deref(), width);
    }
    if let Some(image) = &assessment.image {
        text.push('\n');
        fold(&mut text, &messages::prediction(image), "", width);
    }
    text
}

/// Appends a sentence, and the command that it speaks of alone on a line.
fn advise(text: &mut String, sentence: &str, command: Option<&str>, width: usize) {
    match command {
        None => fold(text, &format!("{sentence}."), "", width),
        Some(command) => {
            fold(text, sentence, "", width);
            let _ = writeln!(text, "    {}", plain(command));
        }
    }
}

/// Returns the columns of standard output.
pub(super) fn width() -> usize {
    Stream::Stdout
        .width()
        .filter(|width| *width > 0)
        .unwrap_or(WIDTH)
}

fn table(assessment: &Assessment, color: bool) -> String {
    type Column = (&'static str, fn(&TunableStatus) -> String);
    let columns: &[Column] = match assessment.image {
        None => &[("     NOW", now), ("NEXT BOOT", next)],
        Some(_) => &[("FIRST BOOT", now)],
    };
    // Each value as wide as the widest of its column.
    let cells = |status: Option<&TunableStatus>| {
        columns.iter().fold(String::new(), |cells, (name, value)| {
            let widths = assessment.tunables.iter().map(|status| value(status).len());
            let width = widths.fold(name.len(), usize::max);
            let value = status.map_or_else(|| (*name).to_string(), value);
            format!("{cells}  {value:>width$}")
        })
    };
    let mut text = format!("{:<25}  {:>13}{}\n", "SYSCTL", "KUBELET NEEDS", cells(None));
    for status in &assessment.tunables {
        let tunable = status.reading.tunable;
        let (remark, is_good) = remark(status);
        let shade = if is_good { GREEN } else { RED };
        let remark = if color {
            format!("{shade}{remark}{RESET}")
        } else {
            remark
        };
        let _ = writeln!(
            text,
            "{:<25}  {:>13}{}  {remark}",
            tunable.name,
            tunable.expected,
            cells(Some(status))
        );
    }
    text
}

fn now(status: &TunableStatus) -> String {
    shown(status.reading.now.as_ref().ok().copied())
}

fn next(status: &TunableStatus) -> String {
    shown(status.next_value())
}

fn shown(value: Option<i64>) -> String {
    value.map_or("?".to_string(), |value| value.to_string())
}

/// Says what a tunable comes to, and whether that is good.
fn remark(status: &TunableStatus) -> (String, bool) {
    let (remark, is_good) = match status.outcome {
        Outcome::Right => ("ok", true),
        Outcome::RightUntilBoot => ("until next boot", false),
        Outcome::Corrected => {
            let was = status.reading.was.unwrap_or_default();
            return (format!("ok, was {was}"), true);
        }
        Outcome::WillBeCorrected => ("will be corrected", true),
        Outcome::Overwritten => ("kubelet sets it", true),
        Outcome::Ignored => ("ignored", true),
        Outcome::Wrong | Outcome::Refused | Outcome::Undecided => ("wrong", false),
        Outcome::Unreadable => ("not checked", false),
    };
    (remark.to_string(), is_good)
}

/// Appends a sentence, broken between words so that it stays within the width; further lines begin with `indent`.
pub(super) fn fold(text: &mut String, sentence: &str, indent: &str, width: usize) {
    let mut column = 0;
    for word in plain(sentence).split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            text.push('\n');
            text.push_str(indent);
            column = indent.len();
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_between_words_and_never_in_one() {
        let word = "x".repeat(39);
        let cases = [
            ("short", "short\n".to_string()),
            (
                &format!("{word} {word} y"),
                format!("{word} {word}\n    y\n"),
            ),
            (&"z".repeat(90), format!("{}\n", "z".repeat(90))),
        ];
        for (sentence, expected) in cases {
            let mut text = String::new();
            fold(&mut text, sentence, "    ", WIDTH);
            assert_eq!(text, expected, "{sentence}");
        }
    }
}
