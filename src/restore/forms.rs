//! In which form each source stores chunks.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;

use super::Options;
use crate::{
    format::{
        key,
        store_info::{self, StoreInfo},
    },
    sources::{Form, Settings, Sources},
    store::DynReadStore,
};

/// `store.json` is a hint: a source that does not answer in time is asked for frames.
const PATIENCE: Duration = Duration::from_secs(5);

/// All sources of a run as one.
pub(super) async fn as_one(options: &Options) -> Sources {
    let forms = join_all(options.sources.iter().map(form_of)).await;
    let stores = options.sources.iter().map(Arc::clone).zip(forms).collect();
    let settings = Settings { max_wait: Duration::from_secs(options.max_wait_secs), ..Settings::default() };
    Sources::new(stores, settings, Arc::clone(&options.progress))
}

async fn form_of(store: &DynReadStore) -> Form {
    let asked = tokio::time::timeout(PATIENCE, store.get(&key::store_info(), key::STORE_INFO_MAX_BYTES)).await;
    let known = asked.ok().and_then(Result::ok).and_then(|bytes| StoreInfo::from_bytes(&bytes).ok());
    match known {
        Some(info) if !info.forms.contains(&store_info::Form::Zstd) => Form::Raw,
        _ => Form::Framed,
    }
}
