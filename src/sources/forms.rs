//! In which form each source stores chunks.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;

use super::Form;
use crate::{
    format::{key, store_info::StoreInfo},
    store::{Charge, DynReadStore, ReadStore as _, RetryPolicy, RetryStore},
    types::Forms,
};

/// `store.json` is a hint: a source that does not answer in time is asked for frames.
const PATIENCE: Duration = Duration::from_secs(10);

/// Each source with the form it says it has; frames where it does not say.
pub async fn with_forms(stores: &[DynReadStore]) -> Vec<(DynReadStore, Form)> {
    let forms = join_all(stores.iter().map(form_of)).await;
    stores.iter().map(Arc::clone).zip(forms).collect()
}

async fn form_of(store: &DynReadStore) -> Form {
    let patient = RetryStore::new(Arc::clone(store), RetryPolicy::default());
    let asked = tokio::time::timeout(PATIENCE, patient.get(&key::store_info(), key::STORE_INFO_MAX_BYTES)).await;
    let known = asked.ok().and_then(Result::ok).and_then(|bytes| StoreInfo::from_bytes(&bytes).ok());
    match known {
        Some(info) if info.forms() == Forms::Raw => Form::Raw,
        // As such buckets are when nobody says otherwise.
        None if store.charge() != Charge::Free => Form::Raw,
        Some(_) | None => Form::Framed,
    }
}
