//! Where a store is, as the user writes it.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use ::url::{Url, form_urlencoded};

use super::{Create, DynReadStore, DynWriteStore, Error, ErrorKind, HttpStore, LocalReader, LocalStore, S3Location, S3Store, Timeouts};
use crate::{
    fs::Fs,
    types::{Cid, Codec, Forms, InvalidCid},
};

/// Where a store is: a path, `file://…`, `http://…`, `https://…`, `s3://…` or `ipfs://…`.
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
    /// IPFS, which is read through gateways.
    Ipfs(IpfsLocation),
}

/// What is meant on IPFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpfsLocation {
    /// The root of a snapshot; without one, chunks and lists of any.
    pub root: Option<Cid>,
    /// The forms in which chunks are held there, if the user says so.
    pub forms: Option<Forms>,
}

/// Text that names no store.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidStoreUrl {
    /// The text is empty.
    #[error("the name of a store is empty")]
    Empty,
    /// A kind of store that this version has no code for.
    #[error("{scheme}:// stores are not supported in this version (supported: a path, file://, http://, https://, s3://, ipfs://)")]
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
    /// A name that somebody may point elsewhere.
    #[error(
        "ipns:// names are not restored from: whoever holds the key can point them at anything, also at an older snapshot, and nobody would notice"
    )]
    Ipns,
    /// A CID of something that is no snapshot.
    #[error("{cid} is not a qsync snapshot: it names a single block of content, such as a chunk")]
    Block {
        /// The CID.
        cid: Cid,
    },
    /// Not a CID of the kind that snapshots have.
    #[error("ipfs:// is not followed by the CID of a snapshot")]
    Cid(#[from] InvalidCid),
}

impl StoreUrl {
    /// Opens the store to read. A web server is not contacted yet.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the directory is absent, [`ErrorKind::Io`] when it is no directory; [`ErrorKind::BadAnswer`] for IPFS,
    /// which is no store: gateways are.
    pub async fn open_read(&self, fs: Arc<dyn Fs>) -> Result<DynReadStore, Error> {
        match self.clone() {
            Self::Local(path, _) => Ok(Arc::new(open_blocking(move || LocalReader::open(fs, &path)).await?)),
            Self::Http(url) => Ok(Arc::new(HttpStore::open(&url, Timeouts::default())?)),
            Self::S3(location) => Ok(Arc::new(S3Store::open(&location, Timeouts::default())?)),
            Self::Ipfs(_) => Err(Error::new(ErrorKind::BadAnswer, &self.to_string(), "open", "", "IPFS is read through gateways")),
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
            Self::Ipfs(_) => Err(Error::new(
                ErrorKind::Denied,
                &self.to_string(),
                "open",
                "",
                "what is on IPFS is named by its content and never changes",
            )),
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
            "ipfs" => return IpfsLocation::read(text).map(Self::Ipfs),
            "ipns" => return Err(InvalidStoreUrl::Ipns),
            _ => return Err(InvalidStoreUrl::Unsupported { scheme }),
        }
        let url = Url::parse(text).map_err(|error| malformed(&error.to_string()))?;
        if scheme == "file" {
            let path = url.to_file_path().map_err(|()| malformed("a file:// URL has an absolute path and no host"))?;
            return Ok(Self::Local(path, forms_in(url.query()).map_err(|reason| malformed(&reason))?));
        }
        if scheme == "s3" {
            return S3Location::from_url(&url).map(|location| Self::S3(Box::new(location))).map_err(|reason| malformed(&reason));
        }
        Ok(Self::Http(url))
    }
}

