//! Writes a look in Prometheus' text format, for the textfile collector of `node_exporter`.
//!
//! What is not known has no sample, so that no rule takes it for a value. Source: "Exposition formats" and "Metric and label
//! naming" in Prometheus' documentation.

use std::fmt::{Display, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::assessment::{Assessment, NextBoot, TunableStatus};

/// The whole report as a text.
pub(super) fn render(look: &Assessment) -> String {
    let mut text = String::new();
    by_sysctl(
        &mut text,
        look,
        "expected",
        "Value that kubelet needs.",
        |sight| Some(sight.finding.tunable.expected),
    );
    by_sysctl(
        &mut text,
        look,
        "actual",
        "Value now; absent if it cannot be read.",
        |sight| {
            let now = sight.finding.now.as_ref().ok().copied();
            now.filter(|_| look.image.is_none())
        },
    );
    by_sysctl(
        &mut text,
        look,
        "next_boot",
        "Value that the next boot sets; absent if that is not known.",
        |sight| match sight.next {
            NextBoot::Right => Some(sight.finding.tunable.expected),
            NextBoot::Wrong { value, .. } => Some(value),
            NextBoot::Unknown(_) => None,
        },
    );
    let (now, later) = (look.will_start(), look.will_start_after_next_boot());
    single(
        &mut text,
        "kubelet_would_start",
        "Whether kubelet would start with the values as they are now; absent if that is not known.",
        now.map(i64::from),
    );
    single(
        &mut text,
        "kubelet_would_start_after_next_boot",
        "Whether kubelet would start with the values that the next boot sets; absent if that is not known.",
        later.map(i64::from),
    );
    single(
        &mut text,
        "determined",
        "Whether it is known if kubelet would start, both now and after the next boot.",
        Some(i64::from(
            (now.is_some() || look.image.is_some()) && later.is_some(),
        )),
    );
    single(
        &mut text,
        "last_check_timestamp_seconds",
        "Time of this check, in seconds since 1970.",
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .map(|time| time.as_secs()),
    );
    text
}

fn by_sysctl(
    text: &mut String,
    look: &Assessment,
    name: &str,
    help: &str,
    value: impl Fn(&TunableStatus) -> Option<i64>,
) {
    head(text, name, help);
    for sight in &look.sights {
        if let Some(value) = value(sight) {
            let sysctl = sight.finding.tunable.name;
            let _ = writeln!(
                text,
                "kubelet_tunables_{name}{{sysctl=\"{sysctl}\"}} {value}"
            );
        }
    }
}

fn single(text: &mut String, name: &str, help: &str, value: Option<impl Display>) {
    head(text, name, help);
    if let Some(value) = value {
        let _ = writeln!(text, "kubelet_tunables_{name} {value}");
    }
}

fn head(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(
        text,
        "# HELP kubelet_tunables_{name} {help}\n# TYPE kubelet_tunables_{name} gauge"
    );
}
