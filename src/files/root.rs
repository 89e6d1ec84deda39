//! Opens what is below a root directory: that of the machine, or of an image, which no link leads out of.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{CWD, Dir, DirEntry, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags};
use rustix::fs::{Stat, fstat, fstatfs, lstat, openat, openat2, readlinkat, stat};
use rustix::io::{Errno, retry_on_intr};

use crate::files::file;

const LEADS_TO_PROC: &str =
    "it leads into /proc or /sys, which the running machine has mounted there";
const NO_OPENAT2: &str =
    "the kernel does not allow openat2 (new in Linux 5.6), which keeps links in the image";

/// The directory below which files are read. Paths below it may begin with a slash or not.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
    /// The directory of an image, kept open so that renaming it cannot redirect us.
    image: Option<Rc<OwnedFd>>,
}

impl Root {
    /// Makes the root of the machine that runs: `/` but in tests.
    pub fn machine(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            image: None,
        }
    }

    /// Opens the root of an image that is not booted. Its absolute links stay in it, and those to what a process has open are
    /// not followed.
    ///
    /// # Errors
    ///
    /// That it is not there or no folder, or that the kernel (before Linux 5.6) or a seccomp filter has no `openat2`.
    pub fn image(path: &Path) -> io::Result<Self> {
        let directory = open_plain(path, OFlags::PATH | OFlags::DIRECTORY)?;
        match below(&directory, Path::new("."), OFlags::DIRECTORY) {
            Err(Errno::NOSYS | Errno::PERM) => Err(io::Error::other(NO_OPENAT2)),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(Self {
                path: path.to_path_buf(),
                image: Some(Rc::new(directory)),
            }),
        }
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True if it is an image, of which nothing runs.
    pub fn is_image(&self) -> bool {
        self.image.is_some()
    }

    /// Opens a file to read, as [`file::open`] does. In an image it is a regular file or a folder.
    pub(crate) fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let path = path.as_ref();
        let Some(image) = &self.image else {
            return file::open(&self.place(path));
        };
        // Opening a device can have an effect, and a FIFO has nothing that the boot will find.
        let file = match below(image, path, OFlags::PATH) {
            Err(Errno::XDEV) => return Err(io::Error::other(LEADS_TO_PROC)),
            file => file?,
        };
        let kind = FileType::from_raw_mode(fstat(file)?.st_mode);
        if !kind.is_file() && !kind.is_dir() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(below(image, path, OFlags::NONBLOCK | OFlags::NOCTTY)?.into())
    }

    /// Puts a whole file into the buffer, as [`file::read`] does.
    pub(crate) fn read(
        &self,
        path: impl AsRef<Path>,
        limit: u64,
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        file::read_to_end(&self.open(path)?, limit, buffer)
    }

    pub(crate) fn open_folder(&self, path: impl AsRef<Path>) -> Result<OwnedFd, Errno> {
        self.descriptor(path.as_ref(), OFlags::DIRECTORY)
    }

    fn descriptor(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        match &self.image {
            None => open_plain(&self.place(path), flags),
            Some(image) => below(image, path, flags),
        }
    }

    /// Lists what is in a folder, by name and kind, in no order.
    pub(crate) fn list(
        &self,
        path: &Path,
    ) -> Result<impl Iterator<Item = Result<(OsString, FileType), Errno>>, Errno> {
        let entries = Dir::read_from(self.open_folder(path)?)?;
        let found = move |entry: DirEntry| {
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                return Ok(None);
            }
            let kind = match entry.file_type() {
                // Some file systems leave it open.
                FileType::Unknown => FileType::from_raw_mode(self.lstat(path.join(name))?.st_mode),
                kind => kind,
            };
            Ok(Some((name.to_os_string(), kind)))
        };
        Ok(entries.filter_map(move |entry| entry.and_then(&found).transpose()))
    }

    pub(crate) fn stat(&self, path: &Path) -> Result<Stat, Errno> {
        match &self.image {
            None => stat(self.place(path)),
            Some(image) => fstat(below(image, path, OFlags::PATH)?),
        }
    }

    pub(crate) fn lstat(&self, path: impl AsRef<Path>) -> Result<Stat, Errno> {
        let path = path.as_ref();
        match &self.image {
            None => lstat(self.place(path)),
            Some(image) => fstat(below(image, path, OFlags::PATH | OFlags::NOFOLLOW)?),
        }
    }

    /// True if it is a link to /dev/null, by an absolute path or a relative one.
    pub(crate) fn is_mask(&self, path: &Path) -> bool {
        let link = self.descriptor(path, OFlags::PATH | OFlags::NOFOLLOW);
        let target = link.and_then(|link| readlinkat(link, "", Vec::new()));
        target.is_ok_and(|target| {
            let folder = Path::new("/").join(path.parent().unwrap_or(path));
            let target = folder.join(OsStr::from_bytes(target.to_bytes()));
            clean(&target) == Path::new("/dev/null")
        })
    }

    /// Puts the path of the root before a path, to be shown. In an image a link may lead elsewhere.
    pub fn place(&self, path: &Path) -> PathBuf {
        // A slash at the end has a meaning, and Path's own methods would drop it.
        let root = self.path.as_os_str().as_bytes();
        let root = root.strip_suffix(b"/").unwrap_or(root);
        let path = path.as_os_str().as_bytes();
        let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
        OsString::from_vec([root, slash, path].concat()).into()
    }
}

/// Resolves `..` lexically, without looking at links.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => drop(clean.pop()),
            Component::Normal(name) => clean.push(name),
            _ => {}
        }
    }
    clean
}

fn open_plain(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    retry_on_intr(|| openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty()))
}

