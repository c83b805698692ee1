//! nginx as a content delivery network: a cache before a bucket, which does what `CloudFront` does where a reader can tell.

use super::nginx::Nginx;

/// How long an error is remembered, as `CloudFront` does by default.
pub(crate) const ERROR_SECONDS: u64 = 10;

/// A running cache; it is killed when this is dropped.
pub(crate) struct Cdn {
    nginx: Nginx,
}

impl Cdn {
    /// Serves what `origin`, the URL of a bucket without a slash at its end, lets anybody read.
    pub(crate) fn before(origin: &str) -> Self {
        let of_http = "access_log off;\nproxy_cache_path cache levels=1:2 keys_zone=cdn:2m inactive=1d;";
        Self { nginx: Nginx::start_with(of_http, &cache_of(origin)) }
    }

    /// Its address, as a source.
    pub(crate) fn url(&self) -> String {
        self.nginx.url()
    }

    /// Kills it, with every connection.
    pub(crate) fn kill(&mut self) {
        self.nginx.kill();
    }
}

/// An object is kept for as long as it says itself, an error for a while, and what is old is served while the origin is down. Requests
/// for one object are one request to the origin, which learns nothing of who asks. `X-Cache` says what the cache had.
fn cache_of(origin: &str) -> String {
    format!(
        "location / {{\n\
         proxy_pass {origin}/;\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";\n\
         proxy_set_header Authorization \"\";\nproxy_set_header x-amz-request-payer \"\";\n\
         add_header X-Cache $upstream_cache_status always;\nproxy_cache cdn;\nproxy_cache_key $uri;\nproxy_cache_lock on;\n\
         proxy_cache_valid 400 403 404 405 414 416 500 501 502 503 504 {ERROR_SECONDS}s;\n\
         proxy_cache_use_stale error timeout http_500 http_502 http_503 http_504;\n\
         }}"
    )
}
