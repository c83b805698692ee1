//! Under construction.
/// Under construction.
#[derive(Debug, Default)]
pub struct RecordStore;
/// Under construction.
#[derive(Debug, Default)]
pub struct Call;
