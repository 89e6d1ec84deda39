//! Reads kubelet's command line as Go's pflag does, as far as it decides about protectKernelDefaults.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use memchr::memmem;

use super::config::Settings;
use super::value::{IN_USER_NAMESPACE, SetBy, parse_bool};

// The flags of kubelet 1.20 to 1.37, those dropped meanwhile too. Any other flag takes a number, a duration or the like, or
// is of a version that is not known here. Source: kubernetes' `cmd/kubelet/app/options` and `component-base/logs`.

/// Switches: what stands behind one is not its value.
const SWITCHES: &str = " \
    anonymous-auth authentication-token-webhook cgroups-per-qos contention-profiling cpu-cfs-quota \
    enable-cadvisor-json-endpoints enable-controller-attach-detach enable-debugging-handlers \
    enable-server exit-on-lock-contention experimental-allocatable-ignore-eviction \
    experimental-check-node-capabilities-before-mount experimental-kernel-memcg-notification \
    experimental-logging-sanitization fail-cgroupv1 fail-swap-on help keep-terminated-pod-volumes \
    kernel-memcg-notification local-storage-capacity-isolation log-json-split-stream \
    log-text-split-stream make-iptables-util-chains protect-kernel-defaults \
    really-crash-for-testing redirect-container-streaming register-node register-schedulable \
    rotate-certificates rotate-server-certificates runonce seccomp-default serialize-image-pulls ";
/// Switches of klog, cAdvisor and the like, which kubelet's second reading does not know as such.
const LIBRARY_SWITCHES: &str = " \
    add-dir-header alsologtostderr docker-only docker-tls enable-load-reader log-cadvisor-usage \
    logtostderr one-output skip-headers skip-log-headers storage-driver-secure version ";
/// Flags whose value may be any text, even one that looks like a flag.
const TEXTS: &str = " \
    allowed-unsafe-sysctls authorization-mode azure-container-registry-config boot-id-file \
    bootstrap-kubeconfig cert-dir cgroup-driver cgroup-root client-ca-file cloud-config \
    cloud-provider cluster-dns cluster-domain cni-bin-dir cni-cache-dir cni-conf-dir config \
    config-dir container-hints container-log-max-size container-runtime container-runtime-endpoint \
    containerd containerd-namespace cpu-manager-policy cpu-manager-policy-options docker \
    docker-endpoint docker-env-metadata-whitelist docker-root docker-tls-ca docker-tls-cert \
    docker-tls-key dynamic-config-dir enforce-node-allocatable event-storage-age-limit \
    event-storage-event-limit eviction-hard eviction-minimum-reclaim eviction-soft \
    eviction-soft-grace-period experimental-bootstrap-kubeconfig \
    experimental-dockershim-root-directory experimental-mounter-path feature-gates hairpin-mode \
    hostname-override image-credential-provider-bin-dir image-credential-provider-config \
    image-service-endpoint kube-api-content-type kube-reserved kube-reserved-cgroup kubeconfig \
    kubelet-cgroups lock-file log-dir log-file logging-format machine-id-file manifest-url \
    manifest-url-header master-service-namespace memory-manager-policy network-plugin node-ip \
    node-labels non-masquerade-cidr pod-cidr pod-infra-container-image pod-manifest-path \
    provider-id qos-reserved reserved-cpus resolv-conf root-dir runtime-cgroups \
    seccomp-profile-root storage-driver-db storage-driver-host storage-driver-password \
    storage-driver-table storage-driver-user system-cgroups system-reserved system-reserved-cgroup \
    tls-cert-file tls-cipher-suites tls-min-version tls-private-key-file topology-manager-policy \
    topology-manager-policy-options topology-manager-scope v vmodule volume-plugin-dir ";

/// The flags of a command line that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// The last `--config`, unless it is empty.
    pub config: Option<OsString>,
    /// The last `--config-dir`, unless it is empty.
    pub config_dir: Option<OsString>,
    /// The flags that beat all files.
    pub flags: Settings,
    /// The flags that files beat: what kubelet finds when it reads its words for the first time.
    pub initial: Settings,
    /// The word `--dynamic-config-dir`, unless it is empty: a kubelet up to 1.23 may go by a file that is kept there.
    pub dynamic: Option<String>,
    /// The word `--runonce`: a kubelet that has it never looks at its tunables.
    pub run_once: Option<String>,
}

