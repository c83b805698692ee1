//! A snapshot on IPFS as a source: the objects of the format, taken from one gateway block by block (docs/format.md, 2.8).
//!
//! Chunks and lists are blocks named by the same hash, so that their CIDs follow from their keys, with or without a snapshot's root.
//! Everything else is reached through the root: its CID names one snapshot for ever.

mod file;
mod place;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use place::Place;

use crate::{
    format::{
        ipfs::name,
        store_info::{Cas, StoreInfo},
        unixfs,
    },
    store::{Error, ErrorKind, Gateway, MAX_BLOCK_BYTES, ReadStore},
    types::{Cid, Codec, Form, Forms, Hash, ObjectKey},
};

/// What every root has.
const ENTRIES: [&str; 3] = [name::HEAD, name::MANIFEST, name::TRUST];
/// How many names are said of a directory that is no snapshot.
const MOST_NAMES: usize = 8;

/// The entries of a directory.
type Directory = Vec<(String, Cid)>;

/// One gateway as a source of one snapshot, or of chunks and lists alone.
pub struct IpfsSource {
    gateway: Arc<Gateway>,
    root: Option<Cid>,
    forms: Option<Forms>,
    name: String,
    entries: OnceCell<Directory>,
    trust: OnceCell<Directory>,
    /// BLAKE3 of the manifest, once it was read.
    manifest: OnceCell<Hash>,
}

impl IpfsSource {
    /// The snapshot with this root, or chunks and lists of any; `forms` says how chunks are held there, where the user does.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, root: Option<Cid>, forms: Option<Forms>) -> Self {
        let shown = root.map(|root| root.to_string()).unwrap_or_default();
        let name = format!("ipfs://{shown}: {}", gateway.name());
        Self { gateway, root, forms, name, entries: OnceCell::new(), trust: OnceCell::new(), manifest: OnceCell::new() }
    }

    fn error(&self, kind: ErrorKind, reason: impl Into<String>) -> Error {
        Error::new(kind, &self.name, "get", "", reason)
    }

    fn absent(&self, what: impl fmt::Display) -> Error {
        self.error(ErrorKind::NotFound, what.to_string())
    }

    fn not_a_snapshot(&self, why: impl fmt::Display) -> Error {
        self.error(ErrorKind::NoSuchStore, format!("not a qsync snapshot: {why}"))
    }

    /// A block; what failed names it.
    async fn block_into(&self, cid: &Cid, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        let failed = |error: Error| Error { reason: format!("block {cid}: {}", error.reason), key: String::new(), ..error };
        self.gateway.block_into(cid, max_bytes, into).await.map_err(failed)
    }

    async fn block(&self, cid: &Cid, max_bytes: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.block_into(cid, max_bytes, &mut bytes).await?;
        Ok(bytes)
    }

    /// The entries of the root.
    async fn entries(&self) -> Result<&Directory, Error> {
        let root = self.root.ok_or_else(|| self.absent("a source of chunks alone"))?;
        self.entries.get_or_try_init(async || self.read_root(&root).await).await
    }

    async fn read_root(&self, root: &Cid) -> Result<Directory, Error> {
        let entries = self.directory(root).await?;
        if ENTRIES.iter().all(|name| find(&entries, name).is_some()) { Ok(entries) } else { Err(self.not_a_snapshot(found(&entries))) }
    }

    async fn directory(&self, cid: &Cid) -> Result<Directory, Error> {
        if cid.codec() == Codec::Raw {
            return Err(self.not_a_snapshot("found a single block of content"));
        }
        let block = self.block(cid, MAX_BLOCK_BYTES).await?;
        unixfs::read_directory(&block).map_err(|invalid| match invalid {
            unixfs::InvalidNode::Other { found, .. } => self.not_a_snapshot(format_args!("found {found}")),
            other @ (unixfs::InvalidNode::Malformed(_) | unixfs::InvalidNode::Link(_) | unixfs::InvalidNode::Lengths(_)) => {
                self.not_a_snapshot(other)
            }
        })
    }

    /// The CID of something below the root.
    async fn below_root(&self, place: &Place) -> Result<Cid, Error> {
        let entries = self.entries().await?;
        let in_root = |name: &str| find(entries, name).ok_or_else(|| self.absent(format_args!("the snapshot has no {name}")));
        match place {
            Place::Root(version) => {
                let folder = in_root(name::TRUST)?;
                let trust = self.trust.get_or_try_init(async || self.directory(&folder).await).await?;
                let name = format!("{version}.json");
                find(trust, &name).ok_or_else(|| self.absent(format_args!("the snapshot has no trust/{name}")))
            }
            Place::Head => in_root(name::HEAD),
            Place::Manifest(_) => in_root(name::MANIFEST),
            Place::Block(cid) => Ok(*cid),
            Place::StoreInfo | Place::Nowhere => Err(self.absent("no such object")),
        }
    }

    async fn manifest_into(&self, id: Hash, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        let other = |found: Hash| self.absent(format_args!("the snapshot has another manifest, b3:{}", found.short()));
        if let Some(known) = self.manifest.get().filter(|known| **known != id) {
            return Err(other(*known));
        }
        if self.root.is_none() {
            // A short manifest is a block of its own name.
            return self.block_into(&Cid::new(Codec::Raw, id), max_bytes, into).await;
        }
        let cid = self.below_root(&Place::Manifest(id)).await?;
        if cid.codec() == Codec::Raw && cid.hash() != id {
            return Err(other(cid.hash()));
        }
        self.file_into(&cid, max_bytes, into).await?;
        let found = *self.manifest.get_or_init(async || Hash::of(into)).await;
        if found == id { Ok(()) } else { Err(other(found)) }
    }

    /// What this source would say of itself, if it were a store. Readers take the forms from it and nothing else.
    async fn store_info(&self) -> Result<Vec<u8>, Error> {
        let forms = match self.forms {
            Some(forms) => forms,
            None => self.forms_below_root().await?,
        };
        Ok(StoreInfo::new(Hash::from_bytes([0; Hash::BYTES]), forms, Cas::None).to_bytes())
    }

    /// Whoever publishes the archive has its frames there, and whoever publishes the tree its chunks. Where neither is, both are as likely.
    async fn forms_below_root(&self) -> Result<Forms, Error> {
        let entries = self.entries().await?;
        let has = |name: &str, form: Form| find(entries, name).map(|_| form);
        let held: Vec<Form> = [has(name::ARCHIVE, Form::Zstd), has(name::TREE, Form::Raw)].into_iter().flatten().collect();
        Ok(match Forms::of(&held) {
            Forms::Neither => Forms::Both,
            forms @ (Forms::Zstd | Forms::Raw | Forms::Both) => forms,
        })
    }

    async fn read(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        match Place::of(key) {
            Place::Nowhere => Err(self.absent("no such object")),
            Place::Block(cid) => self.block_into(&cid, max_bytes, into).await,
            Place::Manifest(id) => self.manifest_into(id, max_bytes, into).await,
            place @ (Place::Head | Place::Root(_)) => {
                let cid = self.below_root(&place).await?;
                self.file_into(&cid, max_bytes, into).await
            }
            Place::StoreInfo => {
                let bytes = self.store_info().await?;
                if bytes.len() as u64 > max_bytes {
                    return Err(self.error(ErrorKind::TooLarge, format!("{} bytes, at most {max_bytes} expected", bytes.len())));
                }
                into.extend_from_slice(&bytes);
                Ok(())
            }
        }
    }
}

