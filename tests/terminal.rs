//! What a person meets: colour on a real terminal, which `script` makes, and nowhere else; nothing wraps; not being root.

mod support;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use support::{BINARY, Outcome, copy, needs, own_uid, scratch};

support::tests![
    colour_is_for_terminals_that_want_it,
    lines_fold_at_the_width_of_the_terminal,
    an_ordinary_user_is_told_to_be_root_to_judge_a_unit,
];

fn colour_is_for_terminals_that_want_it() -> Outcome {
    needs(&["script"])?;
    let on_terminal = |environment: &[(&str, &str)]| {
        Command::new("script")
            .args(["--quiet", "--return", "--command", BINARY, "/dev/null"])
            .env_remove("NO_COLOR")
            .env("TERM", "xterm")
            .envs(environment.iter().copied())
            .output()
            .unwrap()
            .stdout
    };
    let coloured = String::from_utf8(on_terminal(&[])).unwrap();
    assert!(coloured.contains("\x1b["), "{coloured:?}");
    for environment in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = String::from_utf8(on_terminal(&[environment])).unwrap();
        assert!(plain.starts_with("SYSCTL "), "{environment:?}: {plain:?}");
        assert!(!plain.contains('\x1b'), "{environment:?}: {plain:?}");
        // Commands stand on lines of their own, behind four spaces, and are as long as they are.
        for line in plain.lines().filter(|line| !line.starts_with("    ")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
    let piped = Command::new(BINARY).output().unwrap().stdout;
    assert!(!piped.contains(&0x1b), "{}", piped.escape_ascii());
    Ok(())
}

fn lines_fold_at_the_width_of_the_terminal() -> Outcome {
    needs(&["script", "stty"])?;
    for width in [60, 72] {
        let command =
            format!("stty cols {width}; {BINARY} --explain kernel.panic; {BINARY} --warn");
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .env("TERM", "dumb")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // The table of the six, the settings of --explain and a command are as wide as they are.
        let (_, page) = text.split_once("kernel.keys.root_maxbytes").unwrap();
        let sentences = page
            .lines()
            .skip(1)
            .filter(|line| !line.contains("kubelet-tunables --"));
        let longest = sentences.map(|line| line.trim_end().chars().count()).max();
        assert!(longest.unwrap() <= width, "{width}: {page}");
        assert!(longest.unwrap() > width - 20, "{width}: {page}");
    }
    Ok(())
}

fn an_ordinary_user_is_told_to_be_root_to_judge_a_unit() {
    let folder = scratch("unit");
    let binary = folder.join("kubelet-tunables");
    copy(Path::new(BINARY), &binary);
    let mut command = Command::new(&binary);
    if own_uid() == 0 {
        command.uid(65534);
    }
    let output = command
        .args(["--unit", "kubelet.service"])
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(folder);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("error: ") && said.contains("root"),
        "{said}"
    );
}
