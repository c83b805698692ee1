//! What `s3://bucket/prefix?…` says.

use std::str::FromStr;

use ::url::Url;
use strsim::jaro_winkler;

use crate::types::Forms;

/// Settings that a URL may have, as they are written.
const SETTINGS: [&str; 11] = [
    "anonymous",
    "cdn",
    "distribution",
    "endpoint",
    "forms",
    "owner",
    "path_style",
    "profile",
    "region",
    "requester_pays",
    "storage_class",
];
/// Storage classes whose every read costs the owner extra or takes hours.
const COLD: [&str; 5] = ["GLACIER", "GLACIER_IR", "DEEP_ARCHIVE", "STANDARD_IA", "ONEZONE_IA"];
/// How alike two words must be for one to be meant by the other.
const ALIKE: f64 = 0.8;

/// A bucket, the part of it that is the store, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Location {
    pub(super) bucket: String,
    /// Without slashes at its ends; may be empty.
    pub(super) prefix: String,
    pub(super) region: Option<String>,
    /// Of a server that is not AWS.
    pub(super) endpoint: Option<Url>,
    pub(super) path_style: bool,
    /// Whether the user agrees to be charged for what little is needed to look at the store.
    pub(super) requester_pays: bool,
    /// Account that the bucket must belong to.
    pub(super) owner: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) anonymous: bool,
    pub(super) storage_class: Option<String>,
    pub(super) forms: Option<Forms>,
    pub(super) cdn: Option<Cdn>,
}

/// The CDN in front of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cdn {
    /// Where readers find the store's prefix.
    pub url: Url,
    /// The CloudFront distribution to tell of new heads.
    pub distribution: Option<String>,
}

impl S3Location {
    /// Takes a parsed `s3://` URL apart.
    ///
    /// # Errors
    /// Why it names no store, as a clause without secrets.
    pub(in crate::store) fn from_url(url: &Url) -> Result<Self, String> {
        let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or("no bucket")?;
        if !url.username().is_empty() || url.password().is_some() || url.port().is_some() {
            return Err("only a bucket stands before the path; credentials come from the environment or profile=NAME".into());
        }
        if url.fragment().is_some() {
            return Err("a store has no fragment (#…)".into());
        }
        let prefix = url.path().trim_matches('/');
        let prefix = percent_decoded(prefix).ok_or("the prefix is not UTF-8")?;
        let mut location = Self {
            bucket: bucket.to_owned(),
            prefix,
            region: None,
            endpoint: None,
            path_style: false,
            requester_pays: false,
            owner: None,
            profile: None,
            anonymous: false,
            storage_class: None,
            forms: None,
            cdn: None,
        };
        location.apply(url)?;
        Ok(location)
    }

    fn apply(&mut self, url: &Url) -> Result<(), String> {
        let (mut path_style, mut cdn, mut distribution) = (None, None, None);
        for (name, value) in url.query_pairs() {
            match &*name {
                "region" => self.region = Some(word(&name, &value)?),
                "endpoint" => self.endpoint = Some(web_url(&name, &value)?),
                "path_style" => path_style = Some(flag(&name, &value)?),
                "requester_pays" => self.requester_pays = flag(&name, &value)?,
                "owner" => self.owner = Some(account(&value)?),
                "profile" => self.profile = Some(word(&name, &value)?),
                "anonymous" => self.anonymous = flag(&name, &value)?,
                "storage_class" => self.storage_class = Some(storage_class(&value)?),
                "forms" => self.forms = Some(Forms::from_str(&value).map_err(|error| error.to_string())?),
                "cdn" => cdn = Some(web_url(&name, &value)?),
                "distribution" => distribution = Some(word(&name, &value)?),
                other => return Err(unknown(other)),
            }
        }
        // Servers that are not AWS seldom have a DNS name for each bucket.
        self.path_style = path_style.unwrap_or(self.endpoint.is_some());
        self.cdn = match (cdn, distribution) {
            (Some(url), distribution) => Some(Cdn { url, distribution }),
            (None, Some(_)) => return Err("distribution=… is of use only with cdn=URL".into()),
            (None, None) => None,
        };
        Ok(())
    }

    /// The forms in which chunks are stored when the URL does not say: raw where readers pay for what they fetch and can look at it with any
    /// tool, frames elsewhere.
    #[must_use]
    pub fn forms(&self) -> Forms {
        self.forms.unwrap_or(if self.requester_pays { Forms::Raw } else { Forms::Zstd })
    }

    /// Whether its readers pay for what they read.
    #[must_use]
    pub fn readers_pay(&self) -> bool {
        self.requester_pays
    }

    /// The CDN before it.
    #[must_use]
    pub fn cdn(&self) -> Option<&Cdn> {
        self.cdn.as_ref()
    }