/// Opens what is below an image's root wherever the links in its path lead.
fn below(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    /// openat2(2) returns `EAGAIN` for a path with `..` while something is renamed elsewhere.
    const ATTEMPTS: usize = 16;
    let flags = flags | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let mut tries = (0..ATTEMPTS).map(|_| openat2(root, path, flags, Mode::empty(), resolve));
    let is_over = |outcome: &Result<_, _>| !matches!(outcome, Err(Errno::AGAIN | Errno::INTR));
    let open = tries.find(is_over).unwrap_or(Err(Errno::AGAIN))?;
    // Mounted below a root for the programs in it, proc and sysfs (SYSFS_MAGIC) show the machine that runs.
    match fstatfs(&open)?.f_type {
        PROC_SUPER_MAGIC | 0x6265_6572 => Err(Errno::XDEV),
        _ => Ok(open),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{Dev, mknodat};

    use super::*;

    /// An image with this link as `etc/file`, and a secret beside the image.
    struct Image {
        base: PathBuf,
        root: Root,
    }

    impl Image {
        fn new(name: &str) -> Self {
            let name = format!("kubelet-tunables-root-{}-{name}", std::process::id());
            let base = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&base);
            fs::create_dir_all(base.join("image/etc/folder")).unwrap();
            fs::write(base.join("secret"), "secret").unwrap();
            fs::write(base.join("image/etc/inside"), "inside").unwrap();
            let root = Root::image(&base.join("image")).unwrap();
            Self { base, root }
        }

        fn link(&self, path: &str, target: impl AsRef<Path>) {
            symlink(target, self.base.join("image").join(path)).unwrap();
        }

        fn read(&self, path: &str) -> Result<String, String> {
            let mut content = Vec::new();
            match self.root.read(path, 1 << 20, &mut content) {
                Ok(()) => Ok(String::from_utf8(content).unwrap()),
                Err(error) => Err(error.to_string()),
            }
        }
    }

    impl Drop for Image {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.base);
        }
    }

    #[test]
    fn links_stay_in_the_image() {
        let image = Image::new("links");
        let secret = image.base.join("secret");
        for (name, target) in [
            ("absolute", secret.clone()),
            ("upward", PathBuf::from("../../secret")),
            (
                "far-upward",
                Path::new(&"../".repeat(30)).join(secret.strip_prefix("/").unwrap()),
            ),
        ] {
            image.link(name, &target);
            let error = image.read(name).expect_err(name);
            assert!(error.starts_with("No such file"), "{name}: {error}");
        }
        for (name, target) in [
            ("in-absolute", "/etc/inside"),
            ("in-upward", "../../../etc/inside"),
            ("in-chain", "/in-absolute"),
        ] {
            image.link(name, target);
            assert_eq!(image.read(name).as_deref(), Ok("inside"), "{name}");
            assert_eq!(image.read(&format!("/{name}")).as_deref(), Ok("inside"));
        }
        image.link("out", "/");
        assert_eq!(image.read("out/etc/inside").as_deref(), Ok("inside"));
        assert!(image.root.open_folder("out/etc/folder").is_ok());
        image.link("outside", &image.base);
        assert_eq!(
            image.root.open_folder("outside").err(),
            Some(Errno::NOENT),
            "a folder outside"
        );
        let machine = Root::machine(image.root.path());
        assert!(machine.open("absolute").is_ok(), "the machine's own links");
    }

    #[test]
    fn a_mask_may_be_a_relative_link() {
        let image = Image::new("masks");
        for (target, is_mask) in [
            ("/dev/null", true),
            ("../dev/null", true),
            ("../../../dev/./null", true),
            ("dev/null", false),
            ("/dev/zero", false),
        ] {
            image.link("etc/link", target);
            for root in [&image.root, &Root::machine(image.root.path())] {
                assert_eq!(root.is_mask(Path::new("etc/link")), is_mask, "{target}");
            }
            fs::remove_file(image.root.path().join("etc/link")).unwrap();
        }
        assert!(!image.root.is_mask(Path::new("etc/inside")), "no link");
    }

    #[test]
    fn only_files_are_opened() {
        let image = Image::new("kinds");
        let root = image.base.join("image");
        rustix::fs::mkfifoat(CWD, root.join("fifo"), Mode::RUSR).unwrap();
        std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        // Needs privileges.
        let device = rustix::fs::makedev(1, 3);
        let _ = mknodat(
            CWD,
            root.join("device"),
            FileType::CharacterDevice,
            Mode::RUSR,
            device as Dev,
        );
        for name in ["fifo", "socket", "device"] {
            if root.join(name).symlink_metadata().is_ok() {
                let error = image.read(name).expect_err(name);
                assert_eq!(error, "not a regular file", "{name}");
            }
        }
        let error = image.read("etc/folder").unwrap_err();
        assert!(error.starts_with("Is a directory"), "{error}");
    }

    #[test]
    fn nothing_of_the_machine_is_seen_through_what_is_mounted_there() {
        // As an image in which /proc and /sys are mounted.
        let root = Root::image(Path::new("/")).unwrap();
        for path in ["proc/cmdline", "sys/kernel", "proc"] {
            let error = root.open(path).expect_err(path).to_string();
            assert_eq!(error, LEADS_TO_PROC, "{path}");
        }
        for path in ["proc/self/root/etc", "proc/self/cwd", "proc/self/fd/0"] {
            assert!(root.open(path).is_err(), "{path}");
        }
    }

    #[test]
    fn what_is_no_folder_is_no_image() {
        for (path, expected) in [
            ("/nonexistent", "No such file"),
            ("/proc/cmdline", "Not a directory"),
        ] {
            let error = Root::image(Path::new(path)).expect_err(path).to_string();
            assert!(error.starts_with(expected), "{path}: {error}");
        }
    }
}
