//! What a node says, and what it means: an answer with status 200 may be an error, and one that is no JSON comes from something else.

use http::{HeaderMap, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use reqwest::Body;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{ErrorKind, error::Fault};

/// The most that an answer may hold.
pub(super) const MAX_BYTES: usize = 16 << 20;
/// The trailer that tells of what went wrong after the first byte.
const STREAM_ERROR: &str = "x-stream-error";
/// How much of a node's own words is repeated.
const QUOTED_CHARS: usize = 300;

/// An answer without an error: the values in it, one after the other.
#[derive(Debug)]
pub(super) struct Answer(Vec<Value>);

impl Answer {
    /// The one value in it.
    pub(super) fn one<T: DeserializeOwned>(self) -> Result<T, Fault> {
        let value = self.0.into_iter().next().ok_or_else(|| strange("its answer is empty"))?;
        serde_json::from_value(value).map_err(|error| strange("its answer is another than expected").caused_by(error))
    }

    /// Every value in it that is a `T`.
    pub(super) fn each<T: DeserializeOwned>(self) -> impl Iterator<Item = T> {
        self.0.into_iter().filter_map(|value| serde_json::from_value(value).ok())
    }
}

/// Reads an answer to its end, trailer included.
pub(super) async fn read(response: Response<Body>) -> Result<Answer, Fault> {
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.map_err(broken)?.into_data() {
            Ok(data) if bytes.len() + data.len() > MAX_BYTES => return Err(too_long()),
            Ok(data) => bytes.extend_from_slice(&data),
            Err(other) => trailers.extend(other.into_trailers().unwrap_or_default()),
        }
    }
    judge(head.status, &head.headers, &bytes, &trailers)
}

fn broken(error: reqwest::Error) -> Fault {
    Fault::new(ErrorKind::Interrupted, "the answer breaks off").caused_by(error.without_url())
}

fn too_long() -> Fault {
    Fault::new(ErrorKind::NotAnRpc, format!("the answer has more than {MAX_BYTES} bytes"))
}

fn strange(reason: &str) -> Fault {
    Fault::new(ErrorKind::NotAnRpc, format!("no node of a kind that is known: {reason}"))
}

/// What a whole answer means.
fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8], trailers: &HeaderMap) -> Result<Answer, Fault> {
    let text = String::from_utf8_lossy(body);
    if matches!(status.as_u16(), 401 | 403 | 407) {
        return Err(Fault::new(ErrorKind::Denied, format!("the server answers {status}{}", quoted(headers, &text))));
    }
    if matches!(status.as_u16(), 502..=504) {
        return Err(Fault::new(ErrorKind::Unreachable, format!("something before the node answers {status}")));
    }
    let values = parse(body);
    if let Some(message) = values.as_deref().unwrap_or_default().iter().find_map(complaint) {
        return Err(of_message(&message));
    }
    if let Some(message) = trailers.get(STREAM_ERROR).filter(|value| !value.is_empty()) {
        return Err(of_message(&String::from_utf8_lossy(message.as_bytes())));
    }
    match (status, values) {
        (StatusCode::OK, Some(values)) if is_json(headers) => Ok(Answer(values)),
        (StatusCode::BAD_REQUEST | StatusCode::INTERNAL_SERVER_ERROR, _) if is(headers, "text/plain") => Err(of_message(&text)),
        _ => Err(Fault::new(ErrorKind::NotAnRpc, format!("not the RPC of a node: {status}, {}", what_it_is(headers)))),
    }
}

/// Some commands have nothing to say; their answer is empty.
fn parse(body: &[u8]) -> Option<Vec<Value>> {
    serde_json::Deserializer::from_slice(body).into_iter().collect::<Result<_, _>>().ok()
}

/// What a value in an answer complains of. The shapes are those of commands that fail as a whole, for one root, and for one of many things.
fn complaint(value: &Value) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Complaint {
        r#type: Option<Value>,
        message: Option<String>,
        error: Option<String>,
        root: Option<Root>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Root {
        pin_error_msg: Option<String>,
    }
    let said = Complaint::deserialize(value).ok()?;
    let whole = said.message.filter(|_| said.r#type == Some("error".into()));
    let pinning = said.root.and_then(|root| root.pin_error_msg).filter(|text| !text.is_empty());
    whole.or(pinning).or(said.error.filter(|text| !text.is_empty()))
}

/// What a node's own words mean. It gives no other sign of what went wrong.
fn of_message(message: &str) -> Fault {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let kind = if has(&["no space left on device", "disk quota exceeded"]) {
        ErrorKind::NoSpace
    } else if has(&["block is over", "block too big"]) {
        ErrorKind::TooBig
    } else if has(&["context deadline exceeded"]) {
        ErrorKind::TimedOut
    } else if has(&["could not find", "block was not found"]) {
        ErrorKind::Missing
    } else {
        ErrorKind::Refused
    };
    Fault::new(kind, cut(message))
}

/// The block that is missing, in the words of a node.
pub(super) fn missing_block(message: &str) -> Option<String> {
    let (_, after) = message.rsplit_once("could not find ")?;
    let name: String = after.chars().take_while(char::is_ascii_alphanumeric).collect();
    (name != "node" && !name.is_empty()).then_some(name)
}

fn cut(message: &str) -> String {
    message.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTED_CHARS).collect()
}

