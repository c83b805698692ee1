//! Where a store is, as the user writes it.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use ::url::Url;

use super::{Create, DynReadStore, DynWriteStore, Error, ErrorKind, HttpStore, LocalReader, LocalStore, S3Location, S3Store, Timeouts};
use crate::{fs::Fs, types::Forms};

/// Where a store is: a path, `file://…`, `http://…`, `https://…` or `s3://…`.
///
/// Shown without user name, password and query.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A directory, and the forms in which it is to hold chunks.
    Local(PathBuf, Option<Forms>),
    /// A web server.
    Http(Url),
    /// A bucket.
    S3(Box<S3Location>),
}

/// Text that names no store.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidStoreUrl {
    /// The text is empty.
    #[error("the name of a store is empty")]
    Empty,
    /// A kind of store that this version has no code for.
    #[error("{scheme}:// stores are not supported in this version (supported: a path, file://, http://, https://, s3://)")]
    Unsupported {
        /// The URL's scheme.
        scheme: String,
    },
    /// Not a URL. The text itself is not repeated: it may hold a password.
    #[error("not the URL of a store: {scheme}://…: {reason}")]
    Malformed {
        /// The URL's scheme.
        scheme: String,
        /// Why, as a clause.
        reason: String,
    },
}

impl StoreUrl {
    /// Opens the store to read. A web server is not contacted yet.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the directory is absent, [`ErrorKind::Io`] when it is no directory.
    pub async fn open_read(&self, fs: Arc<dyn Fs>) -> Result<DynReadStore, Error> {
        match self.clone() {
            Self::Local(path, _) => Ok(Arc::new(open_blocking(move || LocalReader::open(fs, &path)).await?)),
            Self::Http(url) => Ok(Arc::new(HttpStore::open(&url, Timeouts::default())?)),
            Self::S3(location) => Ok(Arc::new(S3Store::open(&location, Timeouts::default())?)),
        }
    }

    /// Opens the store to write. Nothing is written yet.
    ///
    /// # Errors
    /// As [`StoreUrl::open_read`]; [`ErrorKind::Denied`] for a web server.
    pub async fn open_write(&self, fs: Arc<dyn Fs>, create: Create) -> Result<DynWriteStore, Error> {
        match self.clone() {
            Self::Local(path, forms) => Ok(Arc::new(open_blocking(move || LocalStore::open(fs, &path, create)).await?.with_forms(forms))),
            Self::Http(_) => Err(Error::new(ErrorKind::Denied, &self.to_string(), "open", "", "a web server can only be read from")),
            Self::S3(location) => Ok(Arc::new(S3Store::open(&location, Timeouts::default())?)),
        }
    }
}

async fn open_blocking<T: Send + 'static>(open: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    super::local::blocking(open).await
}

impl FromStr for StoreUrl {
    type Err = InvalidStoreUrl;

    fn from_str(text: &str) -> Result<Self, InvalidStoreUrl> {
        if text.is_empty() {
            return Err(InvalidStoreUrl::Empty);
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return Ok(Self::Local(Path::new(text).to_owned(), None));
        };
        let scheme = scheme.to_ascii_lowercase();
        let malformed = |reason: &str| InvalidStoreUrl::Malformed { scheme: scheme.clone(), reason: reason.to_owned() };
        match scheme.as_str() {
            "file" | "http" | "https" | "s3" => {}
            _ => return Err(InvalidStoreUrl::Unsupported { scheme }),
        }
        let url = Url::parse(text).map_err(|error| malformed(&error.to_string()))?;
        if scheme == "file" {
            let path = url.to_file_path().map_err(|()| malformed("a file:// URL has an absolute path and no host"))?;
            return Ok(Self::Local(path, forms_in(&url).map_err(|reason| malformed(&reason))?));
        }
        if scheme == "s3" {
            return S3Location::from_url(&url).map(|location| Self::S3(Box::new(location))).map_err(|reason| malformed(&reason));
        }
        Ok(Self::Http(url))
    }
}