impl IpfsLocation {
    /// Reads what follows `ipfs://`. That is no host: letters of a CID may be capital ones.
    fn read(text: &str) -> Result<Self, InvalidStoreUrl> {
        let malformed = |reason: String| InvalidStoreUrl::Malformed { scheme: "ipfs".to_owned(), reason };
        let (_, rest) = text.split_once("://").unwrap_or_default();
        let (cid, query) = rest.split_once('?').map_or((rest, None), |(cid, query)| (cid, Some(query)));
        let cid = cid.strip_suffix('/').unwrap_or(cid);
        let signs = [
            ('/', "no path follows a CID, which names a whole snapshot"),
            ('@', "a CID has no user"),
            (':', "a CID has no port"),
            ('#', "no fragment"),
        ];
        if let Some((_, reason)) = signs.into_iter().find(|(sign, _)| cid.contains(*sign)) {
            return Err(malformed(reason.to_owned()));
        }
        let forms = forms_in(query).map_err(malformed)?;
        let root: Option<Cid> = if cid.is_empty() { None } else { Some(cid.parse()?) };
        match root.filter(|root| root.codec() == Codec::Raw) {
            Some(cid) => Err(InvalidStoreUrl::Block { cid }),
            None => Ok(Self { root, forms }),
        }
    }
}

/// What is said behind the path of a `file://` or `ipfs://` URL.
fn forms_in(query: Option<&str>) -> Result<Option<Forms>, String> {
    let mut forms = None;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
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
            Self::Ipfs(location) => write!(f, "ipfs://{}", location.root.map(|root| root.to_string()).unwrap_or_default()),
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
        for scheme in ["ipfs+http", "ftp"] {
            let refused = parse(&format!("{scheme}://bucket/prefix")).unwrap_err();
            assert_eq!(refused, InvalidStoreUrl::Unsupported { scheme: scheme.into() });
        }
        for text in ["http://", "https://a b/", "file://host/path", "file:///a?form=raw", "file:///a?forms=gz", "s3:///x", "s3://b?x=1"] {
            assert!(matches!(parse(text), Err(InvalidStoreUrl::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn a_cid_is_read_whatever_its_letters_and_a_source_of_chunks_has_none() {
        let root = Cid::new(Codec::DagPb, crate::types::Hash::of(b"root"));
        let location = |root, forms| Ok(StoreUrl::Ipfs(IpfsLocation { root, forms }));
        assert_eq!(parse(&format!("ipfs://{root}")), location(Some(root), None));
        assert_eq!(parse(&format!("IPFS://{}/?forms=raw", root.to_string().to_uppercase())), location(Some(root), Some(Forms::Raw)));
        let base58 = root.any().to_string_of_base(cid::multibase::Base::Base58Btc).unwrap();
        assert_eq!(parse(&format!("ipfs://{base58}")), location(Some(root), None));
        assert_eq!(parse("ipfs://?forms=zstd"), location(None, Some(Forms::Zstd)));
        assert_eq!(parse("ipfs://"), location(None, None));
        assert_eq!(parse(&format!("ipfs://{root}")).unwrap().to_string(), format!("ipfs://{root}"));
    }

    #[test]
    fn what_is_no_cid_of_a_snapshot_is_refused_with_what_it_is() {
        let root = Cid::new(Codec::DagPb, crate::types::Hash::of(b"root"));
        for text in ["ipfs://a/tree", "ipfs://a:80", "ipfs://secret@a", "ipfs://?form=raw", "ipfs://?forms=gz", "ipfs://a#b"] {
            let refused = parse(text).unwrap_err();
            assert!(matches!(&refused, InvalidStoreUrl::Malformed { reason, .. } if !reason.contains("secret")), "{text}: {refused:?}");
        }
        assert!(matches!(parse(&format!("ipfs://{root}/tree/")), Err(InvalidStoreUrl::Malformed { .. })));
        let version_0 = parse("ipfs://QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH").unwrap_err();
        assert!(matches!(version_0, InvalidStoreUrl::Cid(InvalidCid::Version0(_))));
        assert!(matches!(parse("ipfs://cat.jpg"), Err(InvalidStoreUrl::Cid(InvalidCid::Malformed { .. }))));
        let chunk = Cid::new(Codec::Raw, crate::types::Hash::of(b"chunk"));
        assert_eq!(parse(&format!("ipfs://{chunk}")), Err(InvalidStoreUrl::Block { cid: chunk }));
        assert_eq!(parse("ipns://example.org"), Err(InvalidStoreUrl::Ipns));
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
