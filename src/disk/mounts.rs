//! Mount points, which can be neither renamed nor replaced.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{Error, layout};
use crate::fs::Fs;

/// Whether another file system begins at this directory. `false` when it does not exist.
pub(super) fn is_mount_point(fs: &dyn Fs, dir: &Path) -> Result<bool, Error> {
    let Some(stat) = layout::stat_if_there(fs, dir)? else { return Ok(false) };
    let Some(parent) = dir.parent() else { return Ok(true) };
    let above = fs.stat(parent).map_err(Error::io("look at", parent))?;
    Ok(above.dev != stat.dev || is_listed(dir).map_err(Error::io("read", "/proc/self/mountinfo"))?)
}

/// A file system that is mounted below this directory: an entry that is one cannot be renamed, and one further down would be emptied
/// with an old database.
pub(super) fn first_below(dir: &Path) -> io::Result<Option<PathBuf>> {
    Ok(mount_points()?.map(PathBuf::from).find(|point| point != dir && point.starts_with(dir)))
}

/// A bind mount has the device of what it shows; only the kernel's table tells. Read directly: `/proc` is a view of the running
/// kernel, not storage whose crash behaviour matters.
pub(super) fn is_listed(dir: &Path) -> io::Result<bool> {
    let Some(dir) = dir.to_str() else { return Ok(false) };
    Ok(mount_points()?.any(|point| point == dir))
}

fn mount_points() -> io::Result<impl Iterator<Item = String>> {
    let table = match std::fs::read_to_string("/proc/self/mountinfo") {
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        table => table?,
    };
    Ok(table.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape).collect::<Vec<_>>().into_iter())
}

/// The table writes space, tab, newline and backslash as `\` and three octal digits.
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_lists_proc_as_a_mount_point() {
        assert!(is_listed(Path::new("/proc")).unwrap());
        assert!(!is_listed(Path::new("/proc/self")).unwrap());
        assert!(first_below(Path::new("/")).unwrap().is_some());
        assert!(first_below(Path::new("/proc/self")).unwrap().is_none());
        assert_eq!(unescape("/mnt/a\\040b"), "/mnt/a b");
    }
}
