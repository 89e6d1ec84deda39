//! Lists the kernel tunables that kubelet insists on. Knows nothing of options, journals or exits.

/// A kernel tunable and the value that kubelet insists on.
///
/// Source of the table: `setupKernelTunables` in kubernetes' `pkg/kubelet/cm/container_manager_linux.go`, with the
/// constants of `k8s.io/component-helpers/node/util/sysctl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunable {
    /// Dotted sysctl name, as `sysctl(8)` spells it.
    pub name: &'static str,
    /// The value that kubelet needs. It compares for equality: a higher value fails too.
    pub expected: i64,
    /// The default of a mainline kernel built without options that change it.
    pub default: i64,
    /// What the value makes the kernel do, and so why kubelet wants it.
    pub reason: &'static str,
}

/// The row of the table with this name, written with dots or slashes.
pub fn named(name: &str) -> Option<&'static Tunable> {
    TUNABLES
        .iter()
        .find(|tunable| tunable.name == name.replace('/', "."))
}

/// A dotted name as the path of a file below /proc/sys.
pub fn slashed(name: &str) -> impl Iterator<Item = u8> {
    let dot_to_slash = |byte| if byte == b'.' { b'/' } else { byte };
    name.bytes().map(dot_to_slash)
}

/// Kubelet's six, in the order in which everything of ours names them.
pub const TUNABLES: [Tunable; 6] = [
    // VMOvercommitMemoryAlways; default: mm/util.c, sysctl_overcommit_memory = OVERCOMMIT_GUESS
    Tunable {
        name: "vm.overcommit_memory",
        expected: 1,
        default: 0,
        reason: "the kernel always overcommits memory",
    },
    // VMPanicOnOOMInvokeOOMKiller; default: mm/oom_kill.c, sysctl_panic_on_oom
    Tunable {
        name: "vm.panic_on_oom",
        expected: 0,
        default: 0,
        reason: "the OOM killer runs instead of a panic",
    },
    // KernelPanicRebootTimeout, in seconds; default: kernel/panic.c, panic_timeout = CONFIG_PANIC_TIMEOUT
    Tunable {
        name: "kernel.panic",
        expected: 10,
        default: 0,
        reason: "the machine reboots 10 s after a panic",
    },
    // KernelPanicOnOopsAlways; default: kernel/panic.c, panic_on_oops = IS_ENABLED(CONFIG_PANIC_ON_OOPS)
    Tunable {
        name: "kernel.panic_on_oops",
        expected: 1,
        default: 0,
        reason: "an oops causes a panic, and so a reboot",
    },
    // RootMaxKeysSetting; default: security/keys/key.c, key_quota_root_maxkeys
    Tunable {
        name: "kernel.keys.root_maxkeys",
        expected: 1_000_000,
        default: 1_000_000,
        reason: "a container runtime takes a key for each container",
    },
    // RootMaxBytesSetting; default: security/keys/key.c, key_quota_root_maxbytes
    Tunable {
        name: "kernel.keys.root_maxbytes",
        expected: 25_000_000,
        default: 25_000_000,
        reason: "25 bytes for each of these keys",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_kubelets_table_in_the_fixed_order() {
        let rows = TUNABLES.map(|tunable| (tunable.name, tunable.expected));
        assert_eq!(
            rows,
            [
                ("vm.overcommit_memory", 1),
                ("vm.panic_on_oom", 0),
                ("kernel.panic", 10),
                ("kernel.panic_on_oops", 1),
                ("kernel.keys.root_maxkeys", 1_000_000),
                ("kernel.keys.root_maxbytes", 25_000_000),
            ]
        );
    }

    #[test]
    fn a_mainline_kernel_has_three_of_the_six_right() {
        let right = TUNABLES.iter().filter(|t| t.default == t.expected).count();
        assert_eq!(right, 3);
    }
}
