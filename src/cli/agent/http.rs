//! What the agent answers on its optional address: `/healthz` for load balancers and Kubernetes, `/metrics` for Prometheus.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::progress::Stop;

/// Where the answers come from, made anew for each request.
pub(super) trait Answers: Send + Sync + 'static {
    /// What is wrong, one line each; nothing when all is well.
    fn faults(&self) -> Vec<String>;

    /// The metrics in the text format of Prometheus.
    fn metrics(&self) -> String;
}

#[derive(Serialize)]
struct Health {
    ok: bool,
    faults: Vec<String>,
}

/// Opens the address and answers in the background until `stop`; gives back the address.
///
/// # Errors
/// When it cannot be listened on.
pub(super) async fn start<A: Answers>(listen: SocketAddr, answers: Arc<A>, stop: Stop) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/healthz", get(health::<A>)).route("/metrics", get(metrics::<A>)).with_state(answers);
    // It ends with the agent, which waits for nobody who asks how it is.
    tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(async move { stop.wait().await }).await });
    Ok(address)
}

async fn health<A: Answers>(State(answers): State<Arc<A>>) -> impl IntoResponse {
    let faults = answers.faults();
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Health { ok: faults.is_empty(), faults }))
}

async fn metrics<A: Answers>(State(answers): State<Arc<A>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], answers.metrics())
}
