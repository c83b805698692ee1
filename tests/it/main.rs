//! What users and maintainers are promised, tested from outside: one binary, one module for each subject.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod agent;
mod cli_config;
mod cli_help;
mod cli_signals;
mod cli_trust;
mod corpus;
mod diff;
mod evil_manifest;
mod evil_mirror;
mod evil_network;
mod export_frames;
mod faults_doc;
mod first_contact;
mod ipfs_publish;
mod ipfs_restore;
mod json;
mod kill;
mod kubo_rpc;
mod layering;
mod mirror;
mod node_profiles;
mod power_cut;
mod publish_read;
mod publish_stores;
mod publish_unchanged;
mod published;
mod refusals_publish;
mod refusals_restore;
mod restore_crash;
mod restore_gone;
mod restore_in_place;
mod restore_panic;
mod restore_place;
mod restore_reuse;
mod restore_sources;
mod round_trip;
mod s3;
mod scarce;
mod store_processes;
mod support;
mod tls;
mod verify_repair;
