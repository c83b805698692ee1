//! In which form each source stores chunks.

use std::{sync::Arc, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use super::Form;
use crate::{
    format::{key, store_info::StoreInfo},
    store::{Charge, DynReadStore, ReadStore as _, RetryPolicy, RetryStore},
    types::Forms,
};

/// `store.json` is a hint: a source that does not answer in time is asked for frames.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for the others once one source has answered: the transfer could begin.
const GRACE: Duration = Duration::from_secs(2);

/// Each source with the form it says it has, or as is likely where it does not say in time: the engine asks again when it lacks a chunk.
pub async fn with_forms(stores: &[DynReadStore]) -> Vec<(DynReadStore, Form)> {
    let mut forms: Vec<Form> = stores.iter().map(likely).collect();
    let mut asked: FuturesUnordered<_> = stores.iter().enumerate().map(async |(index, store)| (index, told(store).await)).collect();
    let mut end = Instant::now() + PATIENCE;
    while let Ok(Some((index, told))) = timeout_at(end, asked.next()).await {
        if let Some(form) = told {
            forms[index] = form;
            end = end.min(Instant::now() + GRACE);
        }
    }
    stores.iter().map(Arc::clone).zip(forms).collect()
}

/// As such stores are when nobody says otherwise.
fn likely(store: &DynReadStore) -> Form {
    if store.charge() == Charge::Free { Form::Framed } else { Form::Raw }
}

/// What a store says itself.
pub(super) async fn told(store: &DynReadStore) -> Option<Form> {
    let patient = RetryStore::new(Arc::clone(store), RetryPolicy::default());
    let bytes = patient.get(&key::store_info(), key::STORE_INFO_MAX_BYTES).await.ok()?;
    let info = StoreInfo::from_bytes(&bytes).ok()?;
    Some(if info.forms() == Forms::Raw { Form::Raw } else { Form::Framed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        format::store_info::Cas,
        store::{Fault, MemoryStore, RecordStore},
        types::Hash,
    };

    fn raw(delay: u64) -> DynReadStore {
        let store = MemoryStore::new("source");
        store.overwrite(&key::store_info(), StoreInfo::new(Hash::of(b"repo"), Forms::Raw, Cas::None).to_bytes());
        Arc::new(RecordStore::new(store).with_faults(move |_| Some(Fault::Delay(Duration::from_secs(delay)))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_source_does_not_hold_up_those_that_said_what_they_have() {
        for (delays, forms, waited) in [
            (vec![0, 1], vec![Form::Raw, Form::Raw], 1),
            (vec![3600, 1], vec![Form::Framed, Form::Raw], 3),
            (vec![9, 3600], vec![Form::Raw, Form::Framed], 10),
            (vec![3600], vec![Form::Framed], 10),
        ] {
            let stores: Vec<DynReadStore> = delays.iter().map(|delay| raw(*delay)).collect();
            let begin = Instant::now();
            let found: Vec<Form> = with_forms(&stores).await.into_iter().map(|(_, form)| form).collect();
            assert_eq!((found, begin.elapsed().as_secs()), (forms, waited), "{delays:?}");
        }
    }
}
