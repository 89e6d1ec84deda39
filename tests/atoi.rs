//! Go itself is the judge of what kubelet reads in a file under /proc/sys.

mod support;

use kubelet_tunables::sysctl::parse;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use support::{Outcome, ask, go_run};

support::tests![reads_as_go_does];

/// Odd ones, each of which someone might take for a number.
const ODD: &[&[u8]] = &[
    b"",
    b" ",
    b"\n",
    b"+",
    b"-",
    b"+-1",
    b"-+1",
    b"--1",
    b"1-",
    b"1+",
    b"0x1",
    b"0X1",
    b"0b1",
    b"0o7",
    b"010",
    b"1_000",
    b"_1",
    b"1e3",
    b"1.0",
    b".1",
    b"1,000",
    b"1 0",
    b"1\n0",
    b"1\t",
    b"\t1",
    b"1\r\n",
    b"1\r",
    b"1\0",
    b"\x001",
    b"1\x0b",
    b"1\x0c",
    b"\xff",
    b"1\xff",
    "\u{a0}1".as_bytes(),
    "\u{2003}1".as_bytes(),
    "\u{661}".as_bytes(),
    "\u{ff11}".as_bytes(),
    b"\xef\xbb\xbf1",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551615",
    b"99999999999999999999",
    b"000000000000000000000000000001",
    b"+0",
    b"-0",
    b"-00",
    b"inf",
    b"NaN",
    b"true",
    b"0\n\n\n",
    b"  0  ",
    b"\n \n1\n \n",
    b"1;",
    b"#1",
    b"'1'",
    b"\"1\"",
    b"1L",
    b"1u",
    b"\x1b[1m1",
];

fn reads_as_go_does() -> Outcome {
    let inputs = inputs();
    assert!(inputs.len() >= 200, "only {} inputs", inputs.len());
    let answers = ask_go(&inputs)?;
    assert_eq!(answers.len(), inputs.len(), "Go's answers");
    let mut differences = String::new();
    for (input, go) in inputs.iter().zip(&answers) {
        let ours = parse(input).map_or("no".to_string(), |value| value.to_string());
        if ours != *go {
            let _ = writeln!(
                differences,
                "\"{}\": Go {go}, we {ours}",
                input.escape_ascii()
            );
        }
    }
    assert!(differences.is_empty(), "{differences}");
    let numbers = answers.iter().filter(|answer| *answer != "no").count();
    println!(
        "{} strings compared with Go, of which {numbers} are numbers",
        inputs.len()
    );
    Ok(())
}

/// The odd ones, and every mixture of something before, a sign, digits and something after.
fn inputs() -> BTreeSet<Vec<u8>> {
    let mut inputs: BTreeSet<Vec<u8>> = ODD.iter().map(|odd| odd.to_vec()).collect();
    for before in ["", " ", "\n", " \n ", "\t"] {
        for sign in ["", "+", "-"] {
            for digits in [
                "0",
                "001",
                "10",
                "1000000",
                "9223372036854775807",
                "9223372036854775808",
            ] {
                for after in ["", "\n", " \n", "\r\n", "\0", "x"] {
                    inputs.insert(format!("{before}{sign}{digits}{after}").into_bytes());
                }
            }
        }
    }
    inputs
}

fn ask_go(inputs: &BTreeSet<Vec<u8>>) -> Result<Vec<String>, String> {
    let mut lines = String::new();
    for input in inputs {
        for byte in input {
            let _ = write!(lines, "{byte:02x}");
        }
        lines.push('\n');
    }
    let output = ask(&mut go_run("tests/atoi.go"), lines.as_bytes())?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    Ok(text.lines().map(str::to_string).collect())
}
