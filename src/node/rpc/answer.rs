//! What a node answers, and what it means: an error may come with status 200, an answer with 500, and a web page with either.

use http::{StatusCode, header::CONTENT_TYPE};
use reqwest::Response;
use serde_json::Value;

use super::error::{Fault, RpcErrorKind};

/// The most that an answer may hold.
pub(super) const MAX_BYTES: usize = 16 << 20;
/// How much of a node's own words is repeated.
const QUOTED_CHARS: usize = 300;

/// Reads an answer to its end.
pub(super) async fn read(mut response: Response) -> Result<Value, Fault> {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE).map(|value| cut(&String::from_utf8_lossy(value.as_bytes())));
    if response.content_length().is_some_and(|announced| announced > MAX_BYTES as u64) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(broken)? {
        if body.len() + piece.len() > MAX_BYTES {
            return Err(too_long());
        }
        body.extend_from_slice(&piece);
    }
    judge(status, kind.as_deref(), &body)
}

fn broken(error: reqwest::Error) -> Fault {
    Fault::new(RpcErrorKind::Interrupted, "the answer breaks off").caused_by(error)
}

fn too_long() -> Fault {
    Fault::new(RpcErrorKind::NotAnRpc, format!("the answer has more than {MAX_BYTES} bytes"))
}

/// What a whole answer means.
fn judge(status: StatusCode, kind: Option<&str>, body: &[u8]) -> Result<Value, Fault> {
    if matches!(status.as_u16(), 401 | 403 | 407) {
        return Err(Fault::new(RpcErrorKind::Denied, format!("the server answers {status}")));
    }
    match serde_json::from_slice(body) {
        // bitcoind answers errors with status 500 and 404.
        Ok(Value::Object(mut answer)) if answer.contains_key("result") || answer.contains_key("error") => {
            match answer.remove("error").filter(|error| !error.is_null()) {
                Some(error) => Err(complaint(&error)),
                None => answer.remove("result").ok_or_else(|| Fault::new(RpcErrorKind::NotAnRpc, "the answer has no result")),
            }
        }
        _ => Err(no_rpc(status, kind)),
    }
}

fn no_rpc(status: StatusCode, kind: Option<&str>) -> Fault {
    if matches!(status.as_u16(), 429 | 502..=504) {
        return Fault::new(RpcErrorKind::Unreachable, format!("something before the node answers {status}"));
    }
    let kind = kind.map_or_else(|| "of no kind that is named".to_owned(), |kind| format!("of kind {kind}"));
    Fault::new(RpcErrorKind::NotAnRpc, format!("not the RPC of a node: {status}, {kind}"))
}

/// An error object, in the node's own words.
fn complaint(error: &Value) -> Fault {
    let code = error.get("code").and_then(Value::as_i64);
    let message = error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
    let code_text = code.map(|code| format!("error {code}: ")).unwrap_or_default();
    Fault::new(RpcErrorKind::Answered { code }, format!("{code_text}{}", cut(&message)))
}

fn cut(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTED_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(status: u16, body: &str) -> Result<Value, (RpcErrorKind, String)> {
        judge(StatusCode::from_u16(status).unwrap(), Some("text/html"), body.as_bytes()).map_err(|fault| (fault.kind, fault.reason))
    }

    #[test]
    fn a_result_may_be_anything_and_null() {
        assert_eq!(judged(200, r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#), Ok(json!("0x1")));
        assert_eq!(judged(200, r#"{"result":null,"error":null,"id":"x"}"#), Ok(Value::Null));
    }

    #[test]
    fn an_error_object_is_kept_whatever_the_status_is() {
        let body = r#"{"result":null,"error":{"code":-32601,"message":"Method not\nfound"},"id":1}"#;
        for status in [200, 404, 500] {
            assert_eq!(judged(status, body), Err((RpcErrorKind::Answered { code: Some(-32601) }, "error -32601: Method not found".into())));
        }
        assert_eq!(judged(200, r#"{"error":"no"}"#), Err((RpcErrorKind::Answered { code: None }, "\"no\"".into())));
        let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "a".repeat(5000));
        assert_eq!(judged(200, &long).unwrap_err().1.chars().count(), QUOTED_CHARS);
    }

    #[test]
    fn what_answers_instead_of_a_node_is_named() {
        for (status, body) in [(200, "<html>"), (200, ""), (200, "7"), (200, "{}"), (200, "[]"), (301, ""), (404, "no"), (500, "{\"a\":1}")]
        {
            let (kind, reason) = judged(status, body).unwrap_err();
            assert_eq!(kind, RpcErrorKind::NotAnRpc, "{status} {body}");
            assert!(reason.contains(&status.to_string()) && reason.ends_with("of kind text/html"), "{reason}");
        }
        assert_eq!(judged(401, "{\"result\":1}").unwrap_err(), (RpcErrorKind::Denied, "the server answers 401 Unauthorized".into()));
        assert_eq!(judged(503, "<h1>").unwrap_err().0, RpcErrorKind::Unreachable);
        assert_eq!(judged(200, r#"{"error":null}"#).unwrap_err().1, "the answer has no result");
    }
}
