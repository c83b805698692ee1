//! What else can be done with published snapshots: cid, list, show, diff, export, mirror, serve, thaw; and what operators are told of a run.

pub mod check;
pub mod cid;
pub mod detect;
pub mod diff;
pub mod doctor;
pub mod export;
mod frames;
pub mod list;
pub mod metrics;
pub mod mirror;
pub mod ping;
pub mod runs;
pub mod serve;
pub mod show;
pub mod thaw;
pub mod usage;
