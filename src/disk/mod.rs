//! A data directory on this machine: reading one that is to be published, and building one that is restored.
//!
//! Publishing uses [`lock`], [`in_use`], [`clone`], [`scan`], [`secrets`] and [`read`]. Restoring uses [`target`], [`space`], [`staging`],
//! [`journal`], [`reuse`], [`writer`], [`swap`] or [`in_place`], and [`record`], and [`verify`] proves what is there. Everything blocks: call it from
//! blocking threads. Nothing here knows stores, networks or who may publish.

mod batch;
pub mod clone;
mod commit;
#[cfg(test)]
mod crash_tests;
pub mod engine;
mod error;
pub mod have;
pub mod in_place;
#[cfg(test)]
mod in_place_tests;
pub mod in_use;
pub mod journal;
mod layout;
mod lists;
pub mod lock;
pub mod mode;
mod mounts;
mod open_files;
mod pin;
pub mod plan;
pub mod read;
pub mod record;
mod rehash;
pub mod reuse;
pub mod scan;
pub mod secrets;
pub mod select;
pub mod space;
pub mod staging;
#[cfg(test)]
mod staging_tests;
pub mod swap;
#[cfg(test)]
mod swap_tests;
pub mod target;
#[cfg(test)]
mod testing;
pub mod usage;
pub mod verify;
pub mod writer;

pub use error::{Class, Error};