/// What follows the path of a `file://` URL.
fn forms_in(url: &Url) -> Result<Option<Forms>, String> {
    let mut forms = None;
    for (name, value) in url.query_pairs() {
        if name != "forms" {
            return Err(format!("unknown setting {name} (known: forms)"));
        }
        forms = Some(Forms::from_str(&value).map_err(|error| error.to_string())?);
    }
    Ok(forms)
}

/// A URL as it may be shown: user name and password often are a secret, and so is a query.
pub(super) fn without_secrets(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // These fail only where a URL can have neither.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.into()
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path, _) => write!(f, "{}", path.display()),
            Self::Http(url) => f.write_str(&without_secrets(url)),
            Self::S3(location) => f.write_str(&location.name()),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::MemoryFs;

    fn parse(text: &str) -> Result<StoreUrl, InvalidStoreUrl> {
        text.parse()
    }

    #[test]
    fn reads_paths_and_urls() {
        for (text, path) in [("/srv/store", "/srv/store"), ("store", "store"), ("file:///srv/a%20b", "/srv/a b")] {
            assert_eq!(parse(text).unwrap(), StoreUrl::Local(path.into(), None));
        }
        assert_eq!(parse("file:///srv/a?forms=zstd,raw").unwrap(), StoreUrl::Local("/srv/a".into(), Some(Forms::Both)));
        assert!(matches!(parse("s3://bucket/prefix?requester_pays=true"), Ok(StoreUrl::S3(_))));
        assert!(matches!(parse("HTTPS://cdn.example/prefix/"), Ok(StoreUrl::Http(_))));
    }

    #[test]
    fn refuses_what_it_cannot_open() {
        assert_eq!(parse(""), Err(InvalidStoreUrl::Empty));
        for scheme in ["ipfs", "ipfs+http", "ftp"] {
            let refused = parse(&format!("{scheme}://bucket/prefix")).unwrap_err();
            assert_eq!(refused, InvalidStoreUrl::Unsupported { scheme: scheme.into() });
        }
        for text in ["http://", "https://a b/", "file://host/path", "file:///a?form=raw", "file:///a?forms=gz", "s3:///x", "s3://b?x=1"] {
            assert!(matches!(parse(text), Err(InvalidStoreUrl::Malformed { .. })), "{text}");
        }
    }

    // AW-11
    #[test]
    fn shows_no_secret() {
        let url = parse("https://user:pass@cdn.example/prefix?token=pass#pass").unwrap();
        assert_eq!(url.to_string(), "https://cdn.example/prefix");
        assert!(!format!("{url:?}").contains("pass"));
        assert!(!parse("https://user:pass@:99999999/").unwrap_err().to_string().contains("pass"));
    }

    #[tokio::test]
    async fn opens_what_is_there_and_writes_to_no_web_server() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::new());
        let local = parse("/srv/store").unwrap();
        assert_eq!(local.open_read(Arc::clone(&fs)).await.unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(local.open_write(Arc::clone(&fs), Create::No).await.unwrap_err().kind, ErrorKind::NotFound);
        let store = local.open_write(Arc::clone(&fs), Create::Yes).await.unwrap();
        assert_eq!(store.name(), "/srv/store");
        // Made when something is written, so that a dry run makes nothing.
        assert!(local.open_read(Arc::clone(&fs)).await.is_err());
        store.put_new(&"a".parse().unwrap(), bytes::Bytes::new()).await.unwrap();
        assert!(local.open_read(Arc::clone(&fs)).await.is_ok());
        let web = parse("https://user:pass@cdn.example/prefix").unwrap();
        assert_eq!(web.open_write(Arc::clone(&fs), Create::Yes).await.unwrap_err().kind, ErrorKind::Denied);
        assert_eq!(web.open_read(fs).await.unwrap().name(), "https://cdn.example/prefix");
    }
}