#[async_trait]
impl ReadStore for IpfsSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn address(&self, key: &ObjectKey) -> Option<String> {
        if let Place::Block(cid) = Place::of(key) { Some(cid.to_string()) } else { None }
    }

    fn be_patient(&self) {
        self.gateway.be_patient();
    }

    /// What is not a snapshot at all is [`ErrorKind::NoSuchStore`].
    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        let named = |error: Error| Error { store: self.name.clone(), key: key.to_string(), ..error };
        self.read(key, max_bytes, into).await.map_err(named)
    }
}

fn find(entries: &Directory, name: &str) -> Option<Cid> {
    entries.iter().find(|(entry, _)| entry == name).map(|(_, cid)| *cid)
}

/// What a directory is, for whoever took it for a snapshot.
fn found(entries: &Directory) -> String {
    if entries.is_empty() {
        return "found an empty directory".to_owned();
    }
    let shown = |name: &str| name.chars().take(40).collect::<String>().escape_debug().to_string();
    let names: Vec<String> = entries.iter().take(MOST_NAMES).map(|(name, _)| shown(name)).collect();
    let rest = entries.len().checked_sub(MOST_NAMES).filter(|rest| *rest > 0).map(|rest| format!(" and {rest} more"));
    format!("found a directory with {}{}", names.join(", "), rest.unwrap_or_default())
}

impl fmt::Debug for IpfsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpfsSource").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
