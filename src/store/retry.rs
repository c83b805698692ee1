//! Under construction.
/// Under construction.
#[derive(Debug, Default)]
pub struct RetryStore;
/// Under construction.
#[derive(Debug, Default)]
pub struct RetryPolicy;
