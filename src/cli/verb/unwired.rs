//! Stands where a call of the library belongs that another branch brings. Goes away when the last one is wired.

use crate::cli::{Code, exit::Failure};

/// Fails, and says which call is missing.
pub(super) fn unwired<T>(call: &str) -> Result<T, Failure> {
    Err(Failure::new(Code::Error, format!("not wired yet: {call}")))
}
