//! What is read of a source before anything is agreed to: roots, heads, the index and manifests, for at most a cent a run.
//!
//! Whoever names a source that costs money agrees to that much (docs/costs.md), and sees what it came to. Lists and chunks are the
//! engine's to account.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    PriceTable, Prices, ReadFrom,
    meter::{self, Cost, Held, Meter},
    usd,
};
use crate::{
    format::key,
    store::{Charge, DynReadStore, Error, ErrorKind, ReadStore},
    types::ObjectKey,
};

/// What may be spent on metadata without any other consent, millionths of a US dollar: a cent.
pub const A_CENT: u64 = 10_000;

/// What a run may spend on metadata, all sources together. Clones share it.
#[derive(Clone, Debug)]
pub struct Allowance {
    meter: Arc<Mutex<Meter>>,
    prices: Prices,
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new(Some(A_CENT), PriceTable::builtin().prices(ReadFrom::Internet))
    }
}

impl Allowance {
    /// So many millionths of a US dollar; `None` for as much as it takes.
    #[must_use]
    pub fn new(cap_micro_usd: Option<u64>, prices: Prices) -> Self {
        Self { meter: Arc::new(Mutex::new(Meter::new(cap_micro_usd))), prices }
    }

    /// Somebody has agreed to pay what it takes.
    pub fn lift(&self) {
        self.meter.lock().expect("no holder of this lock panics").lift_cap();
    }

    /// The same sources; those that cost money account what is read of their metadata.
    #[must_use]
    pub fn watch(&self, sources: Vec<DynReadStore>) -> Vec<DynReadStore> {
        let watch = |source: DynReadStore| -> DynReadStore {
            if source.charge() == Charge::Free {
                return source;
            }
            Arc::new(Watched { source, prices: self.prices.clone(), meter: Arc::clone(&self.meter), spent: Mutex::default() })
        };
        sources.into_iter().map(watch).collect()
    }
}

#[derive(Debug)]
struct Watched {
    source: DynReadStore,
    prices: Prices,
    meter: Arc<Mutex<Meter>>,
    spent: Mutex<Cost>,
}

impl Watched {
    fn with_meter<T>(&self, work: impl FnOnce(&mut Meter) -> T) -> T {
        work(&mut self.meter.lock().expect("no holder of this lock panics"))
    }

    /// Sets aside the most that a request can cost; `None` for a source that turns out to be free.
    fn pay(&self, object: &ObjectKey, most_bytes: u64) -> Result<Option<Payment<'_>>, Error> {
        let Some(price) = self.prices.of(&self.source.charge()) else { return Ok(None) };
        match self.with_meter(|meter| meter.hold(price, most_bytes)) {
            Some(held) => Ok(Some(Payment { store: self, held: Some(held) })),
            None => {
                let cap = usd(self.with_meter(|meter| meter.cap_micro_usd()));
                let reason = format!(
                    "reading up to {most_bytes} bytes more would pass the {cap} that heads and manifests may cost without \
                     consent (--accept-cost, or a greater --max-cost)"
                );
                Err(Error::new(ErrorKind::Denied, self.source.name(), "get", object.as_str(), reason))
            }
        }
    }
}

/// Money for one request. It counts in full when nobody waits for the request's end.
struct Payment<'a> {
    store: &'a Watched,
    held: Option<Held>,
}

impl Payment<'_> {
    fn settle(mut self, arrived_bytes: u64) {
        self.account(|meter, held| meter.settle(held, arrived_bytes));
    }

    fn account(&mut self, settle: impl FnOnce(&mut Meter, Held) -> Cost) {
        if let Some(held) = self.held.take() {
            let cost = self.store.with_meter(|meter| settle(meter, held));
            meter::add(&mut self.store.spent.lock().expect("no holder of this lock panics"), cost);
        }
    }
}

impl Drop for Payment<'_> {
    fn drop(&mut self) {
        self.account(Meter::settle_in_full);
    }
}

#[async_trait]
impl ReadStore for Watched {
    fn name(&self) -> &str {
        self.source.name()
    }

    async fn get_into(&self, object: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), Error> {
        let payment = if key::is_metadata(object) { self.pay(object, max_bytes)? } else { None };
        let answer = self.source.get_into(object, max_bytes, into).await;
        if let Some(payment) = payment {
            payment.settle(into.len() as u64);
        }
        answer
    }

