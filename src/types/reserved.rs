//! Names that no entry of a snapshot may have (docs/format.md, 2.4): a restore finds its own files by them, beside and in its target.

/// Name of the staging directory inside a target.
pub const INSIDE_NAME: &str = ".qsync-partial";

/// What follows the name of an old entry that is kept, before the id of the snapshot that took its place.
pub const KEPT_SUFFIX: &str = ".qsync-old-";

/// How the name of a clone ends, which begins with `.`: a copy that a run publishes from.
pub const CLONE_SUFFIX: &str = ".qsync-clone";

/// What a file system keeps for itself in its top directory.
pub const LOST_AND_FOUND: &str = "lost+found";

/// Whether an entry of that name is a staging directory: what lies in it, or beside it, is not finished.
#[must_use]
pub fn is_staging(name: &str) -> bool {
    name == INSIDE_NAME || (name.starts_with('.') && name.ends_with(INSIDE_NAME))
}

/// Whether an entry of that name is a clone.
#[must_use]
pub fn is_clone(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(CLONE_SUFFIX)
}

/// Whether no entry of a snapshot may have that name, at any depth. The case of letters does not count: on some file systems it makes no
/// other name.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    is_staging(&name) || is_clone(&name) || name == LOST_AND_FOUND || name.contains(KEPT_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    // MF-01
    #[test]
    fn names_that_a_restore_goes_by_are_reserved_in_any_case() {
        for name in [
            ".qsync-partial",
            ".node.qsync-partial",
            ".QSYNC-partial",
            "lost+found",
            "db.qsync-old-0d197521d9a4",
            ".qsync-old-",
            ".node.qsync-clone",
            ".qsync-Clone",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["qsync-partial", "a.qsync-partial", ".qsync-partials", "lost", "db.qsync-old", "a.qsync-clone", "pin", "commit"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