/// Kubelet reads its words twice when there is a file or a folder: the second time for the flags that beat it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    First,
    /// The switches of the libraries stand for nothing here and want a value, stray words do not matter, and there is
    /// no help. Source: `kubeletConfigFlagPrecedence` in kubernetes' `cmd/kubelet/app/server.go`.
    Second,
}

impl Arguments {
    /// Reads the words after the program.
    ///
    /// # Errors
    ///
    /// Says why kubelet will not take them.
    pub fn parse(command_line: &[OsString]) -> Result<Self, String> {
        let words = command_line.get(1..).unwrap_or_default();
        let mut first = Self::read(words, Reading::First)?;
        if first.config.is_none() && first.config_dir.is_none() {
            return Ok(first);
        }
        let flags = Self::read(words, Reading::Second)?.flags;
        let mut initial = std::mem::replace(&mut first.flags, flags);
        if first.config.is_some() {
            // The file replaces what was read; the gates are set already.
            initial.protect = None;
        }
        Ok(Self { initial, ..first })
    }

    fn read(words: &[OsString], reading: Reading) -> Result<Self, String> {
        let mut arguments = Self::default();
        let (mut help, mut version) = (false, false);
        let mut words = words.iter().map(|word| word.as_bytes()).peekable();
        while let Some(word) = words.next() {
            let shown = String::from_utf8_lossy(word);
            let Some(flag) = word.strip_prefix(b"-").filter(|flag| !flag.is_empty()) else {
                if reading == Reading::First {
                    return Err(format!("unknown command \"{shown}\""));
                }
                continue;
            };
            let long = match flag {
                b"-" if reading == Reading::First && words.peek().is_some() => {
                    return Err("unknown command behind --".to_string());
                }
                b"-" => break,
                [b'-', long @ ..] => long,
                b"h" => b"help",
                [b'h', b'=', _, ..] => &[b"help", &flag[1..]].concat(),
                b"v" => b"v",
                [b'v', ..] => continue,
                // Source: `parseSingleShortArg` in pflag.
                _ if flag.starts_with(b"test.") => continue,
                _ => return Err(format!("unknown shorthand flag in \"{shown}\"")),
            };
            let mut parts = long.splitn(2, |&byte| byte == b'=');
            let name = parts.next().unwrap_or_default();
            if matches!(name.first(), None | Some(b'-')) {
                return Err(format!("bad flag syntax: {shown}"));
            }
            let dashed = |&byte| if byte == b'_' { b'-' } else { byte };
            let name: Vec<u8> = name.iter().map(dashed).collect();
            let is_in = |list: &str| {
                let name = [b" ", name.as_slice(), b" "].concat();
                memmem::find(list.as_bytes(), &name).is_some()
            };
            let value = match parts.next() {
                Some(value) => Some(value),
                None if is_in(TEXTS) || reading == Reading::Second && is_in(LIBRARY_SWITCHES) => {
                    let next = words.next();
                    Some(next.ok_or_else(|| format!("{shown} needs an argument"))?)
                }
                None if is_in(SWITCHES) || is_in(LIBRARY_SWITCHES) => Some(&b"true"[..]),
                // What looks like a flag is no value for a number or the like, and may stand behind a switch that is not
                // known here.
                None => words.next_if(|next| !looks_like_a_flag(next)),
            };
            let boolean = || {
                let value = value.and_then(parse_bool);
                value.ok_or_else(|| format!("invalid boolean in {shown}"))
            };
            let path = || {
                let value = value.filter(|value| !value.is_empty());
                value.map(|value| OsStr::from_bytes(value).to_os_string())
            };
            match (name.as_slice(), reading) {
                (b"protect-kernel-defaults", _) => {
                    arguments.flags.protect = Some((boolean()?, SetBy::Flag(shown.to_string())));
                }
                (b"feature-gates", _) => {
                    let value = String::from_utf8_lossy(value.unwrap_or_default());
                    let gate = in_user_namespace(&value)
                        .map_err(|part| format!("invalid feature gate \"{part}\""))?;
                    arguments.flags.in_user_namespace = gate.or(arguments.flags.in_user_namespace);
                }
                (b"config", _) => arguments.config = path(),
                (b"config-dir", _) => arguments.config_dir = path(),
                (b"dynamic-config-dir", _) => arguments.dynamic = path().map(|_| shown.to_string()),
                (b"runonce", _) => arguments.run_once = boolean()?.then(|| shown.to_string()),
                (b"help", Reading::First) => help = boolean()?,
                (b"help", Reading::Second) => return Err("it prints its help".to_string()),
                (b"version", Reading::First) => {
                    version = match value {
                        Some(b"raw") => true,
                        // So a newer kubelet learns which version it has to report.
                        Some([b'v', ..]) => false,
                        _ => boolean()?,
                    };
                }
                _ => {}
            }
        }
        match (help, version) {
            (true, _) => Err("it prints its help".to_string()),
            (_, true) => Err("it prints its version".to_string()),
            _ => Ok(arguments),
        }
    }
}