    fn remembers_absence(&self) -> Duration {
        self.source.remembers_absence()
    }

    fn charge(&self) -> Charge {
        self.source.charge()
    }

    fn metadata_micro_usd(&self) -> u64 {
        self.spent.lock().expect("no holder of this lock panics").micro_usd()
    }

    fn be_patient(&self) {
        self.source.be_patient();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        sources::Price,
        store::{Fault, MemoryStore, RecordStore, WriteStore as _},
    };

    /// 10 cents a gigabyte, and a tenth of a cent a thousand requests.
    const PRICE: Price = Price { micro_usd_per_gb: 100_000, micro_usd_per_1000_requests: 1_000 };

    async fn store(charge: Charge) -> MemoryStore {
        let store = MemoryStore::new("bucket").with_charge(charge);
        for (name, bytes) in [("manifests/a", 1_000_000), ("heads/demo/generic.json", 1_000), ("chunks/00/00", 1_000_000)] {
            store.put_new(&name.parse().unwrap(), Bytes::from(vec![7; bytes])).await.unwrap();
        }
        store
    }

    async fn store_that_costs() -> MemoryStore {
        store(Charge::RequesterPays { region: "mars-1".to_owned() }).await
    }

    async fn watched(cap_micro_usd: Option<u64>) -> DynReadStore {
        let store = store_that_costs().await;
        let prices = Prices { otherwise: PRICE, ..Prices::default() };
        Allowance::new(cap_micro_usd, prices).watch(vec![Arc::new(store)]).remove(0)
    }

    async fn read(store: &DynReadStore, name: &str, max_bytes: u64) -> Result<Vec<u8>, Error> {
        store.get(&name.parse().unwrap(), max_bytes).await
    }

    // AW-02
    #[tokio::test]
    async fn what_is_read_before_consent_is_counted_and_chunks_are_not() {
        let store = watched(Some(A_CENT)).await;
        read(&store, "manifests/a", 1_000_000).await.unwrap();
        // 100 millionths for the bytes and one for the request.
        assert_eq!(store.metadata_micro_usd(), 101);
        read(&store, "heads/demo/absent.json", 1_000).await.unwrap_err();
        assert_eq!(store.metadata_micro_usd(), 102, "a request for what is not there has its price");
        read(&store, "chunks/00/00", 1_000_000).await.unwrap();
        assert_eq!(store.metadata_micro_usd(), 102);
        let free = Allowance::default().watch(vec![Arc::new(self::store(Charge::Free).await)]).remove(0);
        read(&free, "manifests/a", 1_000_000).await.unwrap();
        assert_eq!(free.metadata_micro_usd(), 0);
    }

    // AW-02
    #[tokio::test]
    async fn metadata_that_would_pass_the_cent_is_not_asked_for() {
        let store = watched(Some(150)).await;
        let refused = read(&store, "manifests/a", 2_000_000).await.unwrap_err();
        assert!(refused.kind == ErrorKind::Denied && refused.reason.contains("--max-cost"), "{refused}");
        assert_eq!(store.metadata_micro_usd(), 0);
        read(&store, "manifests/a", 1_000_000).await.unwrap();
        read(&store, "manifests/a", 1_000_000).await.unwrap_err();
        let poor = Allowance::new(Some(1), Prices { otherwise: PRICE, ..Prices::default() });
        let paid = store_that_costs().await;
        let willing = poor.watch(vec![Arc::new(paid)]).remove(0);
        read(&willing, "manifests/a", 1_000_000).await.unwrap_err();
        poor.lift();
        read(&willing, "manifests/a", 256 << 20).await.unwrap();
    }

    // AW-02
    #[tokio::test]
    async fn a_request_that_nobody_waits_for_counts_in_full() {
        let hanging = RecordStore::new(store_that_costs().await).with_faults(|_| Some(Fault::Delay(Duration::from_secs(3600))));
        let prices = Prices { otherwise: PRICE, ..Prices::default() };
        let slow = Allowance::new(None, prices).watch(vec![Arc::new(hanging)]).remove(0);
        assert!(tokio::time::timeout(Duration::from_millis(10), read(&slow, "manifests/a", 1_000_000)).await.is_err());
        assert_eq!(slow.metadata_micro_usd(), 101);
    }
}
