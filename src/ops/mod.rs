//! What else can be done with published snapshots: cid, list, show, diff, export, mirror, serve.

pub mod cid;
pub mod detect;
pub mod diff;
pub mod export;
mod frames;
pub mod list;
pub mod mirror;
pub mod serve;
pub mod show;
