//! Which redirects are followed.

use std::net::IpAddr;

use ::url::{Host, Url};
use reqwest::redirect::{Attempt, Policy};
use thiserror::Error;

use super::Redirects;

/// The most redirects followed for one request.
const MAX_HOPS: usize = 5;

/// Why a redirect is not followed.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Refused {
    #[error("the server redirects more than {MAX_HOPS} times")]
    TooMany,
    #[error("the server redirects from https to http")]
    Downgrade,
    #[error("the server redirects to a {0} URL")]
    Scheme(String),
    #[error("the server redirects to the link-local address {0}")]
    LinkLocal(String),
    #[error("the server redirects to another host, {0}")]
    OtherHost(String),
}

/// Follows what [`check`] allows. The client itself never sends a password to another host or port.
pub(super) fn policy(configured: Host, redirects: Redirects) -> Policy {
    Policy::custom(move |attempt: Attempt<'_>| match check(&configured, redirects, attempt.previous(), attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(refused) => attempt.error(refused),
    })
}

/// `previous` are the URLs asked so far, the first one included.
fn check(configured: &Host, redirects: Redirects, previous: &[Url], to: &Url) -> Result<(), Refused> {
    if previous.len() > MAX_HOPS {
        return Err(Refused::TooMany);
    }
    match to.scheme() {
        "https" => {}
        "http" if previous.iter().any(|url| url.scheme() == "https") => return Err(Refused::Downgrade),
        "http" => {}
        other => return Err(Refused::Scheme(other.to_owned())),
    }
    match to.host() {
        Some(host) if host.to_owned() == *configured => Ok(()),
        Some(host) if is_link_local_host(&host.to_owned()) => Err(Refused::LinkLocal(host.to_string())),
        Some(host) if redirects == Redirects::SameHost => Err(Refused::OtherHost(host.to_string())),
        _ => Ok(()),
    }
}

fn is_link_local_host(host: &Host) -> bool {
    match host {
        Host::Ipv4(address) => is_link_local((*address).into()),
        Host::Ipv6(address) => is_link_local((*address).into()),
        Host::Domain(_) => false, // the resolver looks at its addresses
    }
}

/// Where clouds keep the credentials of a machine, and what no mirror has a reason to name.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(configured: &str, previous: &[&str], to: &str) -> Result<(), Refused> {
        let previous: Vec<Url> = previous.iter().map(|url| url.parse().unwrap()).collect();
        check(&Host::parse(configured).unwrap(), Redirects::Elsewhere, &previous, &to.parse().unwrap())
    }

    #[test]
    fn who_must_stay_at_the_host_follows_to_no_other() {
        let judge = |to: &str| {
            check(&Host::parse("a.example").unwrap(), Redirects::SameHost, &["http://a.example/x".parse().unwrap()], &to.parse().unwrap())
        };
        assert_eq!(judge("https://a.example/y"), Ok(()));
        assert_eq!(judge("http://bafy.ipfs.a.example/"), Err(Refused::OtherHost("bafy.ipfs.a.example".to_owned())));
    }

    // HM-12
    #[test]
    fn follows_only_what_cannot_harm() {
        assert_eq!(judge("a", &["https://a/x"], "https://b/x"), Ok(()));
        assert_eq!(judge("a", &["http://a/x"], "https://b/x"), Ok(()));
        assert_eq!(judge("a", &["http://a/x"], "http://b/x"), Ok(()));
        assert_eq!(judge("a", &["https://a/x"], "http://a/x"), Err(Refused::Downgrade));
        assert_eq!(judge("a", &["http://a/x", "https://a/x"], "http://a/x"), Err(Refused::Downgrade));
        assert_eq!(judge("a", &["http://a/x"], "file:///etc/passwd"), Err(Refused::Scheme("file".into())));
        assert_eq!(judge("a", &["http://a/x"; 5], "http://a/y"), Ok(()));
        assert_eq!(judge("a", &["http://a/x"; 6], "http://a/y"), Err(Refused::TooMany));
    }

    // HM-12
    #[test]
    fn follows_to_a_link_local_address_only_when_the_user_named_it() {
        for address in ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"] {
            let url = format!("http://{address}/latest/meta-data");
            assert!(matches!(judge("a", &["http://a/x"], &url), Err(Refused::LinkLocal(_))), "{address}");
            assert_eq!(judge(address, &["http://a/x"], &url), Ok(()));
        }
    }
}
