//! The vocabulary everything else is written in: checked once, where text or bytes enter, and
//! trusted from there on. Pure: no files, no clock, no network.

mod channel;
mod chunk_size;
mod cid;
mod credential_fault;
mod form;
mod hash;
mod object_key;
mod rel_path;
pub mod reserved;
mod when;

pub use bytesize::ByteSize;
pub use channel::{ChannelName, InvalidChannelName};
pub use chunk_size::{ChunkSize, InvalidChunkSize};
pub use cid::{Cid, Codec, InvalidCid};
pub use credential_fault::CredentialFault;
pub use form::{Form, Forms, InvalidForms};
pub use hash::{Hash, InvalidHash};
pub use jiff::Timestamp;
pub use object_key::{InvalidObjectKey, ObjectKey};
pub use rel_path::{InvalidRelPath, RelPath};
pub use when::{InvalidWhen, When};
