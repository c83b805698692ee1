//! What is published: bytes ⇄ values, every limit of format version 1 enforced where bytes enter.
//!
//! Pure: no files, no clock, no network. `docs/format.md` describes the same for people.

pub mod archive;
pub mod car;
pub mod chunk;
pub mod file_hash;
pub mod frame;
pub mod head;
pub mod index;
pub mod ipfs;
pub mod json;
pub mod key;
pub mod list;
pub mod manifest;
pub mod payload;
pub mod root;
pub mod row;
pub mod shape;
pub mod store_info;
pub mod tar;
pub mod unixfs;
pub mod zeros;
