//! Finds the kernel that an image will boot: the newest that it has, by the order of versions.

use std::path::Path;

use rustix::io::Errno;
use uapi_version::Version;

use super::{Boot, ReadError, unread};
use crate::files::root::Root;

/// Before the release in the name of a kernel in /boot: Debian's and Fedora's, SUSE's on arm64 and on s390x.
const KERNELS: [&str; 4] = ["vmlinuz-", "vmlinux-", "Image-", "image-"];
/// The folder in which each kernel has one; Fedora has the kernel itself in it too, as `vmlinuz`.
const MODULES: &str = "lib/modules";
/// Behind the names of files that no boot loader takes for a kernel. Source: `grub_file_is_not_garbage` in GRUB's
/// `grub-mkconfig_lib`; `.old` is what the kernel's own `make install` leaves.
const LEFT_OVER: [&str; 6] = ["~", ".old", ".bak", ".rpmsave", ".rpmnew", ".hmac"];

/// The kernel that an image will boot. A missing file is assumed to be mainline's, or empty.
#[derive(Debug)]
pub struct ImageKernel<'a> {
    /// The release of the kernel, the newest in the image.
    pub kernel: Result<Option<&'a str>, &'a ReadError>,
    /// The file with the kernel's configuration.
    pub config: Option<&'a Path>,
    /// The file with the kernel's command line.
    pub cmdline: Result<Option<&'a Path>, &'a ReadError>,
}

impl Boot {
    /// Returns what is known of the kernel that an image boots.
    pub fn image_kernel(&self) -> ImageKernel<'_> {
        let kernel = self.kernel_config().as_ref();
        let command_line = self.command_line().as_ref();
        ImageKernel {
            kernel: kernel.map(|kernel| kernel.release.as_deref()),
            config: kernel.ok().and_then(|kernel| kernel.path.as_deref()),
            cmdline: command_line.map(|command_line| command_line.path.as_deref()),
        }
    }
}

/// Finds the release of the newest kernel; where there is no kernel at all, that of the newest modules or configuration.
pub(super) fn newest(root: &Root) -> Result<Option<String>, ReadError> {
    let boot = names(root, "boot")?;
    let modules = names(root, MODULES)?;
    let has_kernel = |release: &&String| {
        let kernel = format!("{MODULES}/{release}/vmlinuz");
        root.lstat(kernel).is_ok()
    };
    let kernels = boot
        .iter()
        .filter_map(|name| KERNELS.iter().find_map(|start| name.strip_prefix(start)))
        .chain(modules.iter().filter(has_kernel).map(String::as_str));
    let traces = boot
        .iter()
        .filter_map(|name| name.strip_prefix("config-"))
        .chain(modules.iter().map(String::as_str));
    Ok(last(kernels).or_else(|| last(traces)))
}

fn last<'a>(releases: impl Iterator<Item = &'a str>) -> Option<String> {
    releases
        .filter(|release| {
            !release.contains(".dpkg-") && !LEFT_OVER.iter().any(|end| release.ends_with(end))
        })
        .max_by_key(|release| version(release))
        .map(str::to_string)
}

/// Lists the names in a folder; none where it is missing.
fn names(root: &Root, folder: &str) -> Result<Vec<String>, ReadError> {
    let list = || -> Result<Vec<String>, Errno> {
        let entries = match root.list(Path::new(folder)) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
            entries => entries?,
        };
        // A release is of ASCII.
        entries
            .filter_map(|entry| entry.map(|(name, _)| name.into_string().ok()).transpose())
            .collect()
    };
    list().map_err(unread(format!("/{folder}")))
}

