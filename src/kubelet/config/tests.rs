use super::*;
use crate::kubelet::Reason;

const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

fn said(settings: Result<Settings, ConfigError>) -> String {
    match settings {
        Ok(Settings { protect: None, .. }) => "unset".to_string(),
        Ok(Settings {
            protect: Some((on, set_by)),
            ..
        }) => {
            let line = match set_by {
                SetBy::File { line, .. } => line,
                SetBy::Default | SetBy::Flag(_) => 0,
            };
            format!("{} {line}", if on { "on" } else { "off" })
        }
        Err(ConfigError::Refused(_)) => "refused".to_string(),
        Err(ConfigError::Unknown(_)) => "unknown".to_string(),
    }
}

fn parse(content: &[u8], path: &Path) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    settings.add_config(content, path)?;
    Ok(settings)
}

fn outcome(content: &[u8]) -> String {
    said(parse(content, Path::new("/c")))
}

#[test]
fn values_are_yaml_1_1() {
    for (value, expected) in [
        ("true", "on 3"),
        ("True", "on 3"),
        ("TRUE", "on 3"),
        ("yes", "on 3"),
        ("on", "on 3"),
        ("y", "on 3"),
        ("Y", "on 3"),
        ("true # comment", "on 3"),
        ("\n  true", "on 3"),
        ("false", "off 3"),
        ("no", "off 3"),
        ("off", "off 3"),
        ("N", "off 3"),
        ("~", "unset"),
        ("null", "unset"),
        ("", "unset"),
        ("\"true\"", "refused"),
        ("'yes'", "refused"),
        ("t", "refused"),
        ("1", "refused"),
        ("tRUE", "refused"),
        ("[true]", "refused"),
        ("{a: true}", "refused"),
        ("|\n  true", "refused"),
        ("!!bool true", "unknown"),
        ("!!str true", "unknown"),
        ("! true", "unknown"),
        ("&a true", "unknown"),
        ("*nowhere", "unknown"),
    ] {
        let file = format!("{HEAD}protectKernelDefaults: {value}\n");
        assert_eq!(outcome(file.as_bytes()), expected, "{value}");
    }
}

