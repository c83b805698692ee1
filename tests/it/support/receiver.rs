//! A web server that answers as a test says, and writes down what it was sent: a webhook, or a service of a cloud.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Response},
    routing::any,
};

use super::command::text;

/// What was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Path without the query.
    pub(crate) path: String,
    /// Headers.
    pub(crate) headers: HeaderMap,
    /// Body.
    pub(crate) body: Vec<u8>,
}

impl Sent {
    /// The body, of which some may be no text.
    pub(crate) fn text(&self) -> String {
        text(&self.body)
    }

    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Status.
    pub(crate) status: u16,
    /// Headers.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Nothing but a status.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A good one.
    pub(crate) fn ok(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: vec![("content-type", kind.to_owned())], body: body.into() }
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

type Script = Arc<dyn Fn(&Sent) -> Answer + Send + Sync>;

/// The server. Its thread ends with the process.
#[derive(Clone)]
pub(crate) struct Receiver {
    address: String,
    inside: Inside,
}

#[derive(Clone)]
struct Inside {
    script: Script,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Receiver {
    /// Starts on a free port of loopback.
    pub(crate) fn start(script: impl Fn(&Sent) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let inside = Inside { script: Arc::new(script), sent: Arc::default() };
        let router = Router::new().fallback(any(answer)).with_state(inside.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap() });
        });
        Self { address, inside }
    }

    /// Its URL, without a slash at its end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that it was sent.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.inside.sent.lock().unwrap().clone()
    }
}

async fn answer(State(inside): State<Inside>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 16 << 20).await.unwrap().to_vec();
    let sent = Sent { path: head.uri.path().to_owned(), headers: head.headers, body };
    let Answer { status, headers, body } = (inside.script)(&sent);
    inside.sent.lock().unwrap().push(sent);
    let response = Response::builder().status(status);
    headers.into_iter().fold(response, |response, (name, value)| response.header(name, value)).body(Body::from(body)).unwrap()
}