/// Returns the version of a release, by which it is ordered. A kernel calls its candidates `-rc1`, which would be newer than
/// the release itself.
///
/// Source: the UAPI Group's Version Format Specification, which systemd-boot and kernel-install go by.
fn version(release: &str) -> Version {
    Version::from(release.replace("-rc", "~rc"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    /// Each is newer than the one before it.
    const IN_ORDER: [&[&str]; 6] = [
        &[
            "5.10.0-9-amd64",
            "5.10.0-28-amd64",
            "6.1.0-rc3-amd64",
            "6.1.0-9-cloud-amd64",
            "6.1.0-40-cloud-amd64",
            "6.12.48+deb13-amd64",
            "6.12.100+deb13-amd64",
        ],
        &[
            "0-rescue-4a1f",
            "4.18.0-553.el8_10.x86_64",
            "5.14.0-362.el9.x86_64",
            "5.14.0-362.8.1.el9_3.x86_64",
            "5.14.0-362.13.1.el9_3.x86_64",
            "6.17.4-200.fc42.x86_64",
            "6.17.10-200.fc42.x86_64",
        ],
        &["5.15.0-100-generic", "6.8.0-9-generic", "6.8.0-31-generic"],
        &["6.4.0-9-default", "6.4.0-150600.21-default"],
        &["6.6.0~rc1", "6.6.0", "6.6.0.1", "6.6.00002"],
        &["6.99.99", "6.100.0", "7", "7.0.0", "10.0.0"],
    ];

    #[test]
    fn a_later_version_is_newer() {
        for releases in IN_ORDER {
            for (at, one) in releases.iter().enumerate() {
                for (beside, other) in releases.iter().enumerate() {
                    assert_eq!(
                        version(one).cmp(&version(other)),
                        at.cmp(&beside),
                        "{one} and {other}"
                    );
                }
            }
        }
    }

    #[test]
    fn rpm_says_the_same() {
        let version = Command::new("rpm").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "rpm is missing");
            eprintln!("NOT RUN: rpm_says_the_same: rpm is not installed");
            return;
        }
        for releases in IN_ORDER {
            for pair in releases.windows(2) {
                // The one thing that a kernel spells otherwise.
                let [one, other] = [pair[0], pair[1]].map(|release| release.replace("-rc", "~rc"));
                let script = format!("%{{lua:print(rpm.vercmp('{one}', '{other}'))}}");
                let output = Command::new("rpm").args(["--eval", &script]).output();
                let answer = String::from_utf8(output.unwrap().stdout).unwrap();
                assert_eq!(answer.trim(), "-1", "{one} and {other}");
            }
        }
    }

    #[test]
    fn takes_the_newest_kernel_of_an_image() {
        for (paths, expected) in [
            ("", None),
            ("boot/grub/grub.cfg", None),
            (
                "boot/vmlinuz-6.1.0-9-amd64 boot/vmlinuz-6.1.0-40-amd64 boot/config-6.1.0-9-amd64",
                Some("6.1.0-40-amd64"),
            ),
            (
                "boot/vmlinuz-6.1.0-9-amd64 lib/modules/6.1.0-40-amd64/modules.dep boot/config-6.2",
                Some("6.1.0-9-amd64"),
            ),
            (
                "lib/modules/6.17.4-200.fc42.x86_64/vmlinuz lib/modules/6.17.10-200.fc42.x86_64/vmlinuz",
                Some("6.17.10-200.fc42.x86_64"),
            ),
            (
                "boot/vmlinuz-6.1.0 boot/vmlinuz-6.1.0.old boot/vmlinuz-6.2.dpkg-new boot/.vmlinuz-6.3.hmac",
                Some("6.1.0"),
            ),
            ("boot/Image-6.4.0-1-default", Some("6.4.0-1-default")),
            (
                "lib/modules/6.1.0/modules.dep boot/config-6.2.0",
                Some("6.2.0"),
            ),
        ] {
            let path =
                std::env::temp_dir().join(format!("kubelet-tunables-k-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            for file in paths.split_whitespace() {
                let file = path.join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, "").unwrap();
            }
            let found = newest(&Root::image(&path).unwrap()).unwrap();
            fs::remove_dir_all(&path).unwrap();
            assert_eq!(found.as_deref(), expected, "{paths}");
        }
    }
}
