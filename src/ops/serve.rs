//! `qsync serve`: a store directory over HTTP, for tests and small providers.
//!
//! GET and HEAD of objects, with ranges. Only what an object key can name is answered, through no symbolic link, and nothing whose
//! name starts with a dot: a store's staging area stays private.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    serve::ListenerExt as _,
};
use thiserror::Error;
use tokio::net::TcpListener;
use tower_http::services::ServeDir;

use crate::{
    fs::{Fs, Kind, Open},
    progress::Stop,
    types::RelPath,
};

/// How long requests in flight may go on when the server is asked to stop.
pub const GRACE: Duration = Duration::from_secs(5);

/// Why a store cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// There is no directory of that name.
    #[error("{} is not a directory that can be served", dir.display())]
    NotADirectory {
        /// The directory.
        dir: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Serving failed.
    #[error("serving ended")]
    Serve(#[source] io::Error),
}

/// Serves `dir` on `listen` until `stop`; calls `listening` with the address once it accepts connections.
/// Requests in flight have [`GRACE`] to finish.
///
/// # Errors
/// [`ServeError`]
pub async fn serve(
    fs: Arc<dyn Fs>,
    dir: &Path,
    listen: SocketAddr,
    stop: Stop,
    listening: impl FnOnce(SocketAddr) + Send,
) -> Result<(), ServeError> {
    check_directory(&*fs, dir)?;
    let failed = |source| ServeError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    listening(listener.local_addr().map_err(failed)?);
    let stopped = stop.clone();
    // The headers of a small object and its body are two packets: without this the second waits for the first to be acknowledged.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    let served = axum::serve(listener, router(fs, dir)).with_graceful_shutdown(async move { stopped.wait().await });
    tokio::select! {
        ended = served.into_future() => ended.map_err(ServeError::Serve),
        () = grace_over(&stop) => Ok(()),
    }
}

/// A client that reads slowly, or not at all, does not keep a server from ending.
async fn grace_over(stop: &Stop) {
    stop.wait().await;
    tokio::time::sleep(GRACE).await;
}

fn check_directory(fs: &dyn Fs, dir: &Path) -> Result<(), ServeError> {
    let refuse = |source| ServeError::NotADirectory { dir: dir.to_owned(), source };
    // A trailing "." follows a link that names the store's directory itself: that link is the operator's choice.
    let stat = fs.stat(&dir.join(".")).map_err(refuse)?;
    if stat.kind == Kind::Dir { Ok(()) } else { Err(refuse(io::ErrorKind::NotADirectory.into())) }
}

fn router(fs: Arc<dyn Fs>, dir: &Path) -> Router {
    let shared = Shared { fs, dir: dir.into() };
    Router::new().fallback_service(ServeDir::new(dir)).layer(middleware::from_fn_with_state(shared, only_objects))
}

#[derive(Clone, Debug)]
struct Shared {
    fs: Arc<dyn Fs>,
    dir: Arc<Path>,
}

async fn only_objects(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let Some(path) = object_path(request.uri().path()) else { return StatusCode::NOT_FOUND.into_response() };
    let cache = cache_control(&path);
    let opened = tokio::task::spawn_blocking(move || shared.fs.open_beneath(&shared.dir, &path, Open::Read).map(drop)).await;
    match opened {
        Ok(Ok(())) => {}
        Ok(Err(_)) | Err(_) => return StatusCode::NOT_FOUND.into_response(),
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

/// The path a request asks for, if it can be an object: no escapes (no object's name needs one) and no hidden names.
fn object_path(uri_path: &str) -> Option<RelPath> {
    let path: RelPath = match uri_path.strip_prefix('/')? {
        "" => "index.html",
        path => path,
    }
    .parse()
    .ok()?;
    let hidden = path.components().any(|component| component.starts_with('.'));
    if hidden { None } else { Some(path) }
}

/// Objects named by their hash never change; the rest may be a minute old in a shared cache.
fn cache_control(path: &RelPath) -> &'static str {
    match path.components().next() {
        Some("chunks" | "raw" | "lists" | "manifests" | "root") => "public, max-age=31536000, immutable",
        _ => "public, max-age=0, s-maxage=60",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_only_what_an_object_key_can_name() {
        assert_eq!(object_path("/chunks/aa/00").unwrap().as_str(), "chunks/aa/00");
        assert_eq!(object_path("/").unwrap().as_str(), "index.html");
        for bad in ["", "chunks", "/../etc/passwd", "/chunks/../../x", "/%2e%2e/x", "//etc/passwd", "/.qsync-staging/1/x", "/a/.b", "/a\\b"]
        {
            assert!(object_path(bad).is_none(), "{bad}");
        }
    }
}