fn is(headers: &HeaderMap, kind: &str) -> bool {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with(kind))
}

fn is_json(headers: &HeaderMap) -> bool {
    is(headers, "application/json")
}

fn quoted(headers: &HeaderMap, text: &str) -> String {
    if is(headers, "text/plain") && !text.trim().is_empty() { format!(": {}", cut(text)) } else { String::new() }
}

fn what_it_is(headers: &HeaderMap) -> String {
    let kind = headers.get(CONTENT_TYPE).map(|value| cut(&String::from_utf8_lossy(value.as_bytes())));
    kind.map_or_else(|| "of no kind that is named".to_owned(), |kind| format!("of kind {kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())])
    }

    fn judged(status: u16, kind: &'static str, body: &str) -> Result<Answer, Fault> {
        judge(StatusCode::from_u16(status).unwrap(), &headers(kind), body.as_bytes(), &HeaderMap::new())
    }

    fn fault(status: u16, kind: &'static str, body: &str) -> (ErrorKind, String) {
        let fault = judged(status, kind, body).unwrap_err();
        (fault.kind, fault.reason)
    }

    #[test]
    fn values_follow_each_other_and_may_be_absent() {
        assert_eq!(judged(200, "application/json", "").unwrap().0.len(), 0);
        assert_eq!(judged(200, "application/json", "{\"A\":1}\n{\"A\":2}\n").unwrap().0.len(), 2);
        assert_eq!(judged(200, "application/json; charset=utf-8", "{}").unwrap().0.len(), 1);
    }

    #[test]
    fn an_error_inside_an_answer_is_an_error() {
        let json = "application/json";
        for (status, body) in [
            (200, r#"{"Message":"no such thing","Code":0,"Type":"error"}"#),
            (500, r#"{"Message":"no such thing","Code":0,"Type":"error"}"#),
            (200, "{\"Stats\":{}}\n{\"Root\":{\"Cid\":{},\"PinErrorMsg\":\"no such thing\"}}"),
            (200, r#"{"Key":{},"Error":"no such thing"}"#),
        ] {
            assert_eq!(fault(status, json, body), (ErrorKind::Refused, "no such thing".into()), "{body}");
        }
        for body in [r#"{"Error":"","Name":"x"}"#, r#"{"Root":{"PinErrorMsg":""}}"#, r#"{"Message":"hello","Type":"file"}"#] {
            assert!(judged(200, json, body).is_ok(), "{body}");
        }
    }

    #[test]
    fn an_error_in_the_trailer_is_an_error() {
        let trailers = HeaderMap::from_iter([("x-stream-error".parse().unwrap(), "no such thing".parse().unwrap())]);
        let judged = judge(StatusCode::OK, &headers("application/json"), b"{}", &trailers);
        assert_eq!(judged.unwrap_err().reason, "no such thing");
    }

    #[test]
    fn a_nodes_words_have_a_meaning() {
        let kind = |message: &str| of_message(message).kind;
        assert_eq!(kind("write /repo/blocks/x: no space left on device"), ErrorKind::NoSpace);
        assert_eq!(kind("import failed at block \"bafy\": produced block is over 2MiB: big blocks can't be"), ErrorKind::TooBig);
        assert_eq!(kind("pin: context deadline exceeded"), ErrorKind::TimedOut);
        assert_eq!(kind("pin: block was not found locally (offline): ipld: could not find bafkr4i"), ErrorKind::Missing);
        assert_eq!(kind("no key by the given name was found"), ErrorKind::Refused);
        assert_eq!(of_message(&"a\n".repeat(1000)).reason.chars().count(), QUOTED_CHARS);
    }

    #[test]
    fn the_missing_block_is_named() {
        let name = |message: &str| missing_block(message);
        assert_eq!(name("x: block was not found locally (offline): ipld: could not find bafkr4iabc").as_deref(), Some("bafkr4iabc"));
        assert_eq!(name("ipld: could not find node"), None);
        assert_eq!(name("anything else"), None);
    }

    #[test]
    fn what_answers_instead_of_a_node_is_recognised() {
        for (status, kind, body) in [
            (200, "text/html", "<!doctype html>"),
            (200, "text/plain", "hello"),
            (200, "text/html", ""),
            (200, "text/html", "{}"),
            (200, "application/json", "not json"),
            (200, "application/json", "{\"A\":"),
            (301, "text/html", "<a href=x>"),
            (404, "text/plain; charset=utf-8", "404 page not found\n"),
            (404, "application/json", "{}"),
            (405, "text/plain", "405 - Method Not Allowed"),
            (500, "text/html", "<h1>oops"),
        ] {
            assert_eq!(fault(status, kind, body).0, ErrorKind::NotAnRpc, "{status} {kind} {body}");
        }
        assert_eq!(fault(502, "text/html", "<h1>").0, ErrorKind::Unreachable);
        assert_eq!(
            fault(400, "text/plain", "argument \"ipfs-path\" is required\n"),
            (ErrorKind::Refused, "argument \"ipfs-path\" is required".into())
        );
        let (kind, reason) = fault(403, "text/plain", "Kubo RPC Access Denied\n");
        assert_eq!((kind, reason.as_str()), (ErrorKind::Denied, "the server answers 403 Forbidden: Kubo RPC Access Denied"));
        assert_eq!(fault(401, "text/html", "<h1>who").1, "the server answers 401 Unauthorized");
    }
}
