//! Where a store is, as the user writes it.
use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use ::url::Url;

use super::{Create, DynReadStore, DynWriteStore, Error};
use crate::fs::Fs;

/// Where a store is: a path, `file://…`, `http://…` or `https://…`.
///
/// Shown without user name and password.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A directory.
    Local(PathBuf),
    /// A web server.
    Http(Url),
}

/// Text that names no store.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidStoreUrl {
    /// The text is empty.
    #[error("the name of a store is empty")]
    Empty,
    /// A kind of store that this version has no code for.
    #[error("{scheme}:// stores are not supported in this version (supported: a path, file://, http://, https://)")]
    Unsupported {
        /// The URL's scheme.
        scheme: String,
    },
    /// Not a URL.
    #[error("not the URL of a store: {url:?}: {reason}")]
    Malformed {
        /// The text without secrets.
        url: String,
        /// Why, as a clause.
        reason: String,
    },
}

impl StoreUrl {
    /// Opens the store to read. A web server is not contacted yet.
    ///
    /// # Errors
    /// [`super::ErrorKind::NotFound`] when the directory is absent, [`super::ErrorKind::BadAnswer`] when it is no directory.
    pub async fn open_read(&self, _fs: Arc<dyn Fs>) -> Result<DynReadStore, Error> {
        todo!()
    }

    /// Opens the store to write.
    ///
    /// # Errors
    /// As [`StoreUrl::open_read`]; [`super::ErrorKind::Denied`] for a web server, and where this user may not write.
    pub async fn open_write(&self, _fs: Arc<dyn Fs>, _create: Create) -> Result<DynWriteStore, Error> {
        todo!()
    }
}

impl FromStr for StoreUrl {
    type Err = InvalidStoreUrl;

    fn from_str(_text: &str) -> Result<Self, InvalidStoreUrl> {
        todo!()
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}