#[test]
fn files_are_read_as_go_reads_them() {
    let wide = |text: &str, unit: fn(u16) -> [u8; 2]| {
        text.encode_utf16().flat_map(unit).collect::<Vec<_>>()
    };
    let key = "protectKernelDefaults: true\n";
    let body = format!("{HEAD}{key}");
    let yaml: Vec<(&str, String, &str)> = vec![
        ("absent", HEAD.into(), "unset"),
        ("present", body.clone(), "on 3"),
        ("empty", String::new(), "refused"),
        ("only a document", "---\n".into(), "refused"),
        ("only a comment", "# x\n".into(), "refused"),
        ("no kind", key.into(), "refused"),
        ("wrong kind", body.replace("KubeletC", "C"), "refused"),
        ("wrong version", body.replace("v1beta1", "v1"), "refused"),
        ("key quoted", format!("{HEAD}\"protectKernelDefaults\": true\n"), "on 3"),
        ("key escaped", format!("{HEAD}\"protectKernel\\u0044efaults\": true\n"), "on 3"),
        ("key wrongly cased", format!("{HEAD}ProtectKernelDefaults: true\n"), "unset"),
        ("key wrongly cased, and right", format!("{body}protectkerneldefaults: false\n"), "on 3"),
        ("twice", format!("{body}protectKernelDefaults: false\n"), "off 4"),
        ("in a comment", format!("{HEAD}# {key}"), "unset"),
        ("nested", format!("{HEAD}x:\n  {key}"), "unset"),
        ("in a string", format!("{HEAD}x: |\n  {key}"), "unset"),
        ("second document", format!("{HEAD}---\n{key}"), "unset"),
        ("explicit document", format!("---\n{body}...\n"), "on 4"),
        ("flow", "--- {kind: KubeletConfiguration, apiVersion: kubelet.config.k8s.io/v1beta1, protectKernelDefaults: yes}".into(), "on 1"),
        ("flow at the start", "{kind: KubeletConfiguration, apiVersion: kubelet.config.k8s.io/v1beta1, protectKernelDefaults: yes}".into(), "refused"),
        ("kind wrongly cased", body.replace("kind", "KIND").replace("apiV", "APIv"), "on 3"),
        ("kinds in two spellings", format!("{body}Kind: x\n"), "unknown"),
        ("a kind by Unicode's cases", format!("{body}\u{212a}ind: x\n"), "unknown"),
        ("a version by Unicode's cases", format!("{body}apiVer\u{17f}ion: x\n"), "unknown"),
        ("a kind that is null", body.replace("KubeletC", "~ # C"), "refused"),
        ("a kind that is no string", body.replace("KubeletC", "[] # C"), "refused"),
        ("a sequence for a key", format!("{body}? [x]\n: 1\n"), "refused"),
        ("a tab behind a colon", format!("{HEAD}protectKernelDefaults:\ttrue\nmaxPods:\t110\n"), "on 3"),
        ("a list that goes on in column 0", format!("{body}x: [a,\nb]\n"), "on 3"),
        ("a list that is indented by a tab", format!("{body}x: [\n\ta\n]\n"), "on 3"),
        ("a mapping that closes in column 0", format!("{body}x: {{\n}}\n"), "on 3"),
        ("a comment behind a bracket", format!("{body}x: [# y\n]\n"), "on 3"),
        ("no colon", format!("{body}maxPods 110\n"), "refused"),
        ("a word behind a quoted one", format!("{body}x: \"x\" y\n"), "refused"),
        ("a block that is indented by a tab", format!("{body}x:\n\ty: 1\n"), "refused"),
        ("a literal without an end", format!("{body}x: |\n  y"), "on 3"),
        ("an escape without an end", format!("{body}x: \"\\"), "refused"),
        ("lines that end by YAML 1.1", format!("{HEAD}x: 1\u{85}y: 2\u{2028}{key}"), "on 5"),
        ("a byte order mark in a comment", format!("{HEAD}# \u{feff}\n{key}"), "unknown"),
        ("a byte order mark in the key", format!("{HEAD}\u{feff}{key}"), "unknown"),
        ("an exclamation mark in a comment", format!("{HEAD}# Edit, and it is lost!!\n{key}"), "on 4"),
        ("an exclamation mark in a text", format!("{body}x: \"Hello! World\"\n"), "on 3"),
        ("not a mapping", "[protectKernelDefaults]".into(), "refused"),
        ("a scalar", "protectKernelDefaults".into(), "refused"),
        ("broken", format!("{body}x: [\n"), "refused"),
        ("a value too many", format!("{body}x: y: z\n"), "refused"),
        ("what is no key behind the mapping", format!("{body}}}\n"), "refused"),
        ("a directive without a document", format!("%YAML 1.1\n{body}"), "refused"),
        ("CRLF", body.replace('\n', "\r\n"), "on 3"),
        ("byte order mark", format!("\u{feff}{body}"), "on 3"),
        ("as deep as we go", format!("{body}x:\n{}1\n", "- ".repeat(yaml::DEPTH - 1)), "on 3"),
        ("deeper than we go", format!("{body}x:\n{}1\n", "- ".repeat(yaml::DEPTH)), "unknown"),
        ("many brackets", format!("{body}x: {}{}\n", "[".repeat(5000), "1,".repeat(10_000)), "unknown"),
        ("written as kubelet keeps it", body.replace("v1beta1", "__internal").replace("protect", "Protect"), "unknown"),
        ("a colon at the end of a word", format!("{body}x: [y:,]\n"), "unknown"),
        ("a long key that is not ASCII", format!("{body}{}: y\n", "\u{e9}".repeat(600)), "unknown"),
        ("an anchor", format!("{body}x: &a y\n"), "unknown"),
        ("an anchor of a sequence", format!("{body}x: &a [y]\n"), "unknown"),
        ("an anchor far inside", format!("{body}x: [{{y: [&a z]}}]\n"), "unknown"),
        ("a merge", format!("{body}<<: {{protectKernelDefaults: no}}\n"), "unknown"),
        ("a tag of a mapping", format!("{body}x: !!map {{}}\n"), "unknown"),
        ("a tag of a key", format!("{HEAD}!!str {key}"), "unknown"),
        ("a tag before a comma", format!("{body}x: [!!str, y]\n"), "unknown"),
        ("a tag in brackets before a comma", format!("{body}x: [!<tag:yaml.org,2002:str>, y]\n"), "unknown"),
        ("a tag of its own", format!("%TAG !k! tag:yaml.org,2002:\n---\n{body}"), "unknown"),
    ];
    for (case, text, expected) in yaml {
        assert_eq!(outcome(text.as_bytes()), expected, "{case}");
    }
    let broken = [body.as_bytes(), b"---\n", &b"x\n".repeat(400), b"\xff"].concat();
    for (case, content, expected) in [
        (
            "not UTF-8",
            [body.as_bytes(), b"x: \xff\n"].concat(),
            "refused",
        ),
        ("what is wrong behind the first document", broken, "on 3"),
        (
            "UTF-16, little end first",
            wide(&format!("\u{feff}{body}"), u16::to_le_bytes),
            "unknown",
        ),
        (
            "UTF-16, big end first",
            wide(&format!("\u{feff}{body}"), u16::to_be_bytes),
            "unknown",
        ),
    ] {
        assert_eq!(outcome(&content), expected, "{case}");
    }
}

