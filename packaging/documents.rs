//! Writes the man page and the completions, each part from its source: the command line, the tables, the message catalog and
//! the README.
//!
//! usage: cargo run --example documents -- FOLDER DATE

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, ensure};
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use kubelet_tunables::cli::Cli;
use kubelet_tunables::report::Kind;
use kubelet_tunables::tunable::TUNABLES;
use kubelet_tunables::verdict::Exit;

const PAGE: &str = include_str!("kubelet-tunables.8.in");
const CATALOG: &str = include_str!("../systemd/kubelet-tunables.catalog");
const README: &str = include_str!("../README.md");

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("no folder given")?);
    let date = arguments.next().context("no date given")?;
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("kubelet-tunables.8"), page(&date)?)?;
    complete(&folder)
}

/// Stands in a completion script where the names of the units of this machine are to come.
const UNITS: &str = "@UNITS@";

/// Prints the services that systemd knows, but no templates; nothing if there is no systemd.
const LIST_UNITS: &str = "systemctl list-unit-files --type=service --full --no-legend --no-pager 2>/dev/null | \
                          grep -o '^[^ ]*[^@ ][.]service'";

/// Writes the completions: clap's, which cannot run a command, with the tunables and the units put in.
fn complete(folder: &Path) -> anyhow::Result<()> {
    let tunables = TUNABLES.map(|tunable| PossibleValue::new(tunable.name).help(tunable.reason));
    let mut command = Cli::command()
        .mut_arg("explain", |argument| {
            argument.value_parser(PossibleValuesParser::new(tunables))
        })
        .mut_arg("unit", |argument| argument.value_parser([UNITS]));
    for (shell, list) in [
        (Shell::Bash, format!("$({LIST_UNITS})")),
        (
            Shell::Fish,
            format!("(command -q systemctl; and {LIST_UNITS})"),
        ),
        (Shell::Zsh, format!("${{(f)\"$({LIST_UNITS})\"}}")),
    ] {
        let path = clap_complete::generate_to(shell, &mut command, "kubelet-tunables", folder)?;
        let script = fs::read_to_string(&path)?;
        // zsh has its list in single quotes.
        let list = if shell == Shell::Zsh {
            list.replace('\'', "'\\''")
        } else {
            list
        };
        ensure!(script.contains(UNITS), "{} has no {UNITS}", path.display());
        fs::write(&path, script.replace(UNITS, &list))?;
    }
    Ok(())
}

/// Fills in the man page.
fn page(date: &str) -> anyhow::Result<String> {
    let command = Cli::command();
    let mut page = PAGE.to_string();
    for (mark, text) in [
        ("@DATE@", date.to_string()),
        ("@VERSION@", roff(env!("CARGO_PKG_VERSION"))),
        ("@SYNOPSIS@", synopsis(&command)),
        ("@TUNABLES@", tunables()),
        ("@OPTIONS@", options(&command)),
        ("@EXIT@", exits()),
        ("@IDS@", ids()?),
        ("@EXAMPLE@", example()?),
        ("@MISMATCH@", Kind::Mismatch.message_id().to_string()),
    ] {
        ensure!(page.contains(mark), "the page has no {mark}");
        page = page.replace(mark, text.trim_end());
    }
    Ok(page)
}

/// The usage, one form per paragraph. Options are bold, values italic; no line breaks before a value.
fn synopsis(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let mut text = String::new();
    for word in usage.split_whitespace().skip(1) {
        let bare = word.trim_matches(['[', ']', '.']);
        let (before, font) = match bare.as_bytes().first() {
            Some(b'k') => {
                let _ = write!(text, "\n.HP 4\n.B {}\n", roff(bare));
                continue;
            }
            Some(b'-') => ("\n", "B"),
            Some(b'A'..=b'Z') => ("\\ ", "I"),
            _ => ("\n", "R"),
        };
        if !text.ends_with('\n') {
            text += before;
        }
        text += &word.replace(bare, &format!("\\f{font}{}\\fR", roff(bare)));
    }
    text.trim_start().to_string()
}

/// The six, each with its value, its default and what the value does.
fn tunables() -> String {
    let mut text = String::new();
    for tunable in TUNABLES {
        let _ = writeln!(
            text,
            ".TP\n.BR {} \" = {}\"\n{}.\nMainline default: {}.",
            roff(tunable.name),
            tunable.expected,
            roff(&capitalised(tunable.reason)),
            tunable.default
        );
    }
    text
}

fn options(command: &Command) -> String {
    let mut command = command.clone();
    command.build();
    let mut text = String::new();
    for argument in command.get_arguments() {
        let takes_value = argument.get_num_args().is_some_and(|n| n.takes_values());
        let values = argument.get_value_names().filter(|_| takes_value);
        let values = values.unwrap_or_default().iter();
        let values: Vec<_> = values
            .map(|it| format!("\\ \\fI{}\\fR", roff(it)))
            .collect();
        let values = values.concat();
        let names = [
            argument.get_short().map(|short| format!("-{short}")),
            argument.get_long().map(|long| format!("--{long}")),
        ];
        let mut names: Vec<_> = names
            .into_iter()
            .flatten()
            .map(|name| roff(&name))
            .collect();
        if names.is_empty() {
            names.push(roff("--"));
        }
        let names = names.join("\\fR, \\fB");
        let help = argument.get_help().map(ToString::to_string);
        let help = roff(&help.unwrap_or_default());
        let _ = writeln!(text, ".TP\n\\fB{names}\\fR{values}\n{help}.");
    }
    text
}

fn exits() -> String {
    let mut text = String::new();
    for exit in Exit::ALL {
        let _ = writeln!(
            text,
            ".TP\n.B {} {}\n{}.",
            exit.code(),
            exit.systemd_name(),
            roff(&capitalised(exit.meaning()))
        );
    }
    text
}

/// Lists the message ids, each with its subject in the catalog.
fn ids() -> anyhow::Result<String> {
    let mut text = String::new();
    for (_, id) in Kind::ALL {
        let (_, entry) = CATALOG
            .split_once(id)
            .with_context(|| format!("the catalog has no {id}"))?;
        let (_, subject) = entry.split_once("Subject: ").context("no subject")?;
        let subject = subject.lines().next().unwrap_or_default();
        let subject = subject
            .replace("@SYSCTL@", "a tunable")
            .replace("@MESSAGE@", "the command that fixes it");
        let subject = roff(&capitalised(&subject));
        let _ = writeln!(text, ".TP\n.I {id}\n{subject}.");
    }
    Ok(text)
}

/// The first transcript of the README, which a test compares with what is printed.
fn example() -> anyhow::Result<String> {
    let (_, rest) = README.split_once("```console\n").context("no transcript")?;
    let (transcript, _) = rest.split_once("```").context("no end")?;
    Ok(transcript.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", roff(line));
        text
    }))
}

/// Escapes the text for roff.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.as_bytes().first() {
        Some(b'.' | b'\'') => format!("\\&{text}"),
        _ => text,
    }
}

/// Begins the sentence with a capital letter, unless it begins with a name.
fn capitalised(text: &str) -> String {
    if text.starts_with("kubelet") {
        return text.to_string();
    }
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(characters).collect()
    })
}
