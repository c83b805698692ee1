//! A real file system in an image, and what would be on it if the power went now.
//!
//! The image lies on a file system that can share blocks, so a copy of it, taken with one `FICLONE`, is the content of the disk at one
//! moment. A plain copy takes a while and is the content of no moment.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{programs::program, support::command::text};

const MIB: u64 = 1 << 20;
/// Room for an image and its copies, which share most of their blocks.
const LAB_BYTES: u64 = 6_000 * MIB;
/// A small disk: the least that xfs takes is 300 MiB.
pub(crate) const SMALL: u64 = 400 * MIB;
/// One on which geth starts: it ends on a disk that has less than a GiB free.
pub(crate) const FOR_A_NODE: u64 = 4_096 * MIB;

/// A mounted image; unmounted when this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn mount(image: &Path, at: &Path) -> Result<Self, String> {
        fs::create_dir_all(at).map_err(|e| e.to_string())?;
        run("mount", &["-o", "loop", path_text(image), path_text(at)])?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(why) = run("umount", &[path_text(&self.0)]) {
            eprintln!("{why}");
            // A failed test may leave a process there: the kernel unmounts when it is gone.
            let _ = run("umount", &["-l", path_text(&self.0)]);
        }
    }
}

/// A disk with a file system of some kind, mounted at [`Disk::path`].
pub(crate) struct Disk {
    // In this order: what lies in the lab is unmounted before the lab.
    mounted: Option<Mounted>,
    lab: Mounted,
    path: PathBuf,
}

impl Disk {
    /// A new one of `bytes` in `folder`, empty; what prevents it, where that is not possible.
    pub(crate) fn make(folder: &Path, kind: &str, bytes: u64) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root may mount images".to_owned());
        }
        let (lab, path) = (folder.join("lab"), folder.join("disk"));
        let lab_image = sparse(&folder.join("lab-image"), LAB_BYTES)?;
        run("mkfs.xfs", &["-q", "-m", "reflink=1", path_text(&lab_image)])?;
        let lab = Mounted::mount(&lab_image, &lab)?;
        let image = sparse(&lab.0.join("image"), bytes)?;
        let force = if kind == "ext4" { "-F" } else { "-f" };
        run(&format!("mkfs.{kind}"), &["-q", force, path_text(&image)])?;
        let mounted = Mounted::mount(&image, &path)?;
        Ok(Self { mounted: Some(mounted), lab, path })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps what is on the disk at this moment, under a name.
    pub(crate) fn keep(&self, name: &str) {
        let (from, to) = (self.lab.0.join("image"), self.lab.0.join(name));
        run("cp", &["--reflink=always", path_text(&from), path_text(&to)]).unwrap();
    }

    /// Cuts the power, and starts again with what was kept.
    pub(crate) fn go_back_to(&mut self, name: &str) {
        drop(self.mounted.take());
        let (from, to) = (self.lab.0.join(name), self.lab.0.join("image"));
        run("cp", &["--reflink=always", path_text(&from), path_text(&to)]).unwrap();
        self.mounted = Some(Mounted::mount(&to, &self.path).unwrap());
    }

    /// Makes everything on it durable.
    pub(crate) fn sync(&self) {
        run("sync", &["-f", path_text(&self.path)]).unwrap();
    }
}

fn sparse(path: &Path, bytes: u64) -> Result<PathBuf, String> {
    File::create(path).and_then(|file| file.set_len(bytes)).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path.to_owned())
}

fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(name: &str, arguments: &[&str]) -> Result<(), String> {
    let output = program(name).args(arguments).output().map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{name} {arguments:?}: {}", text(&output.stderr).trim())) }
}
