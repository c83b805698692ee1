//! The node's commands over HTTP, in the words of Kubo 0.43.

use std::{
    future::ready,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use bytes::Bytes;
use futures::stream;
use http_body_util::BodyExt;
use qsync::types::Cid;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    Fault, Script,
    state::{No, State},
};

/// The most that a test imports at once.
const MAX_IMPORT_BYTES: usize = 256 << 20;

type Shared = Arc<Mutex<State>>;

/// A command as it was given.
struct Command {
    name: String,
    settings: Vec<(String, String)>,
    body: Bytes,
}

/// Everything that the node answers to.
pub(crate) fn router(state: Shared, script: Script) -> Router {
    Router::new().fallback(move |request: Request| serve(Arc::clone(&state), Arc::clone(&script), request))
}

async fn serve(state: Shared, script: Script, request: Request) -> Response {
    let Some(name) = request.uri().path().strip_prefix("/api/v0/").map(str::to_owned) else {
        return plain(404, "text/plain", "404 page not found\n");
    };
    if request.method() != Method::POST {
        return plain(405, "text/plain", "405 - Method Not Allowed\n");
    }
    let fault = script(&name, note(&state, &name));
    let settings = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect();
    let body = only_file(request).await;
    let command = Command { name, settings, body };
    match fault {
        None => reply(command.run(&state).await),
        Some(fault) => fail(&fault, command, &state).await,
    }
}

/// Notes a command; says how often it was given before.
fn note(state: &Shared, name: &str) -> usize {
    let commands = &mut lock(state).commands;
    commands.push(name.to_owned());
    commands.iter().filter(|other| *other == name).count() - 1
}

async fn fail(fault: &Fault, command: Command, state: &Shared) -> Response {
    match *fault {
        Fault::Says(words) => reply(Err(words.to_owned())),
        Fault::SaysWithStatus200(words) => plain(200, "application/json", &complaint(words)),
        Fault::SaysInTrailer(words) => with_trailer(command.run(state).await.unwrap(), words),
        Fault::Answers(status, kind, body) => plain(status, kind, body),
        Fault::Instead(body) => {
            command.run(state).await.unwrap();
            plain(200, "application/json", body)
        }
        Fault::Hangs => std::future::pending().await,
        Fault::After(pause) => {
            tokio::time::sleep(pause).await;
            reply(command.run(state).await)
        }
        Fault::BreaksOff(kept) => {
            command.import_some(state, kept);
            Response::new(Body::from_stream(stream::iter([Err::<Bytes, _>(io::Error::other("the node dies"))])))
        }
        Fault::IsFull(kept) => {
            command.import_some(state, kept);
            reply(Err("import failed: write /repo/blocks/X/put-1: no space left on device".to_owned()))
        }
    }
}

impl Command {
    /// The answer's lines, or the error's message.
    async fn run(&self, state: &Shared) -> Result<Vec<Value>, String> {
        let (outcome, online) = {
            let mut node = lock(state);
            (self.carry_out(&mut node), node.online)
        };
        match outcome {
            Ok(lines) => return Ok(lines),
            Err(No::Because(words)) => return Err(words),
            Err(No::Lacks(cid)) if !online || self.setting("offline") == Some("true") => {
                return Err(format!("block was not found locally (offline): ipld: could not find {cid}"));
            }
            Err(No::Lacks(_)) => {}
        }
        // For ever when it was not told how long.
        let Some(time) = self.setting("timeout").map(milliseconds) else { std::future::pending().await };
        tokio::time::sleep(time).await;
        Err("context deadline exceeded".to_owned())
    }

    fn carry_out(&self, node: &mut State) -> Result<Vec<Value>, No> {
        match self.name.as_str() {
            "version" => return Ok(vec![json!({"Version": node.version, "Commit": "", "Repo": "18"})]),
            "id" => {
                return Ok(vec![
                    json!({"ID": "12D3KooWfake", "Addresses": ["/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWfake", "/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWfake"], "AgentVersion": "kubo/fake"}),
                ]);
            }
            "repo/stat" => return Ok(vec![repo_stat(node)]),
            "dag/import" => return self.import(node),
            "dag/stat" => return node.walk(self.cid(0)).map(|all| vec![json!({"UniqueBlocks": all.len()})]),
            "files/stat" => return node.file(self.argument(0)).map(|cid| vec![json!({"Hash": cid, "Type": "file"})]),
            "pin/ls" => return self.pins(node),
            "name/publish" => return self.publish_name(),
            "files/cp" => node.copy_file(self.cid(0), self.argument(1))?,
            "files/rm" => node.remove_file(self.argument(0)),
            "pin/add" => node.pin(self.cid(0), self.setting("name").unwrap_or_default())?,
            "pin/update" => {
                node.hand_pin_over(self.cid(0), self.cid(1))?;
                // What Kubo does unless it is told not to.
                if self.setting("unpin") != Some("false") {
                    node.unpin(self.cid(0))?;
                }
            }
            "pin/rm" => node.unpin(self.cid(0))?,
            other => panic!("nobody told this node what {other} is"),
        }
        Ok(Vec::new())
    }

