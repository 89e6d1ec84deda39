//! Checks the six kernel tunables that kubelet insists on, before kubelet starts.
//!
//! The contract of the program `kubelet-tunables`, which runs as `ExecStartPre=` of `kubelet.service`:
//!
//! - It exits non-zero exactly when kubelet is known to fail because of its kernel tunables, whatever unit starts kubelet.
//!   What it cannot know never holds kubelet: it is logged, with what is wrong, and kubelet is started.
//! - A tunable that cannot be read or understood is never a pass, since kubelet fails because of it too.
//! - It looks at all six whatever it finds, changes none unless asked to by `--modify`, and writes one other file by
//!   `--persist` only.
//! - It says what set a wrong value and what the next boot will set, from the files that systemd reads at boot. This never
//!   changes the exit code.
//! - In kubelet's unit, waiting for systemd, the journal and standard error ends within two seconds; a file system that does
//!   not answer has no bound. What the journal does not take goes to standard error; where nobody reads, the exit code still
//!   tells.
//!
//! Dependencies run in one direction. [`invocation`] and [`target`] find the command line; [`systemd`], [`kubelet`] and [`boot`]
//! are readers that do not know each other; [`verdict`] decides, [`assessment`] holds the facts as plain data, and only
//! [`report`] makes words of them. [`tunable`] and [`sysctl`] know nothing of kubelet, journals or exits, and [`files`] stands
//! below them all.

pub mod assessment;
pub mod boot;
pub mod cli;
pub mod files;
pub mod invocation;
pub mod kubelet;
pub mod persist;
pub mod report;
pub mod sysctl;
pub mod systemd;
pub mod target;
pub mod tunable;
pub mod verdict;
