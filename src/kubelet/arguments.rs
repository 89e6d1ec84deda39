//! Owns kubelet's command line, as Go's pflag reads it, as far as it decides about protectKernelDefaults.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What the command line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// The last `--protect-kernel-defaults` and the word it stood in.
    pub flag: Option<(bool, String)>,
    /// The last `--config`, unless it is empty.
    pub config: Option<OsString>,
    /// The last `--config-dir`, unless it is empty.
    pub config_dir: Option<OsString>,
}

impl Arguments {
    /// Reads the words after the program.
    ///
    /// # Errors
    ///
    /// Says why kubelet will not take them.
    ///
    /// Which other flags there are differs from version to version. One that is not known here takes the next word when
    /// that is not a flag, as kubelet has no use for a word that belongs to no flag.
    pub fn parse(command_line: &[OsString]) -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut words = command_line
            .iter()
            .skip(1)
            .map(|word| word.as_bytes())
            .peekable();
        while let Some(word) = words.next() {
            let shown = || String::from_utf8_lossy(word).into_owned();
            let Some(flag) = word.strip_prefix(b"-").filter(|flag| !flag.is_empty()) else {
                return Err(format!("unknown command \"{}\"", shown()));
            };
            let Some(long) = flag.strip_prefix(b"-") else {
                if flag[0] == b'h' {
                    return Err("it prints its help".to_string());
                }
                if flag[0] != b'v' {
                    return Err(format!("unknown shorthand flag in \"{}\"", shown()));
                }
                if flag.len() == 1 {
                    words.next().ok_or("-v needs an argument")?;
                }
                continue;
            };
            if long.is_empty() {
                match words.next() {
                    Some(_) => return Err("unknown command behind --".to_string()),
                    None => break,
                }
            }
            let (name, value) = match long.iter().position(|&byte| byte == b'=') {
                Some(at) => (&long[..at], Some(&long[at + 1..])),
                None => (long, None),
            };
            if matches!(name.first(), None | Some(b'-' | b'=')) {
                return Err(format!("bad flag syntax: {}", shown()));
            }
            let name: Vec<u8> = name
                .iter()
                .map(|&byte| if byte == b'_' { b'-' } else { byte })
                .collect();
            match name.as_slice() {
                b"protect-kernel-defaults" => {
                    let on = parse_bool(value.unwrap_or(b"true"))
                        .ok_or_else(|| format!("invalid boolean in {}", shown()))?;
                    arguments.flag = Some((on, shown()));
                }
                b"config" | b"config-dir" => {
                    let value = match value {
                        Some(value) => value,
                        None => words
                            .next()
                            .ok_or_else(|| format!("{} needs an argument", shown()))?,
                    };
                    let value =
                        Some(OsString::from_vec(value.to_vec())).filter(|value| !value.is_empty());
                    if name == b"config" {
                        arguments.config = value;
                    } else {
                        arguments.config_dir = value;
                    }
                }
                b"help" => return Err("it prints its help".to_string()),
                b"version" if value.is_none_or(|value| parse_bool(value) != Some(false)) => {
                    return Err("it prints its version".to_string());
                }
                _ => {
                    let next_is_value = |next: &&[u8]| !next.starts_with(b"-") || *next == b"-";
                    if value.is_none() {
                        let _ = words.next_if(next_is_value);
                    }
                }
            }
        }
        Ok(arguments)
    }
}

/// Go's `strconv.ParseBool`.
fn parse_bool(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_flags_as_pflag_does() {
        const P: &str = "--protect-kernel-defaults";
        let on = |word: &str| Some(Some((true, word.to_string())));
        let off = |word: &str| Some(Some((false, word.to_string())));
        let cases = [
            (vec![], Some(None)),
            (vec![P], on(P)),
            (
                vec!["--protect-kernel-defaults=true"],
                on("--protect-kernel-defaults=true"),
            ),
            (
                vec!["--protect-kernel-defaults=T"],
                on("--protect-kernel-defaults=T"),
            ),
            (
                vec!["--protect-kernel-defaults=1"],
                on("--protect-kernel-defaults=1"),
            ),
            (
                vec!["--protect_kernel_defaults"],
                on("--protect_kernel_defaults"),
            ),
            (
                vec!["--protect-kernel-defaults=0"],
                off("--protect-kernel-defaults=0"),
            ),
            (
                vec!["--protect-kernel-defaults=False"],
                off("--protect-kernel-defaults=False"),
            ),
            (vec!["--protect-kernel-defaults=yes"], None),
            (vec!["--protect-kernel-defaults="], None),
            (vec![P, "false"], None),
            (
                vec![P, "--protect-kernel-defaults=false"],
                off("--protect-kernel-defaults=false"),
            ),
            (vec!["--protect-kernel-defaults=false", P], on(P)),
            (vec!["--v=4", P], on(P)),
            (vec!["-v=4", P], on(P)),
            (vec!["-v", "4", P], on(P)),
            (vec!["-v4", P], on(P)),
            (vec!["-v", P], Some(None)),
            (vec!["-v"], None),
            (vec!["-x"], None),
            (vec!["-h"], None),
            (vec!["--help"], None),
            (vec!["--version"], None),
            (vec!["--version=false", P], on(P)),
            (vec!["--node-ip", "10.0.0.1", P], on(P)),
            (vec!["--node-ip", P], on(P)),
            (vec!["--kubeconfig=/x", "stray"], None),
            (vec!["stray"], None),
            (vec!["-"], None),
            (vec![""], None),
            (vec!["--"], Some(None)),
            (vec!["--", P], None),
            (vec!["---x"], None),
            (vec!["--=x"], None),
            (vec!["--config", P], Some(None)),
            (vec!["--config"], None),
        ];
        for (words, expected) in cases {
            let mut line = vec![OsString::from("/usr/bin/kubelet")];
            line.extend(words.iter().map(OsString::from));
            let parsed = Arguments::parse(&line).ok().map(|arguments| arguments.flag);
            assert_eq!(parsed, expected, "{words:?}");
        }
    }

    #[test]
    fn the_last_path_counts_and_an_empty_one_is_none() {
        let cases = [
            (vec!["--config=/a"], Some("/a")),
            (vec!["--config", "/a"], Some("/a")),
            (vec!["--config=/a", "--config=b"], Some("b")),
            (vec!["--config=/a", "--config="], None),
            (vec!["--config-dir=/d"], None),
        ];
        for (words, expected) in cases {
            let mut line = vec![OsString::from("kubelet")];
            line.extend(words.iter().map(OsString::from));
            let config = Arguments::parse(&line).unwrap().config;
            assert_eq!(config, expected.map(OsString::from), "{words:?}");
        }
    }
}
