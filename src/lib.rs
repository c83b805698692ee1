//! Publish and restore blockchain node databases: chunked, signed, verified, resumable.
//!
//! The library behind the `qsync` command. Modules import downwards only; `docs/architecture.md`
//! shows the layers and `tests/it/layering.rs` enforces them.
//!
//! | layer | modules |
//! |---|---|
//! | 5 | `cli` (the binary's front) |
//! | 4 | [`publish`], [`restore`], [`ops`] |
//! | 3 | [`catalog`], [`disk`], [`node`], [`sources`] |
//! | 2 | [`trust`] |
//! | 1 | [`mod@format`], [`store`], [`kubo`], [`profile`], [`progress`] |
//! | 0 | [`types`], [`fs`] |

pub mod cli;

pub mod ops;
pub mod publish;
pub mod restore;

pub mod catalog;
pub mod disk;
pub mod node;
pub mod sources;

pub mod trust;

pub mod format;
pub mod kubo;
pub mod profile;
pub mod progress;
pub mod store;

pub mod fs;
pub mod types;
