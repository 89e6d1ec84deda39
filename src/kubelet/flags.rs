//! Reads kubelet's command line as Go's pflag does, as far as it decides about protectKernelDefaults.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use memchr::memmem;

use super::gates::Gates;

// The flags of kubelet 1.20 to 1.37. Source: kubernetes' `cmd/kubelet/app/options` and `component-base/logs`.

/// Switches: what stands behind one is not its value.
const SWITCHES: &str = " anonymous-auth authentication-token-webhook cgroups-per-qos \
    contention-profiling cpu-cfs-quota enable-controller-attach-detach enable-debugging-handlers \
    enable-server exit-on-lock-contention experimental-allocatable-ignore-eviction fail-cgroupv1 \
    fail-swap-on help kernel-memcg-notification local-storage-capacity-isolation \
    log-json-split-stream log-text-split-stream make-iptables-util-chains protect-kernel-defaults \
    register-node rotate-certificates rotate-server-certificates seccomp-default \
    serialize-image-pulls ";
/// Switches that newer kubelets no longer have.
const SWITCHES_GONE: &str = " enable-cadvisor-json-endpoints \
    experimental-check-node-capabilities-before-mount experimental-kernel-memcg-notification \
    experimental-logging-sanitization keep-terminated-pod-volumes really-crash-for-testing \
    redirect-container-streaming register-schedulable runonce ";
/// The same of the libraries in it.
const LIBRARY_SWITCHES_GONE: &str = " add-dir-header alsologtostderr docker-only docker-tls \
    enable-load-reader log-cadvisor-usage logtostderr one-output skip-headers skip-log-headers \
    storage-driver-secure ";
/// Flags whose value may be any text, even one that looks like a flag.
const TEXTS: &str = " allowed-unsafe-sysctls authorization-mode bootstrap-kubeconfig cert-dir \
    cgroup-driver cgroup-root client-ca-file cloud-provider cluster-dns cluster-domain config \
    config-dir container-log-max-size container-runtime-endpoint cpu-manager-policy \
    cpu-manager-policy-options enforce-node-allocatable eviction-hard eviction-minimum-reclaim \
    eviction-soft eviction-soft-grace-period experimental-mounter-path feature-gates hairpin-mode \
    hostname-override image-credential-provider-bin-dir image-credential-provider-config \
    image-service-endpoint kube-api-content-type kube-reserved kube-reserved-cgroup kubeconfig \
    kubelet-cgroups lock-file logging-format manifest-url manifest-url-header \
    memory-manager-policy node-ip node-labels pod-cidr pod-manifest-path provider-id qos-reserved \
    reserved-cpus resolv-conf root-dir runtime-cgroups system-cgroups system-reserved \
    system-reserved-cgroup tls-cert-file tls-cipher-suites tls-min-version tls-private-key-file \
    topology-manager-policy topology-manager-policy-options topology-manager-scope v vmodule \
    volume-plugin-dir ";
/// The same that newer kubelets no longer have.
const TEXTS_GONE: &str = " azure-container-registry-config boot-id-file cloud-config cni-bin-dir \
    cni-cache-dir cni-conf-dir container-hints container-runtime containerd containerd-namespace \
    docker docker-endpoint docker-env-metadata-whitelist docker-root docker-tls-ca \
    docker-tls-cert docker-tls-key dynamic-config-dir event-storage-age-limit \
    event-storage-event-limit experimental-bootstrap-kubeconfig \
    experimental-dockershim-root-directory log-dir log-file machine-id-file \
    master-service-namespace network-plugin non-masquerade-cidr pod-infra-container-image \
    seccomp-profile-root storage-driver-db storage-driver-host storage-driver-password \
    storage-driver-table storage-driver-user ";
