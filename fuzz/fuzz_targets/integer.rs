//! The integer rule against Go's `strconv.Atoi(strings.Trim(content, " \n"))`, written down from Go's documentation.
#![no_main]

use kubelet_tunables::sysctl::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    assert_eq!(parse(content), atoi(trim(content)));
});

fn trim(content: &[u8]) -> &[u8] {
    let is_kept = |byte: &u8| *byte != b' ' && *byte != b'\n';
    match content.iter().position(is_kept) {
        Some(first) => {
            let last = content.iter().rposition(is_kept).expect("there is a first");
            &content[first..=last]
        }
        None => &[],
    }
}

fn atoi(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix(b"+").unwrap_or(text)),
    };
    if digits.is_empty() {
        return None;
    }
    let mut magnitude = 0_i128;
    for digit in digits {
        let b'0'..=b'9' = digit else {
            return None;
        };
        // Far above any i64, so that ever more digits do not overflow the model itself.
        magnitude = (magnitude * 10 + i128::from(digit - b'0')).min(1 << 100);
    }
    i64::try_from(sign * magnitude).ok()
}