    /// The name in the bucket of an object of the store.
    pub(super) fn object(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    /// How the store is shown; buckets of servers that are not AWS with the server.
    #[must_use]
    pub fn name(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        let server = self.endpoint.as_ref().map(|url| format!(" at {}", url.authority())).unwrap_or_default();
        format!("s3://{}{slash}{}{server}", self.bucket, self.prefix)
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(String::from)
}

fn word(name: &str, value: &str) -> Result<String, String> {
    if value.is_empty() { Err(format!("{name}= is empty")) } else { Ok(value.to_owned()) }
}

fn account(value: &str) -> Result<String, String> {
    // AWS counts in twelve digits; other servers have names.
    let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.$".contains(&byte));
    if is_plain { Ok(value.to_owned()) } else { Err(format!("owner is the id of an account, of 12 digits at AWS, not {value:?}")) }
}

fn flag(name: &str, value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| format!("{name} is true or false, not {value:?}"))
}

fn web_url(name: &str, value: &str) -> Result<Url, String> {
    let url = Url::parse(value).map_err(|error| format!("{name}: {error}"))?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if plain { Ok(url) } else { Err(format!("{name} is an http or https URL without credentials")) }
}

fn storage_class(value: &str) -> Result<String, String> {
    if COLD.contains(&value) {
        return Err(format!("storage_class={value} makes every read cost extra or take hours; use STANDARD or INTELLIGENT_TIERING"));
    }
    word("storage_class", value)
}

fn unknown(name: &str) -> String {
    let closest = SETTINGS.into_iter().map(|known| (known, jaro_winkler(known, name))).max_by(|a, b| a.1.total_cmp(&b.1));
    match closest {
        Some((meant, likeness)) if likeness >= ALIKE => format!("unknown setting {name} (did you mean {meant}?)"),
        _ => format!("unknown setting {name} (known: {})", SETTINGS.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<S3Location, String> {
        S3Location::from_url(&Url::parse(text).unwrap())
    }

    #[test]
    fn bucket_and_prefix_are_taken_apart() {
        for (text, name) in [
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("s3://bucket/a/b/?region=eu-west-1", "s3://bucket/a/b"),
            ("s3://Old_Bucket/a%20b", "s3://Old_Bucket/a b"),
            ("s3://b/a?endpoint=http://127.0.0.1:9000/", "s3://b/a at 127.0.0.1:9000"),
        ] {
            assert_eq!(read(text).unwrap().name(), name);
        }
        assert_eq!(read("s3://bucket/a/b").unwrap().object("heads/x.json"), "a/b/heads/x.json");
        assert_eq!(read("s3://bucket").unwrap().object("heads/x.json"), "heads/x.json");
    }

    #[test]
    fn every_setting_is_read() {
        let all = "s3://b/p?region=eu-west-1&endpoint=http://127.0.0.1:9000&path_style=false&requester_pays=true&profile=me&owner=111122223333\
                   &anonymous=false&storage_class=STANDARD&forms=zstd,raw&cdn=https://cdn.example/p&distribution=E1";
        let location = read(all).unwrap();
        assert_eq!(location.region.as_deref(), Some("eu-west-1"));
        assert_eq!(location.endpoint.as_ref().unwrap().as_str(), "http://127.0.0.1:9000/");
        assert!(!location.path_style && location.requester_pays && !location.anonymous);
        assert_eq!((location.profile.as_deref(), location.storage_class.as_deref()), (Some("me"), Some("STANDARD")));
        assert_eq!(location.owner.as_deref(), Some("111122223333"));
        assert_eq!(location.forms(), Forms::Both);
        assert_eq!(location.cdn().unwrap().distribution.as_deref(), Some("E1"));
        let names: Vec<String> = Url::parse(all).unwrap().query_pairs().map(|(name, _)| name.into_owned()).collect();
        assert!(SETTINGS.iter().all(|setting| names.iter().any(|name| name == setting)), "{names:?}");
    }

    #[test]
    fn readers_who_pay_get_raw_chunks_and_other_servers_paths() {
        assert_eq!(read("s3://b?requester_pays=true").unwrap().forms(), Forms::Raw);
        assert_eq!(read("s3://b").unwrap().forms(), Forms::Zstd);
        assert_eq!(read("s3://b?cdn=https://cdn.example").unwrap().forms(), Forms::Zstd);
        assert!(read("s3://b?endpoint=http://127.0.0.1:1").unwrap().path_style && !read("s3://b").unwrap().path_style);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_the_next_word_named() {
        for (text, expected) in [
            ("s3:///prefix", "no bucket"),
            ("s3://key:secret@bucket", "credentials come from"),
            ("s3://b?requesterpays=true", "did you mean requester_pays?"),
            ("s3://b?x=1", "known: anonymous"),
            ("s3://b?requester_pays=yes", "true or false"),
            ("s3://b?region=", "region= is empty"),
            ("s3://b?owner=1111%0A2222", "id of an account"),
            ("s3://b?endpoint=ftp://a", "http or https"),
            ("s3://b?endpoint=http://u:p@a", "without credentials"),
            ("s3://b?storage_class=GLACIER", "STANDARD"),
            ("s3://b?forms=gzip", "expected zstd"),
            ("s3://b?distribution=E1", "cdn=URL"),
            ("s3://b#x", "fragment"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(expected), "{text}: {refused}");
            // AW-11
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
