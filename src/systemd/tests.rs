use super::dbus::Answer;
use super::dbus::tests::answer;
use super::*;

type Line<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

fn command_ex((program, argv, flags): Line<'_>) -> Exec<Vec<String>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    (
        program.to_owned(),
        texts(argv),
        texts(flags),
        1,
        2,
        3,
        4,
        5,
        6,
        7,
    )
}

fn command((program, argv, _): Line<'_>) -> Exec<bool> {
    let (program, argv, ..) = command_ex((program, argv, &[]));
    (program, argv, false, 1, 2, 3, 4, 5, 6, 7)
}

const KUBELET: Line<'_> = (
    "/usr/bin/kubelet",
    &["/usr/bin/kubelet", "--x=y z", "$A"],
    &["no-env-expand", "privileged"],
);
const PLAIN: Line<'_> = ("/bin/x", &["name", "$A", "${A}"], &["ignore-failure"]);

fn texts(texts: &[&str]) -> Answer {
    answer(&texts.to_vec())
}

/// The properties of a unit that is loaded, with some of them replaced.
fn properties<const N: usize>(others: [(&'static str, Answer); N]) -> Properties {
    let loaded = [
        ("Unit.LoadState", answer(&"loaded")),
        (
            "Service.ExecStartEx",
            answer(&vec![command_ex(KUBELET), command_ex(PLAIN)]),
        ),
        (
            "Service.ExecStart",
            answer(&vec![command(KUBELET), command(PLAIN)]),
        ),
        ("Manager.Version", answer(&"252.38-1~deb12u1")),
    ];
    Properties(loaded.into_iter().chain(others).collect())
}

#[test]
fn reads_what_is_started() {
    let read = exec_start_of(&properties([])).unwrap();
    let flags = |command: &ExecCommand| (command.expands, command.is_privileged);
    let flags: Vec<_> = read.iter().map(flags).collect();
    assert_eq!(flags, [(false, true), (true, false)]);
    let mut environment = Environment::default();
    environment.set(&["A=b c".to_owned()]);
    assert_eq!(
        read[0].words(&environment).unwrap(),
        ["/usr/bin/kubelet", "--x=y z", "$A"]
    );
    assert_eq!(
        read[1].words(&environment).unwrap(),
        ["/bin/x", "b", "c", "b c"]
    );
    environment.hide(&["A"], "PassEnvironment=");
    assert!(read[0].words(&environment).is_ok());
    let unknown = read[1].words(&environment);
    assert!(
        matches!(unknown, Err(UnitError::UnknownVariable { name, setting }) if name == "A" && setting == "PassEnvironment=")
    );
    // systemd before 243.
    let old = exec_start_of(&properties([("Service.ExecStartEx", Answer::Unknown)])).unwrap();
    assert!(old.iter().all(|command| command.expands));
    assert_eq!(old[0].argv, read[0].argv);
}

#[test]
fn knows_what_is_wrong_with_a_unit() {
    let broken = |text: &str| {
        properties([
            ("Unit.LoadState", answer(&"bad-setting")),
            ("Unit.LoadError", answer(&("name", text))),
        ])
    };
    let no_service = properties([
        ("Service.ExecStartEx", Answer::Unknown),
        ("Service.ExecStart", Answer::Unknown),
    ]);
    let no_commands = answer(&Vec::<Exec<Vec<String>>>::new());
    let state = |state: &str| properties([("Unit.LoadState", answer(&state))]);
    for (properties, expected) in [
        (state("not-found"), "NotFound"),
        (state("masked"), "Masked"),
        (broken(""), "Broken(\"bad-setting\")"),
        (broken("Unit x is bad."), "Broken(\"Unit x is bad.\")"),
        (
            properties([("Service.ExecStartEx", no_commands)]),
            "NoCommand",
        ),
        (no_service, "NoCommand"),
    ] {
        let error = exec_start_of(&properties).unwrap_err();
        assert_eq!(format!("{error:?}"), expected);
        assert!(error.keeps_from_starting());
    }
    let garbled = exec_start_of(&properties([("Service.ExecStartEx", answer(&1_u32))]));
    assert!(matches!(garbled, Err(UnitError::NoAnswer(_))));
}

#[test]
fn knows_what_comes_next() {
    use NextStart::{GivenUp, Retries, Running, Starting, Stopped};
    let waits = |seconds| Retries {
        within: Duration::from_secs(seconds),
    };
    for (state, sub_state, process, expected) in [
        ("active", "running", 7_u32, Running),
        ("active", "exited", 0, Running),
        ("activating", "start", 7, Running),
        ("reloading", "reload", 7, Running),
        ("activating", "start-pre", 0, Starting),
        ("activating", "auto-restart", 0, waits(2)),
        ("activating", "auto-restart-queued", 0, waits(2)),
        ("failed", "failed", 0, GivenUp),
        ("inactive", "dead", 0, Stopped),
        ("deactivating", "stop-sigterm", 7, Stopped),
    ] {
        let state = |next| {
            properties([
                ("Unit.ActiveState", answer(&state)),
                ("Unit.SubState", answer(&sub_state)),
                ("Service.MainPID", answer(&process)),
                ("Service.RestartUSec", answer(&2_000_000_u64)),
                ("Service.RestartUSecNext", next),
            ])
        };
        let next = next_start_of(&state(Answer::Unknown)).unwrap();
        assert_eq!(next, expected, "{sub_state}");
        let next = next_start_of(&state(answer(&5_000_000_u64))).unwrap();
        if expected == waits(2) {
            assert_eq!(next, waits(5));
        } else {
            assert_eq!(next, expected, "{sub_state}");
        }
    }
    let masked = properties([("Unit.LoadState", answer(&"masked"))]);
    assert!(matches!(next_start_of(&masked), Err(UnitError::Masked)));
}

/// Returns what a unit with these settings gets as A, HOME and so on: a value, `-` where it is not set, or the setting.
fn variables<const N: usize>(others: [(&'static str, Answer); N], names: &[&str]) -> Vec<String> {
    let environment = environment(Path::new("/nonexistent"), &properties(others)).unwrap();
    let said = |name: &&str| match environment.get(OsStr::new(name)) {
        Ok(value) => value
            .unwrap_or(OsStr::new("-"))
            .to_str()
            .unwrap()
            .to_owned(),
        Err(setting) => setting.to_owned(),
    };
    names.iter().map(said).collect()
}

#[test]
fn lets_each_setting_override_those_before() {
    let set = || {
        [
            (
                "Manager.Environment",
                texts(&["A=manager", "B=manager", "G=m", "HOME=/"]),
            ),
            ("Service.RuntimeDirectory", texts(&["k", "l"])),
            (
                "Service.PassEnvironment",
                texts(&["B", "C", "RUNTIME_DIRECTORY"]),
            ),
            ("Service.Environment", texts(&["C=unit", "D=a=b", "1=x"])),
            (
                "Service.UnsetEnvironment",
                texts(&["D=other", "G=m", "B=x"]),
            ),
            ("Service.User", answer(&"")),
        ]
    };
    let names = [
        "A",
        "B",
        "C",
        "D",
        "E",
        "G",
        "1",
        "HOME",
        "RUNTIME_DIRECTORY",
    ];
    let pass = "PassEnvironment=";
    assert_eq!(
        variables(set(), &names),
        ["manager", pass, "unit", "a=b", "-", "-", "-", "/", pass]
    );
    let mut others = set();
    others[5].1 = answer(&"k");
    others[2].1 = texts(&[]);
    assert_eq!(
        variables(others, &names)[7..],
        ["User=", "RuntimeDirectory="]
    );
    // From systemd 262 on they are taken away later.
    let mut others = set();
    others[5] = ("Manager.Version", answer(&"262-1"));
    assert_eq!(variables(others, &["G"]), ["m"]);
    let mut others = set();
    others[5] = ("Service.WorkingDirectory", answer(&"!~"));
    assert_eq!(variables(others, &["HOME"]), ["WorkingDirectory=~"]);
    let mut others = set();
    others[5] = ("Service.SetLoginEnvironment", answer(&true));
    assert_eq!(variables(others, &["SHELL"]), ["SetLoginEnvironment="]);
    // systemd sets it from 257 on.
    for (version, user) in [("256.1", "-"), ("257", "root")] {
        let version = [("Manager.Version", answer(&version))];
        assert_eq!(variables(version, &["USER", "SHELL"]), [user, "-"]);
    }
}

#[test]
fn completes_names() {
    for (unit, name) in [
        ("kubelet", "kubelet.service"),
        ("k8s-kubelet.service", "k8s-kubelet.service"),
        ("3.target", "3.target"),
        ("a.b@c_d\\x2d", "a.b@c_d\\x2d.service"),
    ] {
        assert_eq!(full_name(OsStr::new(unit)).unwrap(), name);
    }
    for unit in ["", "a b", "/x", "a/b.service", "é", "a@", &"x".repeat(248)] {
        assert!(
            matches!(full_name(OsStr::new(unit)), Err(UnitError::NotFound)),
            "{unit}"
        );
    }
    assert!(full_name(OsStr::new(&"x".repeat(247))).is_ok());
}

#[test]
fn reads_the_working_directory_and_the_version() {
    let root = Path::new("/");
    for (property, user, expected) in [
        ("", "", Some("/")),
        ("/etc", "k", Some("/etc")),
        ("/no/where", "", Some("/no/where")),
        ("!/no/where", "", Some("/")),
        ("!/etc", "", Some("/etc")),
        ("~", "", Some("/root")),
        ("~", "k", None),
        ("!~", "k", None),
    ] {
        assert_eq!(
            working_directory(root, property, user).as_deref(),
            expected.map(Path::new),
            "{property}"
        );
    }
    for (text, expected) in [("252.38-1~deb12u1", 252), ("262", 262), ("v262", 0)] {
        let properties = properties([("Manager.Version", answer(&text))]);
        assert_eq!(version(&properties).unwrap(), expected);
    }
}
