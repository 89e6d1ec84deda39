//! Draws the form for a person: a table of the six, then the findings and the way to fix them.

use std::fmt::Write as _;

use super::stream::Stream;
use super::{Audience, entry, image, messages, remedy};
use crate::assessment::{Assessment, Mode, NextBoot, Outcome, TunableStatus};

/// Columns of a table and of text where no terminal says that it has more.
pub(super) const WIDTH: usize = 80;

const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// The whole report as a text, for standard output.
pub(super) fn render(look: &Assessment) -> String {
    let width = Stream::Stdout.width().unwrap_or(WIDTH).max(WIDTH);
    let mut text = table(look, Stream::Stdout.shows_color());
    text.push('\n');
    let mut entries = entry::notes(look);
    // What a person had changed is told in any case.
    if !look.is_not_checked() || look.mode == Mode::Modify {
        entries.extend(entry::findings(look));
    }
    for entry in &entries {
        fold(&mut text, &entry.message, "    ", width);
    }
    if !entries.is_empty() {
        text.push('\n');
    }
    let summary = match look.image {
        Some(_) => image::summary(look),
        None => messages::summary(look, Audience::Person),
    };
    fold(&mut text, &format!("{summary}."), "", width);
    for remedy in remedy::of(look) {
        text.push('\n');
        match remedy.command {
            Some(command) => {
                let _ = write!(text, "{}:\n    {command}\n", remedy.purpose);
            }
            None => fold(&mut text, &format!("{}.", remedy.purpose), "", width),
        }
    }
    if let Some(image) = &look.image {
        text.push('\n');
        fold(&mut text, &image::image_kernel(image), "", width);
    }
    text
}

fn table(look: &Assessment, color: bool) -> String {
    type Column = (&'static str, fn(&TunableStatus) -> String);
    let columns: &[Column] = match look.image {
        None => &[("     NOW", now), ("NEXT BOOT", next)],
        Some(_) => &[("FIRST BOOT", now)],
    };
    // Each value as wide as the widest of its column.
    let cells = |sight: Option<&TunableStatus>| {
        columns.iter().fold(String::new(), |cells, (name, value)| {
            let widths = look.sights.iter().map(|sight| value(sight).len());
            let width = widths.fold(name.len(), usize::max);
            let value = sight.map_or_else(|| (*name).to_string(), value);
            format!("{cells}  {value:>width$}")
        })
    };
    let mut text = format!("{:<25}  {:>13}{}\n", "SYSCTL", "KUBELET NEEDS", cells(None));
    for sight in &look.sights {
        let tunable = sight.finding.tunable;
        let remark = match color {
            false => remark(sight),
            true if is_good(sight.outcome) => format!("{GREEN}{}{PLAIN}", remark(sight)),
            true => format!("{RED}{}{PLAIN}", remark(sight)),
        };
        let _ = writeln!(
            text,
            "{:<25}  {:>13}{}  {remark}",
            tunable.name,
            tunable.expected,
            cells(Some(sight))
        );
    }
    text
}

fn now(sight: &TunableStatus) -> String {
    match sight.finding.now {
        Ok(now) => now.to_string(),
        Err(_) => "?".to_string(),
    }
}

fn next(sight: &TunableStatus) -> String {
    match &sight.next {
        NextBoot::Right => sight.finding.tunable.expected.to_string(),
        NextBoot::Wrong { value, .. } => value.to_string(),
        NextBoot::Unknown(_) => "?".to_string(),
    }
}

fn remark(sight: &TunableStatus) -> String {
    match sight.outcome {
        Outcome::Right => "ok".to_string(),
        Outcome::RightUntilBoot => "until next boot".to_string(),
        Outcome::Corrected => format!("ok, was {}", sight.finding.was.unwrap_or_default()),
        Outcome::WillBeCorrected => "will be corrected".to_string(),
        Outcome::Overwritten => "kubelet sets it".to_string(),
        Outcome::Ignored => "ignored".to_string(),
        Outcome::Wrong | Outcome::Refused | Outcome::Undecided => "wrong".to_string(),
        Outcome::Unreadable => "not checked".to_string(),
    }
}

fn is_good(outcome: Outcome) -> bool {
    !outcome.is_amiss() && outcome != Outcome::RightUntilBoot
}

/// Appends the sentence, broken between words so that it stays within the width; further lines begin with `indent`.
pub(super) fn fold(text: &mut String, sentence: &str, indent: &str, width: usize) {
    let mut column = 0;
    for word in sentence.split(' ') {
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