/// Flags whose value is a number, a duration or the like.
const OTHERS: &str = " address authentication-token-webhook-cache-ttl \
    authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl \
    container-log-max-files cpu-cfs-quota-period cpu-manager-reconcile-period event-burst \
    event-qps eviction-max-pod-grace-period eviction-pressure-transition-period \
    file-check-frequency healthz-bind-address healthz-port housekeeping-interval \
    http-check-frequency image-gc-high-threshold image-gc-low-threshold kube-api-burst \
    kube-api-qps log-flush-frequency log-json-info-buffer-size log-text-info-buffer-size \
    max-open-files max-pods maximum-dead-containers maximum-dead-containers-per-container \
    minimum-container-ttl-duration minimum-image-ttl-duration node-status-max-images \
    node-status-update-frequency oom-score-adj pod-max-pids pods-per-core port read-only-port \
    register-with-taints registry-burst registry-qps reserved-memory runtime-request-timeout \
    streaming-connection-idle-timeout sync-frequency volume-stats-agg-period ";

/// What the command line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// The last `--config`, unless it is empty.
    pub config: Option<OsString>,
    /// The last `--config-dir`, unless it is empty.
    pub config_dir: Option<OsString>,
    /// The flags that beat all files.
    pub flags: Flags,
    /// The flags that files beat: what kubelet finds when it reads its words for the first time.
    pub initial: Flags,
    /// The first word that not every version of kubelet takes.
    pub may_refuse: Option<String>,
    /// The word `--dynamic-config-dir`, unless it is empty: a kubelet up to 1.23 may go by a file that is kept there.
    pub dynamic: Option<String>,
    /// The word `--runonce`: a kubelet that has it never looks at its tunables.
    pub run_once: Option<String>,
}

