//! A worker of a restore that panics.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use qsync::{
    fs::RealFs,
    progress::{NoProgress, Stop},
    restore::{self, Error, Existing, Options, Partial},
    store::{self, DynReadStore, ReadStore, StoreUrl},
    types::{ObjectKey, Timestamp},
};

use crate::support::{World, tree};

/// A store whose code panics at the fifth chunk.
#[derive(Debug)]
struct Panics {
    inner: DynReadStore,
    chunks: std::sync::atomic::AtomicU32,
}

#[async_trait]
impl ReadStore for Panics {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn get_into(&self, key: &ObjectKey, max_bytes: u64, into: &mut Vec<u8>) -> Result<(), store::Error> {
        let is_chunk = key.as_str().starts_with("chunks/");
        assert!(!is_chunk || self.chunks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) != 5, "on purpose");
        self.inner.get_into(key, max_bytes, into).await
    }
}

// CR-05
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_panics_ends_the_run_with_an_error_and_what_was_verified_is_kept() {
    let (world, pin) = World::published();
    let source: StoreUrl = world.store().to_str().unwrap().parse().unwrap();
    let inner = source.open_read(Arc::new(RealFs)).await.unwrap();
    let options = Options {
        expected: qsync::restore::Expected::default(),
        channel: crate::support::CHANNEL.parse().unwrap(),
        when: None,
        by_cid: None,
        sources: vec![Arc::new(Panics { inner, chunks: 0.into() })],
        target: world.target(),
        existing: Existing::Refuse,
        seeds: Vec::new(),
        rehash: false,
        partial: Partial::Continue,
        check_rpc: None,
        owner: None,
        dry_run: false,
        accept_cost: false,
        read_from: qsync::sources::ReadFrom::Internet,
        memory_bytes: 64 << 20,
        threads: 2,
        engine: qsync::sources::Settings { max_wait: std::time::Duration::from_secs(60), ..Default::default() },
        pin: Some(pin.trim_start_matches("b3:").parse().unwrap()),
        state_dir: world.path("operator-state"),
        home: None,
        now: Timestamp::from_second(Timestamp::now().as_second()).unwrap(),
        fs: Arc::new(RealFs),
        stop: Stop::new(),
        progress: Arc::new(NoProgress),
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), restore::run(options)).await.expect("it ends");
    assert!(matches!(ended, Err(Error::WorkerDied)), "{ended:?}");
    assert!(!world.target().exists());
    world.restore_command(&pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
}
