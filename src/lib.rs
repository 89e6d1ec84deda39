//! Checks the six kernel tunables that kubelet insists on, before kubelet starts.
//!
//! The contract of the program `kubelet-tunables`, which runs as `ExecStartPre=` of `kubelet.service`:
//!
//! - It exits 0 when kubelet's own check of its kernel tunables will pass, and non-zero when kubelet would die of it.
//! - Of a tunable that it cannot read or understand it knows nothing, and that is never a pass.
//! - It looks at all six whatever it finds, changes none unless asked to by `--modify`, and writes to no other file.
//! - It says who set a wrong value and what the next boot will do, from the files that systemd reads at boot; that never
//!   changes the exit code.
//! - What it has to say is said on one stream or another; where nobody reads, the exit code still tells.
//!
//! The modules depend on each other in one direction: the program on [`cli`], [`kubelet`], [`check`], [`boot`],
//! [`report`] and [`exit`]; [`report`] on [`check`], [`boot`] and [`exit`]; all on [`tunable`] and [`sysctl`], which know
//! nothing of the others. How files are read and what may never answer is waited for, stands below them all. Logic returns
//! values; only [`report`] speaks.

mod background;
pub mod boot;
pub mod check;
pub mod cli;
pub mod exit;
mod file;
pub mod kubelet;
pub mod report;
pub mod sysctl;
pub mod tunable;
pub mod unit;
