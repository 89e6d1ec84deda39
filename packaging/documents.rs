//! Writes what the packages hold besides the program, each from where it is decided: the man page and the completions
//! from the command line, the tables and the message catalog.
//!
//! usage: cargo run --example documents -- FOLDER DATE

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, ensure};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use kubelet_tunables::cli::Cli;
use kubelet_tunables::exit::Exit;
use kubelet_tunables::report::Kind;
use kubelet_tunables::tunable::TUNABLES;

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

fn complete(folder: &Path) -> anyhow::Result<()> {
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut Cli::command(), "kubelet-tunables", folder)?;
    }
    Ok(())
}

/// The man page.
fn page(date: &str) -> anyhow::Result<String> {
    let command = Cli::command();
    let mut page = PAGE.to_string();
    for (mark, text) in [
        ("@DATE@", date.to_string()),
        ("@VERSION@", roff(env!("CARGO_PKG_VERSION"))),
        ("@SYNOPSIS@", synopsis(&command)),
        ("@TABLE@", table()),
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

/// The usage, each form of it on a line, options bold and what stands for something else in italics.
fn synopsis(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let words = usage.split_whitespace().skip(1).map(|word| {
        let bare = word.trim_matches(['[', ']', '.']);
        let font = match bare.as_bytes().first() {
            Some(b'-' | b'k') => "B",
            Some(b'A'..=b'Z') => "I",
            _ => return word.to_string(),
        };
        word.replace(bare, &format!("\\f{font}{}\\fR", roff(bare)))
    });
    let program = "\\fBkubelet\\-tunables\\fR";
    let usage = words.collect::<Vec<_>>().join(" ");
    usage.replace(&format!(" {program}"), &format!("\n.br\n{program}"))
}

fn table() -> String {
    let mut text =
        String::from(".TS\nlb lb lb lb\nl n n lx.\nsysctl\tneeded\tmainline\twhat that does\n");
    for tunable in TUNABLES {
        let _ = writeln!(
            text,
            "{}\t{}\t{}\tT{{\n{}\nT}}",
            roff(tunable.name),
            tunable.expected,
            tunable.default,
            roff(tunable.reason)
        );
    }
    text + ".TE\n"
}

fn options(command: &Command) -> String {
    let mut command = command.clone();
    command.build();
    let mut text = String::new();
    for argument in command.get_arguments() {
        let value = argument.get_value_names().unwrap_or_default().join(" ");
        let value = if argument.get_action().takes_values() {
            roff(&value)
        } else {
            String::new()
        };
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
        let _ = writeln!(
            text,
            ".TP\n\\fB{names}\\fR{}\n{}.",
            if value.is_empty() {
                String::new()
            } else {
                format!(" \\fI{value}\\fR")
            },
            roff(&help.unwrap_or_default())
        );
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

/// Each message id with the subject that the catalog gives it.
fn ids() -> anyhow::Result<String> {
    let mut text = String::new();
    for kind in Kind::ALL {
        let id = kind.message_id();
        let (_, entry) = CATALOG
            .split_once(id)
            .with_context(|| format!("the catalog has no {id}"))?;
        let (_, subject) = entry.split_once("Subject: ").context("no subject")?;
        let subject = subject.lines().next().unwrap_or_default();
        let subject = roff(&capitalised(&subject.replace("@SYSCTL@", "a tunable")));
        let _ = writeln!(text, ".TP\n.I {id}\n{subject}.");
    }
    Ok(text)
}

/// The first transcript of the README, which its test holds against what was printed.
fn example() -> anyhow::Result<String> {
    let (_, rest) = README.split_once("```console\n").context("no transcript")?;
    let (transcript, _) = rest.split_once("```").context("no end")?;
    Ok(transcript.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", roff(line));
        text
    }))
}

/// The text as roff shows it to the letter.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.as_bytes().first() {
        Some(b'.' | b'\'') => format!("\\&{text}"),
        _ => text,
    }
}

/// A sentence begins with a capital letter, but for kubelet's name and our own.
fn capitalised(text: &str) -> String {
    if text.starts_with("kubelet") {
        return text.to_string();
    }
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(characters).collect()
    })
}
