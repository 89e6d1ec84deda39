//! Makes sentences of what the first boot of an image will set.

use std::fmt::Write as _;
use std::path::Path;

use super::messages::{ground, plain_path, unread};
use crate::assessment::{Assessment, Image, Mode, Outcome, Stance, TargetInfo};

/// What the first boot comes to: first whether kubelet starts, then why.
pub(super) fn summary(look: &Assessment) -> String {
    let all = look.sights.len();
    let ground = ground(&look.told);
    if look.is_not_checked() {
        return format!("Not checked: {}", ground.unwrap_or_default());
    }
    let boot = "after the first boot of this image";
    if look.amiss() > 0 {
        let what = what_is_amiss(look);
        let and_ground = ground.map_or(String::new(), |ground| format!(", and {ground}"));
        let is_open = look.told.stance() == Stance::NotKnown
            || look.amiss() == look.count(Outcome::Unreadable);
        return match (look.mode, &look.told) {
            (Mode::Strict, _) => format!("{what} {boot}, which --strict makes an error"),
            (_, TargetInfo::Kubelet(_)) if is_open => {
                format!("kubelet may fail {boot}: {what}{and_ground}")
            }
            (_, TargetInfo::Kubelet(_)) => {
                format!("kubelet will not start {boot}: {what}{and_ground}")
            }
            _ => {
                let may = if is_open { "may" } else { "will" };
                format!("With protectKernelDefaults on, kubelet {may} not start {boot}: {what}")
            }
        };
    }
    match look.count(Outcome::Overwritten) {
        0 => format!("All {all} kernel tunables will be as kubelet needs them {boot}"),
        count => format!(
            "kubelet will start {boot} and change {count} of {all} kernel tunables itself: {}",
            ground.unwrap_or_default()
        ),
    }
}

/// Such as "2 of 6 kernel tunables will be wrong, 1 is not known".
fn what_is_amiss(look: &Assessment) -> String {
    let all = look.sights.len();
    let unknown = look.count(Outcome::Unreadable);
    let are = if unknown == 1 { "is" } else { "are" };
    match look.amiss() - unknown {
        0 => format!("{unknown} of {all} kernel tunables {are} not known"),
        wrong if unknown == 0 => format!("{wrong} of {all} kernel tunables will be wrong"),
        wrong => {
            format!("{wrong} of {all} kernel tunables will be wrong, {unknown} {are} not known")
        }
    }
}

/// What the answer rests on, and what an image does not tell.
pub(super) fn image_kernel(image: &Image) -> String {
    let image_kernel = &image.image_kernel;
    let mut text = match (&image_kernel.kernel, &image_kernel.config) {
        (Err(problem), _) => format!("What its kernel sets is not known: {}.", unread(problem)),
        (Ok(None), _) => {
            "The image has no kernel, so the defaults of a mainline kernel are assumed.".to_string()
        }
        (Ok(Some(kernel)), None) => format!(
            "The newest kernel in the image is {kernel}. Its configuration is not there, so the defaults of a mainline kernel are assumed."
        ),
        (Ok(Some(kernel)), Some(config)) => format!(
            "The newest kernel in the image is {kernel}, built with {}.",
            plain_path(config)
        ),
    };
    let _ = match &image_kernel.cmdline {
        Err(problem) => write!(
            text,
            " What its kernel command line sets is not known: {}.",
            unread(problem)
        ),
        Ok(None) => write!(
            text,
            " There is no /etc/kernel/cmdline, so an empty kernel command line is assumed."
        ),
        Ok(Some(path)) => write!(text, " Its command line is that of {}.", plain_path(path)),
    };
    text += " Not known is what a boot loader adds to the command line, and what an initrd, tuned or configuration management will set.";
    text
}

/// The command that writes the file into the image, in the words of a shell.
pub(super) fn remedy(image: &Image) -> String {
    format!(
        "kubelet-tunables --root {} --modify --persist",
        quoted(&image.path)
    )
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = plain_path(path);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(&byte);
    if text.bytes().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::ImageKernel;

    #[test]
    fn says_what_is_assumed() {
        fn some(text: &str) -> Option<&str> {
            (!text.is_empty()).then_some(text)
        }
        let text = |kernel, config, cmdline| {
            image_kernel(&Image {
                path: "/image".into(),
                image_kernel: ImageKernel {
                    kernel: Ok(some(kernel)),
                    config: some(config).map(Path::new),
                    cmdline: Ok(some(cmdline).map(Path::new)),
                },
            })
        };
        for (text, expected) in [
            (
                text("", "", ""),
                [
                    "The image has no kernel, so the defaults of a mainline kernel are assumed. ",
                    "There is no /etc/kernel/cmdline, so an empty ",
                ],
            ),
            (
                text("6.1", "", "/etc/kernel/cmdline"),
                [
                    "The newest kernel in the image is 6.1. Its configuration is not there, so ",
                    "Its command line is that of /etc/kernel/cmdline.",
                ],
            ),
            (
                text("6.1", "/boot/config-6.1", "/usr/lib/kernel/cmdline"),
                [
                    "The newest kernel in the image is 6.1, built with /boot/config-6.1. ",
                    "Its command line is that of /usr/lib/kernel/cmdline.",
                ],
            ),
        ] {
            for sentence in expected {
                assert!(text.contains(sentence), "{text}");
            }
            assert!(text.contains("boot loader"), "{text}");
        }
    }

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (path, word) in [
            ("/mnt/image-1.0", "/mnt/image-1.0"),
            ("/mnt/my image", "'/mnt/my image'"),
            ("it's;rm", r"'it'\''s;rm'"),
            ("~/x", "'~/x'"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
