//! Wires arguments, verdict, report and exit code.

fn main() {}