/// The flags that files have keys for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// The last `--protect-kernel-defaults` and the word it stood in.
    pub protect: Option<(bool, String)>,
    /// The gates of all `--feature-gates`.
    pub gates: Gates,
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
            // The file takes the place of what was read; the gates are set already.
            initial.protect = None;
        }
        Ok(Self { initial, ..first })
    }

    fn read(words: &[OsString], reading: Reading) -> Result<Self, String> {
        let mut arguments = Self::default();
        let (mut help, mut version) = (false, false);
        let mut words = words.iter().map(|word| word.as_bytes()).peekable();
        while let Some(word) = words.next() {
            let shown = || String::from_utf8_lossy(word).into_owned();
            let Some(flag) = word.strip_prefix(b"-").filter(|flag| !flag.is_empty()) else {
                if reading == Reading::First {
                    return Err(format!("unknown command \"{}\"", shown()));
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
                _ => return Err(format!("unknown shorthand flag in \"{}\"", shown())),
            };
            let (name, value) = match long.iter().position(|&byte| byte == b'=') {
                Some(at) => (&long[..at], Some(&long[at + 1..])),
                None => (long, None),
            };
            if matches!(name.first(), None | Some(b'-')) {
                return Err(format!("bad flag syntax: {}", shown()));
            }
            let name: Vec<u8> = name
                .iter()
                .map(|&byte| if byte == b'_' { b'-' } else { byte })
                .collect();
            let (takes, in_all) = FlagArgument::of(&name, reading);
            if !in_all {
                arguments.may_refuse.get_or_insert_with(shown);
            }
            let value = match value {
                Some(value) => Some(value),
                None => match takes {
                    FlagArgument::Nothing => Some(&b"true"[..]),
                    FlagArgument::NoFlag => words.next_if(|next| !looks_like_a_flag(next)),
                    FlagArgument::Any => match words.next() {
                        Some(next) => Some(next),
                        None => return Err(format!("{} needs an argument", shown())),
                    },
                },
            };
            let boolean = || {
                let value = value.and_then(parse_bool);
                value.ok_or_else(|| format!("invalid boolean in {}", shown()))
            };
            let path = || value.filter(|path| !path.is_empty()).map(os_string);
            match (name.as_slice(), reading) {
                (b"protect-kernel-defaults", _) => {
                    arguments.flags.protect = Some((boolean()?, shown()));
                }
                (b"feature-gates", _) => {
                    let value = String::from_utf8_lossy(value.unwrap_or_default());
                    match arguments.flags.gates.read(&value) {
                        Err(part) => return Err(format!("invalid feature gate \"{part}\"")),
                        Ok(Some(_)) => drop(arguments.may_refuse.get_or_insert_with(shown)),
                        Ok(None) => {}
                    }
                }
                (b"config", _) => arguments.config = path(),
                (b"config-dir", _) => arguments.config_dir = path(),
                (b"dynamic-config-dir", _) => arguments.dynamic = path().map(|_| shown()),
                (b"runonce", _) => arguments.run_once = boolean()?.then(shown),
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

/// What a flag takes that has no `=`.
enum FlagArgument {
    Nothing,
    /// The next word, whatever it is.
    Any,
    /// The next word unless it looks like a flag, which is no value for a number or the like, and may stand behind a switch
    /// that is not known here.
    NoFlag,
}

impl FlagArgument {
    /// What the flag takes, and whether newer kubelets still have it.
    fn of(name: &[u8], reading: Reading) -> (Self, bool) {
        let word = [b" ", name, b" "].concat();
        let finder = memmem::Finder::new(&word);
        let is_in = |list: &str| finder.find(list.as_bytes()).is_some();
        let of_a_library = || match reading {
            Reading::First => Self::Nothing,
            Reading::Second => Self::Any,
        };
        match name {
            b"version" => (of_a_library(), true),
            _ if is_in(TEXTS) => (Self::Any, true),
            _ if is_in(TEXTS_GONE) => (Self::Any, false),
            _ if is_in(SWITCHES) => (Self::Nothing, true),
            _ if is_in(SWITCHES_GONE) => (Self::Nothing, false),
            _ if is_in(LIBRARY_SWITCHES_GONE) => (of_a_library(), false),
            _ => (Self::NoFlag, is_in(OTHERS)),
        }
    }
}

fn looks_like_a_flag(word: &[u8]) -> bool {
    matches!(word, [b'-', next, ..] if !next.is_ascii_digit() && *next != b'.')
}

fn os_string(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

/// Go's `strconv.ParseBool`.
pub(super) fn parse_bool(text: &[u8]) -> Option<bool> {
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
        let protect = Some((true, P.to_string()));
        assert_eq!(parsed(&words).initial.protect, protect);
        assert_eq!(
            parsed(&[&words[..], &["--config=/c"]].concat())
                .initial
                .protect,
            None
        );
        assert_eq!(parsed(&[P]).initial, Flags::default());
        let gates = [
            "--enable-load-reader",
            "--feature-gates=AllAlpha=true",
            "--config=/c",
        ];
        assert_eq!(parsed(&gates).flags.gates.in_user_namespace(), None);
        assert_eq!(parsed(&gates).initial.gates.in_user_namespace(), Some(true));
    }

    #[test]
    fn finds_words_that_depend_on_the_version() {
        for (words, expected) in [
            (
                &[
                    "--max-pods=5",
                    "--node-ip",
                    "10.0.0.1",
                    "-v=4",
                    "--version=false",
                ][..],
                None,
            ),
            (
                &[
                    "--config=/c",
                    "--feature-gates=AllAlpha=true,KubeletInUserNamespace=false",
                ],
                None,
            ),
            (
                &["--max-pods=5", "--network-plugin=cni", "--runonce"],
                Some("--network-plugin=cni"),
            ),
            (
                &["--container-runtime", "remote"],
                Some("--container-runtime"),
            ),
            (&["--runonce"], Some("--runonce")),
            (&["--alsologtostderr=true"], Some("--alsologtostderr=true")),
            (&["--no_such_flag"], Some("--no_such_flag")),
            (
                &["--feature-gates=AllAlpha=true,X=true"],
                Some("--feature-gates=AllAlpha=true,X=true"),
            ),
        ] {
            let word = parsed(words).may_refuse;
            assert_eq!(word.as_deref(), expected, "{words:?}");
        }
    }

    #[test]
    fn gates_are_read_as_kubelet_does() {
        let gate = |words: &[&str]| parsed(words).flags.gates.in_user_namespace();
        let on = "--feature-gates=KubeletInUserNamespace=true";
        assert_eq!(gate(&[on]), Some(true));
        assert_eq!(
            gate(&[on, "--feature-gates", "KubeletInUserNamespace=false"]),
            Some(false)
        );
        assert_eq!(gate(&[on, "--feature_gates="]), Some(true));
        for value in ["X", "X=yes", "X=true,=", "X="] {
            let line = ["kubelet", "--feature-gates", value].map(OsString::from);
            assert!(Arguments::parse(&line).is_err(), "{value}");
        }
    }
}
