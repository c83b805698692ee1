//! Reading objects.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use aws_sdk_s3::{operation::get_object::GetObjectOutput, primitives::ByteStream};

use super::{Absence, S3Store, fault::Fault};
use crate::{
    store::{Charge, Error, ErrorKind, ReadStore, patience::Pace},
    types::ObjectKey,
};

#[async_trait]
impl ReadStore for S3Store {
    fn name(&self) -> &str {
        &self.name
    }

    fn charge(&self) -> Charge {
        if self.location.requester_pays { Charge::RequesterPays { region: self.sure_region().unwrap_or_default() } } else { Charge::Free }
    }

    fn be_patient(&self) {
        self.is_patient.store(true, Ordering::Relaxed);
    }

    /// An empty object is [`ErrorKind::BadAnswer`]: no object of the format is empty.
    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        let read = self.fetch(key, max_bytes, into).await;
        read.map(drop).map_err(|fault| self.error("get", key.as_str(), self.as_absence(fault, Absence::Guessed)))
    }
}

impl S3Store {
    /// Reads an object, and says what its entity tag is.
    pub(super) async fn fetch(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<Option<String>, Fault> {
        let object = self.location.object(key.as_str());
        let get = |client: aws_sdk_s3::Client| client.get_object().bucket(&self.location.bucket).key(&object).send();
        let GetObjectOutput { body, content_length, e_tag, content_encoding, .. } = self.send(self.timeouts.answer(0), get).await?;
        if let Some(encoding) = content_encoding.filter(|encoding| !encoding.is_empty() && encoding != "identity") {
            return Err(Fault::new(ErrorKind::BadAnswer, format!("the object is encoded as {encoding:?}, which qsync never writes")));
        }
        if let Some(announced) = content_length.filter(|length| u64::try_from(*length).is_ok_and(|length| length > max_bytes)) {
            return Err(Fault::new(ErrorKind::TooLarge, format!("{announced} bytes are announced, at most {max_bytes} expected")));
        }
        self.read(body, max_bytes, into).await?;
        self.has_read.store(true, Ordering::Relaxed);
        Ok(e_tag)
    }

    async fn read(&self, mut body: ByteStream, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
        let timeouts = if self.is_patient.load(Ordering::Relaxed) { self.timeouts.patient() } else { self.timeouts };
        let mut pace = Pace::new(&timeouts);
        while let Some(piece) = pace.wait(body.next()).await.map_err(|slow| Fault::new(ErrorKind::TooSlow, slow.0))? {
            let piece = piece
                .map_err(|error| Fault { source: Some(Box::new(error)), ..Fault::new(ErrorKind::Interrupted, "the answer breaks off") })?;
            pace.arrived(piece.len());
            if into.len() as u64 + piece.len() as u64 > max_bytes {
                return Err(Fault::new(ErrorKind::TooLarge, format!("more than the {max_bytes} bytes expected arrive")));
            }
            into.extend_from_slice(&piece);
        }
        if into.is_empty() { Err(Fault::new(ErrorKind::BadAnswer, "the answer is empty")) } else { Ok(()) }
    }
}
