//! Owns the form for a person: a table of the six, then the findings and the way to mend them.

use std::fmt::Write as _;

use crate::check::{Finding, Outcome};
use crate::report::Report;
use crate::report::origin::NextBoot;
use crate::tunable::Tunable;

/// Columns that nothing but a command exceeds.
const WIDTH: usize = 80;

const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// The whole report as a text.
pub(super) fn render(report: &Report, color: bool) -> String {
    let rows: Vec<_> = report
        .verdict
        .findings
        .iter()
        .zip(&report.next)
        .map(|(finding, next)| Row::of(finding, next))
        .collect();
    let now = rows.iter().map(|row| row.now.len()).fold(8, usize::max);
    let next = rows.iter().map(|row| row.next.len()).fold(9, usize::max);
    let mut text = format!(
        "{:<25}  {:>13}  {:>now$}  {:>next$}\n",
        "SYSCTL", "KUBELET NEEDS", "NOW", "NEXT BOOT"
    );
    for row in &rows {
        let remark = match (color, row.holds) {
            (false, _) => row.remark.clone(),
            (true, true) => format!("{GREEN}{}{PLAIN}", row.remark),
            (true, false) => format!("{RED}{}{PLAIN}", row.remark),
        };
        let (name, needed) = (row.tunable.name, row.tunable.expected);
        let _ = writeln!(
            text,
            "{name:<25}  {needed:>13}  {:>now$}  {:>next$}  {remark}",
            row.now, row.next
        );
    }
    text.push('\n');
    for entry in &report.entries {
        fold(&mut text, &entry.message, "    ");
    }
    if !report.entries.is_empty() {
        text.push('\n');
    }
    fold(&mut text, &format!("{}.", report.summary.verdict), "");
    for remedy in &report.summary.remedies {
        let _ = write!(text, "\n{}:\n    {}\n", remedy.purpose, remedy.command);
    }
    text
}

/// A line of the table.
struct Row {
    tunable: &'static Tunable,
    now: String,
    next: String,
    holds: bool,
    remark: String,
}

impl Row {
    fn of(finding: &Finding, next: &NextBoot) -> Self {
        let needed = finding.tunable.expected.to_string();
        let (now, holds, remark) = match &finding.outcome {
            Outcome::AsExpected if matches!(next, NextBoot::Wrong { .. }) => {
                (needed, false, "until next boot".to_string())
            }
            Outcome::AsExpected => (needed, true, "ok".to_string()),
            Outcome::Modified { from } => (needed, true, format!("ok, was {from}")),
            Outcome::Mismatch { actual } | Outcome::Unwritable { actual, .. } => {
                (actual.to_string(), false, "wrong".to_string())
            }
            Outcome::Overruled { actual } => {
                (actual.to_string(), true, "kubelet sets it".to_string())
            }
            Outcome::Unreadable(_) => ("?".to_string(), false, "not known".to_string()),
        };
        Self {
            tunable: finding.tunable,
            now,
            next: next.cell(finding.tunable),
            holds,
            remark,
        }
    }
}

/// Appends the sentence, broken between words so that it stays within the width; further lines begin with `indent`.
fn fold(text: &mut String, sentence: &str, indent: &str) {
    let mut column = 0;
    for word in sentence.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
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
            fold(&mut text, sentence, "    ");
            assert_eq!(text, expected, "{sentence}");
        }
    }
}
