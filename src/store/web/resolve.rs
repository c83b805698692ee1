//! Looks names up, leaving out addresses that a redirect must not reach.

use std::{io, net::SocketAddr};

use ::url::Host;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::redirect::is_link_local;

/// The system's resolver; only the configured host may have a link-local address.
#[derive(Debug)]
pub(super) struct Resolver {
    configured: Host,
}

impl Resolver {
    pub(super) fn new(configured: Host) -> Self {
        Self { configured }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let configured = matches!(&self.configured, Host::Domain(domain) if domain.eq_ignore_ascii_case(name.as_str()));
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(allowed(found, configured)?)
        })
    }
}

fn allowed(found: impl Iterator<Item = SocketAddr>, configured: bool) -> io::Result<Addrs> {
    let allowed: Vec<_> = found.filter(|address| configured || !is_link_local(address.ip())).collect();
    if allowed.is_empty() {
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address that may be used"));
    }
    Ok(Box::new(allowed.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // HM-12
    #[test]
    fn a_name_that_leads_to_a_link_local_address_has_none() {
        let addresses = || ["169.254.169.254:0".parse().unwrap(), "192.0.2.1:0".parse().unwrap()].into_iter();
        assert_eq!(allowed(addresses(), false).unwrap().count(), 1);
        assert_eq!(allowed(addresses(), true).unwrap().count(), 2);
        assert!(allowed(addresses().take(1), false).is_err());
    }
}