#[test]
fn json_is_read_as_go_reads_it() {
    let head = r#""kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1""#;
    for (text, expected) in [
        (r#"{HEAD, "protectKernelDefaults": true}"#, "on 1"),
        (
            "\n{\n\tHEAD,\n\t\"protectKernelDefaults\": false\n}\n",
            "off 4",
        ),
        (r#"{HEAD, "protectKernelDefaults": null}"#, "unset"),
        (r#"{HEAD, "protectKernelDefaults": "true"}"#, "refused"),
        (r#"{HEAD, "protectKernelDefaults": 1}"#, "refused"),
        (r#"{HEAD, "protectKernelDefaults": yes}"#, "refused"),
        (r#"{HEAD, "ProtectKernelDefaults": true}"#, "unset"),
        (r#"{HEAD, "protect\u004bernelDefaults": true}"#, "on 1"),
        (r#"{HEAD, "protectKernelDefaults": true,}"#, "refused"),
        (
            r#"{HEAD, "protectKernelDefaults": true, "protectKernelDefaults": null}"#,
            "unknown",
        ),
        (
            r#"{HEAD, "featureGates": {}, "featureGates": {}}"#,
            "unknown",
        ),
        (r#"{HEAD, "Kind": "x"}"#, "unknown"),
        (r#"{HEAD, "kind": null}"#, "unknown"),
        (r#"{HEAD, "x": 1, "x": 2}"#, "unset"),
        ("{}", "refused"),
    ] {
        let text = text.replace("HEAD", head);
        assert_eq!(outcome(text.as_bytes()), expected, "{text}");
    }
    let text = format!("{{{head}, \"x\": \"\u{e9}\", \"protectKernelDefaults\": true}}");
    let latin_1: Vec<u8> = text.chars().map(|it| u8::try_from(it).unwrap()).collect();
    assert_eq!(outcome(&latin_1), "on 1");
}

#[test]
fn says_where_a_file_is_wrong() {
    for (text, expected) in [
        ("@\n", "/c:3:1: found character that cannot start any token"),
        (
            "protectKernelDefaults: tru\n",
            "/c:3: protectKernelDefaults must be true or false, not \"tru\"",
        ),
        (
            "x: 1\nprotectKernelDefaults: []\n",
            "/c:4: protectKernelDefaults must be true or false",
        ),
        ("featureGates: x\n", "/c:3: featureGates must be a mapping"),
        (
            "featureGates:\n  KubeletInUserNamespace: 1\n",
            "/c:4: KubeletInUserNamespace must be true or false, not \"1\"",
        ),
    ] {
        let error = parse(format!("{HEAD}{text}").as_bytes(), Path::new("/c"));
        let Err(ConfigError::Refused(reason)) = error else {
            panic!("{text}: {error:?}");
        };
        assert_eq!(reason.to_string(), expected);
    }
    let error = parse(format!("{HEAD}x:\n- &a y\n").as_bytes(), Path::new("/c"));
    let expected = Reason {
        path: Some("/c".into()),
        line: Some(4),
        column: Some(3),
        why: "kubelet-tunables does not read anchors".to_string(),
    };
    assert_eq!(error, Err(ConfigError::Unknown(expected)));
}

#[test]
fn reads_a_large_file_once() {
    // Counting the lines anew for each key would take half an hour here.
    let key = "\"protectKernelDefaults\": true,\n";
    let file = format!("{{{}\"x\": 1}}", key.repeat((1 << 20) / key.len()));
    assert!(parse(file.as_bytes(), Path::new("/c")).is_err());
}

#[test]
fn reads_the_feature_gate() {
    for (text, expected) in [
        ("", None),
        ("featureGates: {KubeletInUserNamespace: on}", Some(true)),
        (
            "featureGates:\n  KubeletInUserNamespace: false\n  AllAlpha: true",
            Some(false),
        ),
        ("featureGates: {KubeletInUserNamespace: ~}", Some(false)),
        ("featureGates: {AllAlpha: true, AllBeta: true}", None),
        ("featureGates: {x: {KubeletInUserNamespace: true}}", None),
        ("featureGates: ~", None),
        ("FeatureGates: {KubeletInUserNamespace: true}", None),
    ] {
        let file = format!("{HEAD}{text}\n");
        let settings = parse(file.as_bytes(), Path::new("/c")).unwrap();
        assert_eq!(settings.in_user_namespace, expected, "{text}");
    }
    for text in [
        "[x]",
        "x",
        "{KubeletInUserNamespace: \"true\"}",
        "{KubeletInUserNamespace: {}}",
    ] {
        let file = format!("{HEAD}featureGates: {text}\n");
        assert_eq!(outcome(file.as_bytes()), "refused", "{text}");
    }
}

fn merged(base: &str, drop_ins: &[&str]) -> Result<Settings, ConfigError> {
    let mut settings = parse(format!("{HEAD}{base}\n").as_bytes(), Path::new("/c")).unwrap();
    for text in drop_ins {
        settings.add_drop_in(format!("{HEAD}{text}\n").as_bytes(), Path::new("/d"))?;
    }
    Ok(settings)
}

#[test]
fn the_last_drop_in_counts() {
    let on = "protectKernelDefaults: true";
    let off = "protectKernelDefaults: false";
    for (base, drop_ins, expected) in [
        (on, &[][..], "on 3"),
        ("", &[], "unset"),
        ("", &["x: 1\nprotectKernelDefaults: true"], "on 4"),
        (on, &["x: 1"], "on 3"),
        (on, &[off], "off 3"),
        (off, &[off, "x: 1\nprotectKernelDefaults: yes", ""], "on 4"),
        (on, &["x: {1: 1, \"1\": 2}"], "on 3"),
        (on, &["---"], "on 3"),
        // Versions differ in these.
        (on, &["protectKernelDefaults: null"], "unknown"),
        (off, &["ProtectKernelDefaults: true"], "unknown"),
        (on, &["protectKernelDefaults: \"true\"", on], "unknown"),
        ("", &["protectKernelDefaults: {x: 1}"], "unknown"),
        (
            on,
            &["protectKernelDefaults: true\nprotectKernelDefaults: true"],
            "unknown",
        ),
        (on, &["kind: KubeletConfiguration"], "unknown"),
        (on, &["Kind: x"], "unknown"),
        (on, &["apiversion: x"], "unknown"),
    ] {
        assert_eq!(
            said(merged(base, drop_ins)),
            expected,
            "{base} {drop_ins:?}"
        );
    }
    for (text, expected) in [
        ("", "refused"),
        ("---\n", "refused"),
        ("{}", "refused"),
        ("@", "refused"),
        ("kind: KubeletConfiguration\n", "refused"),
        ("apiVersion: kubelet.config.k8s.io/v1beta1\n", "refused"),
        (
            "apiVersion: kubelet.config.k8s.io/v1beta1\nKind: KubeletConfiguration\n",
            "unknown",
        ),
        (
            "apiVersion: kubelet.config.k8s.io/v1\nkind: KubeletConfiguration\n",
            "unknown",
        ),
        ("apiVersion: ~\nkind: KubeletConfiguration\n", "unknown"),
    ] {
        let mut settings = Settings::default();
        let added = settings.add_drop_in(text.as_bytes(), Path::new("/d"));
        assert_eq!(said(added.map(|()| settings)), expected, "{text}");
    }
    let error = merged(on, &["protectKernelDefaults: tru"]);
    let Err(ConfigError::Unknown(reason)) = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        reason.to_string(),
        "/d:3: protectKernelDefaults must be true or false, not \"tru\""
    );
}

#[test]
fn the_last_drop_in_sets_the_gate() {
    let on = "featureGates: {KubeletInUserNamespace: true}";
    for (base, drop_ins, expected) in [
        (on, &[][..], Some(true)),
        (on, &["featureGates: {AllBeta: true}"], Some(true)),
        (
            on,
            &["featureGates: {KubeletInUserNamespace: false}", ""],
            Some(false),
        ),
        (
            "",
            &["featureGates: {KubeletInUserNamespace: off}", on],
            Some(true),
        ),
    ] {
        let gate = merged(base, drop_ins).unwrap().in_user_namespace;
        assert_eq!(gate, expected, "{base} {drop_ins:?}");
    }
    for text in [
        "featureGates: null",
        "featureGates: x",
        "featureGates: {KubeletInUserNamespace: null}",
        "featureGates: {KubeletInUserNamespace: \"true\"}",
        "featuregates: {KubeletInUserNamespace: true}",
    ] {
        assert_eq!(said(merged(on, &[text])), "unknown", "{text}");
    }
}
