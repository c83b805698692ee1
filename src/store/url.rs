//! Under construction.
/// Under construction.
#[derive(Debug, Default)]
pub struct StoreUrl;
/// Under construction.
#[derive(Debug, Default)]
pub struct InvalidStoreUrl;
