//! Lists the kernel tunables that kubelet insists on, and reads their texts as the kernel does. Knows nothing of options,
//! journals or exits.

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
    /// The behavior of the kernel with that value, and so why kubelet needs it.
    pub reason: &'static str,
}

impl Tunable {
    /// Returns the place of the tunable in the table.
    pub(crate) fn row(&self) -> usize {
        let row = TUNABLES.iter().position(|row| row.name == self.name);
        row.expect("a row of the table")
    }
}

/// Finds the row of the table with this name, written with dots or slashes.
pub fn named(name: &str) -> Option<&'static Tunable> {
    let name = name.replace('/', ".");
    TUNABLES.iter().find(|row| row.name == name)
}

/// Writes a dotted name as the path of a file below /proc/sys.
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
        reason: "allows 1,000,000 keys for root; container runtimes use one per container",
    },
    // RootMaxBytesSetting; default: security/keys/key.c, key_quota_root_maxbytes
    Tunable {
        name: "kernel.keys.root_maxbytes",
        expected: 25_000_000,
        default: 25_000_000,
        reason: "allows 25 bytes per key",
    },
];

/// Reads a text written to the tunable's file as the kernel does; none where the kernel refuses it.
///
/// Source: `proc_get_long` in `kernel/sysctl.c` and the ranges of the tables in `mm/util.c`, `mm/oom_kill.c`,
/// `kernel/panic.c` and `security/keys/sysctl.c`.
pub fn kernel_parse(tunable: &Tunable, text: &[u8]) -> Option<i64> {
    /// Longer ones are refused, leading zeros or not (`TMPBUFLEN`).
    const LONGEST: usize = 20;
    let start = text.iter().position(|&byte| !is_space(byte))?;
    let number = text[start..]
        .split(|byte| matches!(byte, b' ' | b'\t' | b'\n'))
        .next()
        .filter(|number| number.len() <= LONGEST)?;
    let value = match number.strip_prefix(b"-") {
        Some(digits) => -from_any_base(digits)?,
        None => from_any_base(number)?,
    };
    let range = match tunable.name {
        "vm.overcommit_memory" | "vm.panic_on_oom" => 0..=2,
        "kernel.keys.root_maxkeys" | "kernel.keys.root_maxbytes" => 1..=i64::from(i32::MAX),
        _ => i64::from(i32::MIN)..=i64::from(i32::MAX),
    };
    range.contains(&value).then_some(value)
}

/// True if it is one of the kernel's spaces, to which the no-break space of Latin-1 belongs too.
///
/// Source: `isspace` in `lib/ctype.c`.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0)
}

/// Reads an unsigned number as C's `strtoul` does in base 0.
pub(crate) fn from_any_base(digits: &[u8]) -> Option<i64> {
    let (digits, radix) = match digits {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', digits @ ..] if !digits.is_empty() => (digits, 8),
        _ => (digits, 10),
    };
    // Rust would take a sign here.
    digits
        .first()
        .filter(|digit| digit.is_ascii_alphanumeric())?;
    i64::from_str_radix(str::from_utf8(digits).ok()?, radix).ok()
}

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

    #[test]
    fn takes_what_the_kernel_takes() {
        let panic = &TUNABLES[2];
        let overcommit = &TUNABLES[0];
        let maxkeys = &TUNABLES[4];
        let cases: &[(&Tunable, &str, Option<i64>)] = &[
            (panic, "10", Some(10)),
            (panic, " 10 \n", Some(10)),
            (panic, "-1", Some(-1)),
            (panic, "0x0a", Some(10)),
            (panic, "012", Some(10)),
            (panic, "0", Some(0)),
            (panic, "\u{b}10", Some(10)),
            (panic, "00000000000000000010", Some(8)),
            (panic, "000000000000000000010", None),
            (panic, "10 20", Some(10)),
            (panic, "10\t", Some(10)),
            (panic, "10,20", None),
            (panic, "10s", None),
            (panic, "+10", None),
            (panic, "- 1", None),
            (panic, "--1", None),
            (panic, "08", None),
            (panic, "0x", None),
            (panic, "0x-1", None),
            (panic, "", None),
            (panic, "ten", None),
            (panic, "2147483647", Some(2_147_483_647)),
            (panic, "2147483648", None),
            (panic, "-2147483648", Some(-2_147_483_648)),
            (panic, "-2147483649", None),
            (overcommit, "2", Some(2)),
            (overcommit, "3", None),
            (overcommit, "-1", None),
            (maxkeys, "1000000", Some(1_000_000)),
            (maxkeys, "0", None),
            (maxkeys, "-1", None),
        ];
        for (tunable, text, value) in cases {
            assert_eq!(
                kernel_parse(tunable, text.as_bytes()),
                *value,
                "{} \"{text}\"",
                tunable.name
            );
        }
    }
}
