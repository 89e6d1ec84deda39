//! Writes an assessment in Prometheus' text format, for the textfile collector of `node_exporter`.
//!
//! What is not known has no sample, so that no rule takes it for a value. Source: "Exposition formats" and "Metric and label
//! naming" in Prometheus' documentation.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::assessment::{Assessment, TunableStatus};

/// The labels of a sample, and its value.
type Sample = (String, i64);

/// Renders the whole report.
pub(super) fn render(assessment: &Assessment) -> String {
    let is_image = assessment.image.is_some();
    let expected = |status: &TunableStatus| Some(status.reading.tunable.expected);
    let actual = |status: &TunableStatus| status.reading.now.as_ref().ok().copied();
    let next_boot = |status: &TunableStatus| status.next_value();
    let now = assessment.will_start();
    let later = assessment.will_start_after_next_boot();
    let is_determined = (now.is_some() || is_image) && later.is_some();
    let time = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let time = time.and_then(|time| i64::try_from(time.as_secs()).ok());
    let mut text = String::new();
    for (name, help, samples) in [
        (
            "expected",
            "Value that kubelet needs.",
            by_sysctl(assessment, expected),
        ),
        (
            "actual",
            "Value now; absent if it cannot be read.",
            by_sysctl(assessment, |status| actual(status).filter(|_| !is_image)),
        ),
        (
            "next_boot",
            "Value that the next boot sets; absent if that is not known.",
            by_sysctl(assessment, next_boot),
        ),
        (
            "kubelet_would_start",
            "Whether kubelet would start with the values as they are now; absent if that is not known.",
            single(now.map(i64::from)),
        ),
        (
            "kubelet_would_start_after_next_boot",
            "Whether kubelet would start with the values that the next boot sets; absent if that is not known.",
            single(later.map(i64::from)),
        ),
        (
            "determined",
            "Whether it is known if kubelet would start, both now and after the next boot.",
            single(Some(is_determined.into())),
        ),
        (
            "last_check_timestamp_seconds",
            "Time of this check, in seconds since 1970.",
            single(time),
        ),
    ] {
        let name = format!("kubelet_tunables_{name}");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    }
    text
}

fn by_sysctl(
    assessment: &Assessment,
    value: impl Fn(&TunableStatus) -> Option<i64>,
) -> Vec<Sample> {
    let sample = |status: &TunableStatus| {
        let labels = format!("{{sysctl=\"{}\"}}", status.reading.tunable.name);
        Some((labels, value(status)?))
    };
    assessment.tunables.iter().filter_map(sample).collect()
}

fn single(value: Option<i64>) -> Vec<Sample> {
    Vec::from_iter(value.map(|value| (String::new(), value)))
}
