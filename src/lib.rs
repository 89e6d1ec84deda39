//! Checks the six kernel tunables that kubelet insists on, before kubelet starts.

pub mod tunable;
