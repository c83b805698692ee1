//! Nodes of chains that answer questions over HTTP: with the answers in `tests/data/rpc`, as a toy that makes blocks, or as a test tells them.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Response},
    routing::any,
};
use serde_json::{Value, json};

/// What a node says to one question.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// This result.
    Result(Value),
    /// This error.
    Error(i64, &'static str),
    /// This status, kind of content and body.
    Body(u16, &'static str, String),
    /// It sends the reader elsewhere.
    Redirect(String),
    /// So many bytes.
    Huge(usize),
    /// Nothing, for ever.
    Nothing,
}

type Script = Arc<dyn Fn(&str, &Value) -> Says + Send + Sync>;

/// A node. Its thread ends with the process.
#[derive(Clone)]
pub(crate) struct FakeNode {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    authorized: Arc<Mutex<Vec<Option<String>>>>,
}

#[derive(Clone)]
struct Inside {
    script: Script,
    asked: Arc<Mutex<Vec<String>>>,
    authorized: Arc<Mutex<Vec<Option<String>>>>,
}

impl FakeNode {
    /// A node that answers a question, with its parameters, as `script` says.
    pub(crate) fn new(script: impl Fn(&str, &Value) -> Says + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let inside = Inside { script: Arc::new(script), asked: Arc::default(), authorized: Arc::default() };
        let node = Self { address, asked: Arc::clone(&inside.asked), authorized: Arc::clone(&inside.authorized) };
        let router = Router::new().fallback(any(answer)).with_state(inside);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap() });
        });
        node
    }

    /// A node with the answers of a family; for what `instead` has something to say, that.
    pub(crate) fn of(family: &'static str, instead: impl Fn(&str) -> Option<Says> + Send + Sync + 'static) -> Self {
        Self::new(move |method, params| instead(method).unwrap_or_else(|| recorded(family, method, params)))
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its URL with a password and a token in it.
    pub(crate) fn url_with_secrets(&self) -> String {
        format!("http://user:hunter2@{}/v3/token-hunter2", self.address)
    }

    /// Every question that it was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The header `Authorization` of each question.
    pub(crate) fn authorized(&self) -> Vec<Option<String>> {
        self.authorized.lock().unwrap().clone()
    }
}

async fn answer(State(inside): State<Inside>, headers: HeaderMap, body: String) -> Response<Body> {
    let question: Value = serde_json::from_str(&body).unwrap_or_default();
    let (mut method, mut params) = (question["method"].as_str().unwrap_or_default().to_owned(), question["params"].clone());
    if method == "call" {
        (method, params) = (params[1].as_str().unwrap().to_owned(), params[2].clone());
    }
    inside.authorized.lock().unwrap().push(headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()));
    inside.asked.lock().unwrap().push(method.clone());
    let reply = |status: u16, kind: &str, body: Body| Response::builder().status(status).header("content-type", kind).body(body).unwrap();
    let json = |status, value: Value| reply(status, "application/json", value.to_string().into());
    match (inside.script)(&method, &params) {
        Says::Result(result) => json(200, json!({"jsonrpc": "2.0", "id": 1, "result": result})),
        Says::Error(code, message) => json(200, json!({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}})),
        Says::Body(status, kind, body) => reply(status, kind, body.into()),
        Says::Redirect(to) => Response::builder().status(307).header("location", to).body(Body::empty()).unwrap(),
        Says::Huge(bytes) => {
            let pieces = (0..bytes >> 16).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 16]));
            reply(200, "application/json", Body::from_stream(futures::stream::iter(pieces)))
        }
        Says::Nothing => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            reply(500, "text/plain", Body::empty())
        }
    }
}

/// The answer in `tests/data/rpc`; a method that has none is not known.
fn recorded(family: &str, method: &str, params: &Value) -> Says {
    let first = params.get(0).or_else(|| params.get("height")).map(|first| first.as_str().map_or_else(|| first.to_string(), str::to_owned));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rpc").join(family);
    let names = [first.map(|first| format!("{method}.{first}.json")), Some(format!("{method}.json"))];
    let found = names.into_iter().flatten().find_map(|name| std::fs::read_to_string(folder.join(name)).ok());
    found.map_or(Says::Error(-32601, "Method not found"), |body| Says::Body(200, "application/json", body))
}

/// A node of the Ethereum family that makes a block each time it is asked for the newest.
#[derive(Clone, Debug)]
pub(crate) struct Toy {
    /// Its newest block.
    pub(crate) height: u64,
    /// How many blocks it makes each time.
    pub(crate) grows: u64,
    /// Whether it says that it is catching up.
    pub(crate) syncing: bool,
    /// Its peers.
    pub(crate) peers: u64,
    /// What all its hashes end in: another one is another chain.
    pub(crate) chain: &'static str,
}

impl Default for Toy {
    fn default() -> Self {
        Self { height: 100, grows: 1, syncing: false, peers: 7, chain: "aa" }
    }
}

impl Toy {
    /// The hash of one of its blocks.
    pub(crate) fn hash(&self, height: u64) -> String {
        format!("0x{height:062x}{}", self.chain)
    }

    /// Starts it.
    pub(crate) fn start(self) -> FakeNode {
        let newest = AtomicU64::new(self.height);
        FakeNode::new(move |method, params| match method {
            "eth_syncing" => Says::Result(if self.syncing { json!({"currentBlock": "0x1", "highestBlock": "0xff"}) } else { json!(false) }),
            "net_peerCount" => Says::Result(json!(format!("{:#x}", self.peers))),
            "eth_chainId" => Says::Result(json!("0x1")),
            "web3_clientVersion" => Says::Result(json!("Toy/v1.2.3/linux")),
            "eth_getBlockByNumber" => self.block(&newest, params[0].as_str().unwrap()),
            _ => Says::Error(-32601, "no such method"),
        })
    }

    fn block(&self, newest: &AtomicU64, which: &str) -> Says {
        let height = match which {
            "latest" => newest.fetch_add(self.grows, Ordering::SeqCst),
            "finalized" => newest.load(Ordering::SeqCst).saturating_sub(5),
            number => u64::from_str_radix(&number[2..], 16).unwrap(),
        };
        if height > newest.load(Ordering::SeqCst) {
            return Says::Result(Value::Null);
        }
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        Says::Result(json!({"number": format!("{height:#x}"), "hash": self.hash(height), "timestamp": format!("{now:#x}")}))
    }
}
