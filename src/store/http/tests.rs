//! The contract, served by an ordinary file server.

use std::{net::SocketAddr, path::Path, sync::Arc};

use tower_http::services::ServeDir;

use super::*;
use crate::{
    fs::RealFs,
    store::{Create, LocalStore, WriteStore, conformance},
};

async fn serve(dir: &Path) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().nest_service("/some/prefix", ServeDir::new(dir));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

async fn local_samples(dir: &Path) {
    let store = LocalStore::open(Arc::new(RealFs), dir, Create::No).unwrap();
    for (key, bytes) in conformance::samples() {
        store.put_new(&key, bytes).await.unwrap();
    }
    store.sync().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_with_and_without_a_slash_at_the_end_of_the_prefix() {
    let dir = tempfile::tempdir().unwrap();
    local_samples(dir.path()).await;
    let address = serve(dir.path()).await;
    for base in ["some/prefix", "some/prefix/"] {
        let url = format!("http://{address}/{base}").parse().unwrap();
        conformance::run_read(&HttpStore::open(&url, Timeouts::default()).unwrap()).await;
    }
}

#[test]
fn refuses_other_schemes() {
    let url = "ftp://host/x".parse().unwrap();
    assert_eq!(HttpStore::open(&url, Timeouts::default()).unwrap_err().kind, ErrorKind::BadAnswer);
}

// AW-11
#[test]
fn neither_name_nor_debug_output_shows_a_secret() {
    let url = "https://user:hunter2@host/x?token=hunter2".parse().unwrap();
    let store = HttpStore::open(&url, Timeouts::default()).unwrap();
    assert_eq!(store.name(), "https://host/x");
    assert!(!format!("{store:?}").contains("hunter2"));
}