/// Reads a value of `--feature-gates`, such as `A=true,B=false`, and returns the setting of `KubeletInUserNamespace`.
///
/// Source: `MapStringBool` in `k8s.io/component-base/cli/flag`.
///
/// # Errors
///
/// Returns the part that kubelet does not take.
fn in_user_namespace(value: &str) -> Result<Option<bool>, &str> {
    let mut set = None;
    for part in value.split(',').filter(|part| !part.is_empty()) {
        let (name, on) = part.split_once('=').ok_or(part)?;
        let on = parse_bool(on.trim().as_bytes()).ok_or(part)?;
        if name.trim() == IN_USER_NAMESPACE {
            set = Some(on);
        }
    }
    Ok(set)
}

fn looks_like_a_flag(word: &[u8]) -> bool {
    matches!(word, [b'-', next, ..] if !next.is_ascii_digit() && *next != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_flags_as_pflag_does() {
        const P: &str = "--protect-kernel-defaults";
        let on = |word: &str| Some(Some((true, SetBy::Flag(word.to_string()))));
        let off = |word: &str| Some(Some((false, SetBy::Flag(word.to_string()))));
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
            (vec!["--node-ip", P], Some(None)),
            (vec!["--node-ip"], None),
            (vec!["--oom-score-adj", "-999", P], on(P)),
            (vec!["--of-another-version", P], on(P)),
            (vec!["--of-another-version", "x", P], on(P)),
            (vec!["--fail-swap-on", P], on(P)),
            (vec!["--fail-swap-on", "false", P], None),
            (vec!["--alsologtostderr", P], on(P)),
            (vec!["--alsologtostderr", P, "--config=/c"], Some(None)),
            (vec!["--alsologtostderr=true", P, "--config=/c"], on(P)),
            (vec![P, "--config=/c", "--alsologtostderr"], None),
            (
                vec!["--alsologtostderr", "--v", "4", P, "--config=/c"],
                on(P),
            ),
            (vec!["--version=false", P, "--config-dir=/d"], on(P)),
            (
                vec!["--enable-load-reader", P, "--config-dir=/d"],
                Some(None),
            ),
            (vec!["--fail-cgroupv1", P], on(P)),
            (vec!["--help=false", P], on(P)),
            (vec!["--help", "-h=false", P], on(P)),
            (vec!["-h", "--help=false", P], on(P)),
            (vec!["--help=false", P, "--config=/c"], None),
            (vec!["-hv"], None),
            (vec!["--version", "--version=false", P], on(P)),
            (vec!["--version=raw"], None),
            (vec!["--version=raw", "--version=false", P], on(P)),
            (vec!["--version=v1.36.0", P], on(P)),
            (vec!["--version=no", P], None),
            (vec!["--kubeconfig=/x", "stray"], None),
            (vec!["stray"], None),
            (vec!["-"], None),
            (vec![""], None),
            (vec!["--"], Some(None)),
            (vec!["--", P], None),
            (vec!["---x"], None),
            (vec!["--config", P], Some(None)),
            (vec!["--config=/c", "--", P], None),
            (vec!["--=x"], None),
            (vec!["--config"], None),
        ];
        for (words, expected) in cases {
            let mut line = vec![OsString::from("/usr/bin/kubelet")];
            line.extend(words.iter().map(OsString::from));
            let parsed = Arguments::parse(&line);
            let parsed = parsed.ok().map(|arguments| arguments.flags.protect);
            assert_eq!(parsed, expected, "{words:?}");
        }
    }

    #[test]
    fn the_last_path_counts_and_an_empty_one_is_none() {
        let cases = [
            (vec!["--config=/a"], (Some("/a"), None)),
            (vec!["--config", "/a"], (Some("/a"), None)),
            (vec!["--config=/a", "--config=b"], (Some("b"), None)),
            (vec!["--config=/a", "--config="], (None, None)),
            (vec!["--config-dir=/d"], (None, Some("/d"))),
            (
                vec!["--config-dir=/d", "--config_dir", "e"],
                (None, Some("e")),
            ),
            (vec!["--config-dir=/d", "--config-dir="], (None, None)),
        ];
        for (words, (config, config_dir)) in cases {
            let mut line = vec![OsString::from("kubelet")];
            line.extend(words.iter().map(OsString::from));
            let arguments = Arguments::parse(&line).unwrap();
            assert_eq!(arguments.config, config.map(OsString::from), "{words:?}");
            assert_eq!(
                arguments.config_dir,
                config_dir.map(OsString::from),
                "{words:?}"
            );
        }
    }

    fn parsed(words: &[&str]) -> Arguments {
        let line: Vec<OsString> = [&["kubelet"], words]
            .concat()
            .iter()
            .map(OsString::from)
            .collect();
        Arguments::parse(&line).unwrap()
    }

    #[test]
    fn a_folder_alone_leaves_what_the_first_reading_found() {
        const P: &str = "--protect-kernel-defaults";
        let words = ["--enable-load-reader", P, "--config-dir=/d"];
        let protect = Some((true, SetBy::Flag(P.to_string())));
        assert_eq!(parsed(&words).initial.protect, protect);
        assert_eq!(
            parsed(&[&words[..], &["--config=/c"]].concat())
                .initial
                .protect,
            None
        );
        assert_eq!(parsed(&[P]).initial, Settings::default());
        let gates = [
            "--enable-load-reader",
            "--feature-gates=KubeletInUserNamespace=true",
            "--config=/c",
        ];
        assert_eq!(parsed(&gates).flags.in_user_namespace, None);
        assert_eq!(parsed(&gates).initial.in_user_namespace, Some(true));
    }

    #[test]
    fn passes_over_flags_of_go_test() {
        const P: &str = "--protect-kernel-defaults";
        for words in [["-test.v", P], [P, "-test.run=x"], ["-test.", P]] {
            for more in [&[][..], &["--config=/c"]] {
                let protect = parsed(&[&words[..], more].concat()).flags.protect;
                assert_eq!(
                    protect,
                    Some((true, SetBy::Flag(P.to_string()))),
                    "{words:?} {more:?}"
                );
            }
        }
        let line = ["kubelet", "-test"].map(OsString::from);
        assert!(Arguments::parse(&line).is_err());
    }

    #[test]
    fn gates_are_read_as_kubelet_does() {
        let gate = |words: &[&str]| parsed(words).flags.in_user_namespace;
        let on = "--feature-gates=KubeletInUserNamespace=true";
        assert_eq!(gate(&[on]), Some(true));
        assert_eq!(
            gate(&[on, "--feature-gates", "KubeletInUserNamespace=false"]),
            Some(false)
        );
        assert_eq!(gate(&[on, "--feature_gates="]), Some(true));
        assert_eq!(gate(&[on, "--feature-gates=AllBeta=false"]), Some(true));
        for (value, expected) in [
            ("", None),
            (" KubeletInUserNamespace = T ,", Some(true)),
            (
                "KubeletInUserNamespace=true,KubeletInUserNamespace=0",
                Some(false),
            ),
            ("AllAlpha=true,X=0", None),
            ("kubeletInUserNamespace=true", None),
        ] {
            assert_eq!(gate(&["--feature-gates", value]), expected, "{value}");
        }
        for value in ["X", "X=yes", "X=true,=", "X=", "X=true=false"] {
            let line = ["kubelet", "--feature-gates", value].map(OsString::from);
            assert!(Arguments::parse(&line).is_err(), "{value}");
        }
    }
}
