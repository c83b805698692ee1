//! A store behind a web server.
use std::time::Duration;

use ::url::Url;
use async_trait::async_trait;

use super::{Error, ReadStore};
use crate::types::ObjectKey;

/// How long a web server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To accept a connection, with the TLS handshake.
    pub connect: Duration,
    /// From the request to the end of the answer's headers.
    pub first_byte: Duration,
    /// The length of the window in which the rate of a body is measured.
    pub rate_window: Duration,
    /// The fewest bytes of a body that must arrive in each such window.
    pub rate_window_bytes: u64,
}

/// A store behind a web server. Read only.
#[derive(Debug)]
pub struct HttpStore;

impl HttpStore {
    /// A store whose keys are appended to `base`. Does not connect.
    ///
    /// # Errors
    /// [`super::ErrorKind::BadAnswer`] when `base` is no http or https URL.
    pub fn open(_base: &Url, _timeouts: Timeouts) -> Result<Self, Error> {
        todo!()
    }
}

#[async_trait]
impl ReadStore for HttpStore {
    fn name(&self) -> &str {
        todo!()
    }
    async fn get_into(&self, _key: &ObjectKey, _max_bytes: u64, _into: &mut Vec<u8>) -> Result<(), Error> {
        todo!()
    }
}
