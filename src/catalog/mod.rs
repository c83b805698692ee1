//! A published store as one sees it from outside: channels, their heads, their manifests; and how they are moved on.
//!
//! Reading: [`open_channel`] asks all sources, judges by `trust` and remembers what it saw in the [`StateDir`] before it
//! answers; [`select`] and [`fetch_manifest`] lead on to a snapshot. Writing: a [`Publisher`] signs for a repository,
//! [`init()`] makes one. What is remembered only ever grows, over any number of processes and power cuts.

mod advance;
mod ask;
mod by_cid;
mod channels;
mod error;
mod generations;
mod init;
mod key_store;
mod keys;
mod manifest;
mod open;
mod pinned;
pub mod plan;
mod prepare;
mod publisher;
mod read_back;
mod refresh;
mod repos;
mod snapshot;
mod state_dir;
#[cfg(test)]
mod state_tests;
#[cfg(test)]
mod store_tests;
mod withdraw;

pub use advance::{StoreHead, read_head, write_head};
pub use by_cid::open_by_cid;
pub use channels::{addresses_on_ipfs, index_on_ipfs, list_channels, nearest, update_index};
pub use error::{Error, ObjectTrouble};
pub use init::{Initialised, init, init_key_store};
pub use key_store::key_store;
pub use manifest::{fetch_manifest, select};
pub use open::{OpenChannel, open_channel, open_roots};
pub use pinned::{Kept, check_pinned};
pub use prepare::{check_answers, check_repo, forms_of, one_writer_warning, prepare_store, store_info};
pub use publisher::Publisher;
pub use read_back::{Proved, Sample, check_object, put_proved};
pub use refresh::{Refreshed, Terms, announce, refresh, refresh_locked};
pub use repos::{Forgotten, Pinned};
pub use snapshot::{OpenSnapshot, open_snapshot};
pub use state_dir::{StateDir, StateError};
pub use withdraw::{Withdrawn, withdraw};
