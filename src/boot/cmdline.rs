//! Owns what the kernel's command line says of a tunable.

/// The value that the command line gives the tunable of the dotted `name`, and the word that does it.
///
/// The kernel applies `panic=` and `oops=panic` early and `sysctl.NAME=VALUE` just before it starts PID 1; of several
/// the last that it understands counts. Source: Documentation/admin-guide/kernel-parameters.txt, `do_sysctl_args` in
/// `fs/proc/proc_sysctl.c`, `next_arg` in `lib/cmdline.c`.
pub fn setting(
    cmdline: &[u8],
    name: &str,
    taken: impl Fn(&[u8]) -> Option<i64>,
) -> Option<(i64, String)> {
    let (mut early, mut late) = (None, None);
    for word in words(cmdline) {
        if word == "--" {
            break;
        }
        let Some((parameter, value)) = word.split_once('=') else {
            continue;
        };
        let value = value.trim_matches('"');
        match (parameter, name) {
            ("panic", "kernel.panic") => {
                // As a parameter, unlike in the file, it may have a `+` and nothing behind the number.
                let number = value.strip_prefix('+').unwrap_or(value);
                if let Some(number) =
                    taken(number.as_bytes()).filter(|_| !number.contains(char::is_whitespace))
                {
                    early = Some((number, word.clone()));
                }
            }
            ("oops", "kernel.panic_on_oops") if value == "panic" => early = Some((1, word.clone())),
            _ => {
                let sysctl = parameter
                    .strip_prefix("sysctl.")
                    .or_else(|| parameter.strip_prefix("sysctl/"));
                if sysctl.is_some_and(|sysctl| sysctl.replace('/', ".") == name)
                    && let Some(number) = taken(value.as_bytes())
                {
                    late = Some((number, word.clone()));
                }
            }
        }
    }
    late.or(early)
}

/// The words of the command line: spaces within double quotes belong to the word, and quotes around it are dropped.
fn words(cmdline: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(cmdline);
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in text.chars() {
        if character == '"' {
            quoted = !quoted;
        }
        if character.is_ascii_whitespace() && !quoted {
            words.push(std::mem::take(&mut word));
        } else {
            word.push(character);
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    for word in &mut words {
        if let Some(bare) = word.strip_prefix('"') {
            *word = bare.strip_suffix('"').unwrap_or(bare).to_string();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::taken;
    use crate::tunable::TUNABLES;

    #[test]
    fn the_last_that_the_kernel_understands_counts() {
        let cases = [
            ("quiet panic=5", 2, Some((5, "panic=5"))),
            ("panic=5 panic=7\n", 2, Some((7, "panic=7"))),
            ("panic=5 panic=x", 2, Some((5, "panic=5"))),
            ("panic=-1", 2, Some((-1, "panic=-1"))),
            ("panic", 2, None),
            ("panic=", 2, None),
            ("xpanic=5", 2, None),
            ("oops=panic", 3, Some((1, "oops=panic"))),
            ("oops=panic", 2, None),
            ("oops=none", 3, None),
            (
                "sysctl.kernel.panic=10",
                2,
                Some((10, "sysctl.kernel.panic=10")),
            ),
            (
                "sysctl/kernel/panic=10",
                2,
                Some((10, "sysctl/kernel/panic=10")),
            ),
            (
                "sysctl.kernel/panic=10",
                2,
                Some((10, "sysctl.kernel/panic=10")),
            ),
            (
                "sysctl.kernel.panic=10 panic=5",
                2,
                Some((10, "sysctl.kernel.panic=10")),
            ),
            (
                "sysctl.kernel.panic_on_oops=0 oops=panic",
                3,
                Some((0, "sysctl.kernel.panic_on_oops=0")),
            ),
            ("sysctl.vm.overcommit_memory=3", 0, None),
            (
                "sysctl.vm.overcommit_memory=1",
                0,
                Some((1, "sysctl.vm.overcommit_memory=1")),
            ),
            ("root=/dev/vda -- panic=5", 2, None),
            ("x=\"a panic=5 b\" quiet", 2, None),
            ("\"panic=5\"", 2, Some((5, "panic=5"))),
            ("panic=\"5\"", 2, Some((5, "panic=\"5\""))),
            ("", 2, None),
        ];
        for (cmdline, row, expected) in cases {
            let tunable = &TUNABLES[row];
            let found = setting(cmdline.as_bytes(), tunable.name, |text| {
                taken(tunable, text)
            });
            let expected = expected.map(|(value, word)| (value, word.to_string()));
            assert_eq!(found, expected, "{cmdline}: {}", tunable.name);
        }
    }
}
