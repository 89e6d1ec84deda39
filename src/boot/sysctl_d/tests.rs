use std::fs;

use super::*;

const PANIC: &Tunable = &TUNABLES[2];

#[test]
fn gives_up_a_file_of_ever_more_patterns_and_says_so() {
    let mut read = SysctlD::default();
    let lines = |count| {
        (0..count).fold(String::new(), |text, at| {
            text + &format!("{{{at},vm}}/*=1\n")
        })
    };
    let content = lines(LINES - 1) + "vm.panic_on_oom = 2\n";
    read.add_file(Path::new("10.conf"), content.as_bytes());
    assert_eq!(read.unread.len(), 0);
    let line = read.assignment(&TUNABLES[1], When::Now).unwrap().line;
    assert_eq!(line, LINES);
    read.add_file(Path::new("20.conf"), b"kernel.*=1\n");
    let problems: Vec<_> = read.unread.iter().map(|it| &it.problem.path).collect();
    assert_eq!(problems, [Path::new("/20.conf")]);
    assert!(read.assignment(PANIC, When::Now).is_none());
    // What cannot name one of the six costs nothing, and systemd reads on behind it.
    let others = "net.ipv4.conf.*.forwarding=1\n".repeat(LINES + 1);
    let read = self::read(&(others + "kernel.panic=1\n"));
    assert_eq!(read.unread.len(), 0);
    assert!(read.assignment(PANIC, When::Now).is_some());
}

fn read(content: &str) -> SysctlD {
    let mut read = SysctlD::default();
    read.add_file(Path::new("50.conf"), content.as_bytes());
    read
}

#[test]
fn a_line_too_long_ends_the_file_there() {
    for end in ["\n", "\r", "\0"] {
        for (length, expected) in [(LINE_LIMIT - 1, "2"), (LINE_LIMIT, "1")] {
            let long = "x".repeat(length);
            let read = read(&format!(
                "kernel.panic=1{end}#{end}{long}{end}kernel.panic=2{end}"
            ));
            let text = read
                .assignment(PANIC, When::Now)
                .map(|it| it.text.as_slice());
            assert_eq!(text, Some(expected.as_bytes()), "{end:?} {length}");
        }
    }
}

#[test]
fn a_pattern_said_again_keeps_its_place() {
    let value = |content: &str| {
        read(content)
            .assignment(PANIC, When::Now)
            .map(|it| it.text.clone())
    };
    for (content, expected) in [
        ("kernel.p*=1\nkernel.pan*=2\n", "2"),
        ("kernel.p*=1\nkernel.pan*=2\nkernel.p*=1\n", "2"),
        ("kernel.p*=1\nkernel.pan*=2\nkernel.p*=3\n", "3"),
    ] {
        assert_eq!(
            value(content).as_deref(),
            Some(expected.as_bytes()),
            "{content}"
        );
    }
}

#[test]
fn keeps_lines_up_to_a_limit_and_says_so() {
    let keep = |count: usize| {
        let read = read(&"kernel.panic = 1\n".repeat(count));
        (read.lines.len(), read.unread.len())
    };
    assert_eq!(keep(LINES), (LINES, 0));
    assert_eq!(keep(LINES + 1), (LINES, 1));
}

#[test]
fn a_pattern_that_the_kernel_refuses_leaves_what_another_set() {
    let read = read("kernel.p*=1\nkernel.pan*=ten\n");
    let effects: Vec<_> = read
        .settings(PANIC, When::Now)
        .iter()
        .map(|setting| setting.effect)
        .collect();
    assert!(
        matches!(effects[..], [Effect::Sets(1), Effect::Refused]),
        "{effects:?}"
    );
}

#[test]
fn what_is_no_file_or_no_folder_is_no_problem() {
    let root = std::env::temp_dir().join(format!("kubelet-tunables-d-{}", std::process::id()));
    let folder = root.join("etc/sysctl.d");
    fs::create_dir_all(&folder).unwrap();
    for (name, target) in [("10.conf", "."), ("20.conf", "nowhere")] {
        std::os::unix::fs::symlink(target, folder.join(name)).unwrap();
    }
    fs::create_dir(root.join("run")).unwrap();
    fs::write(root.join("run/sysctl.d"), "kernel.panic=1\n").unwrap();
    let read = SysctlD::read(&Root::machine(&root), &[]);
    fs::remove_dir_all(root).unwrap();
    assert_eq!(read.unread.len(), 0);
}