    fn import(&self, node: &mut State) -> Result<Vec<Value>, No> {
        assert_eq!(self.setting("pin-roots"), Some("false"), "Kubo pins roots unless it is told not to");
        let blocks = node.import(&self.body, usize::MAX)?;
        let stats = json!({"Stats": {"BlockCount": blocks, "BlockBytesCount": 0}});
        Ok(if self.setting("stats") == Some("true") { vec![stats] } else { Vec::new() })
    }

    fn import_some(&self, state: &Shared, most: usize) {
        if self.name == "dag/import" {
            lock(state).import(&self.body, most).unwrap();
        }
    }

    fn pins(&self, node: &State) -> Result<Vec<Value>, No> {
        assert_eq!(self.setting("type"), Some("recursive"), "Kubo walks all pins for the others");
        let line = |(cid, name): (&Cid, &String)| json!({"Cid": cid, "Name": name, "Type": "recursive"});
        if self.settings.iter().any(|(name, _)| name == "arg") {
            let cid = self.cid(0);
            let pin = node.pins.get_key_value(&cid).map(line).map(|line| vec![line]);
            return pin.ok_or_else(|| No::Because(format!("path '{cid}' is not pinned")));
        }
        let part = self.setting("name").unwrap_or_default();
        Ok(node.pins.iter().filter(|(_, name)| name.contains(part)).map(line).collect())
    }

    fn publish_name(&self) -> Result<Vec<Value>, No> {
        match self.setting("key") {
            Some("self") => Ok(vec![json!({"Name": "k51fake", "Value": self.argument(0)})]),
            _ => Err(No::Because("no key by the given name was found".to_owned())),
        }
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn argument(&self, n: usize) -> &str {
        &self.settings.iter().filter(|(name, _)| name == "arg").nth(n).unwrap().1
    }

    fn cid(&self, n: usize) -> Cid {
        self.argument(n).trim_start_matches("/ipfs/").parse().unwrap()
    }
}

fn repo_stat(node: &State) -> Value {
    let bytes: usize = node.blocks.values().map(Vec::len).sum();
    json!({"RepoSize": bytes, "StorageMax": 10_000_000_000_u64, "NumObjects": node.blocks.len()})
}

fn milliseconds(time: &str) -> Duration {
    Duration::from_millis(time.strip_suffix("ms").unwrap().parse().unwrap())
}

/// The file in a form of one.
async fn only_file(request: Request) -> Bytes {
    let kind = request.headers().get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
    let Some(boundary) = kind.as_deref().and_then(|kind| kind.split_once("boundary=")).map(|(_, boundary)| boundary.to_owned()) else {
        return Bytes::new();
    };
    // A client that goes away sends less.
    let Ok(form) = to_bytes(request.into_body(), MAX_IMPORT_BYTES).await else { return Bytes::new() };
    let begin = form.windows(4).position(|at| at == b"\r\n\r\n").unwrap() + 4;
    let end = form.len() - format!("\r\n--{boundary}--\r\n").len();
    form.slice(begin..end)
}

fn reply(outcome: Result<Vec<Value>, String>) -> Response {
    match outcome {
        Ok(lines) => plain(200, "application/json", &joined(&lines)),
        Err(message) => plain(500, "application/json", &complaint(&message)),
    }
}

fn joined(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn complaint(message: &str) -> String {
    json!({"Message": message, "Code": 0, "Type": "error"}).to_string()
}

fn plain(status: u16, kind: &str, body: &str) -> Response {
    Response::builder().status(StatusCode::from_u16(status).unwrap()).header(CONTENT_TYPE, kind).body(Body::from(body.to_owned())).unwrap()
}

/// What went wrong after the answer had begun.
fn with_trailer(lines: Vec<Value>, words: &'static str) -> Response {
    let trailers = HeaderMap::from_iter([("x-stream-error".parse().unwrap(), words.parse().unwrap())]);
    // Of a length that is not known before: else there is no room for a trailer.
    let body = Body::from_stream(stream::iter([Ok::<_, io::Error>(joined(&lines))])).with_trailers(ready(Some(Ok(trailers))));
    let answer = Response::builder().header(CONTENT_TYPE, "application/json").header("trailer", "X-Stream-Error");
    answer.body(Body::new(body)).unwrap()
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}
