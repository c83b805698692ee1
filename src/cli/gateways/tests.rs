//! Which gateways are used.

use std::io::{Read, Write};

use super::*;
use crate::{progress::NoProgress, types::Codec, types::Hash};

/// A server that answers everything so, and its URL.
fn server(answer: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Requests are short, and all of them get the same answer.
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    url
}

/// An address where nobody listens.
fn nobody() -> String {
    format!("http://{}", std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

async fn chosen(named: &[&String], configured: &[&String], local: &str) -> Result<Vec<String>, Failure> {
    let owned = |words: &[&String]| words.iter().map(|word| (*word).clone()).collect::<Vec<_>>();
    let found = choose(&owned(named), &owned(configured), local, &NoProgress).await?;
    Ok(found.iter().map(|gateway| gateway.name().to_owned()).collect())
}

#[tokio::test]
async fn those_that_are_named_else_the_local_one_and_the_configured_ones() {
    let [local, one, other] = [(); 3].map(|()| server("200 OK"));
    assert_eq!(chosen(&[&one], &[&other], &local).await.unwrap(), [one.as_str()]);
    assert_eq!(chosen(&[], &[&other], &local).await.unwrap(), [local.as_str(), &other]);
    assert_eq!(chosen(&[], &[&other], &nobody()).await.unwrap(), [other.as_str()]);
    assert_eq!(chosen(&[], &[&local, &other], &local).await.unwrap(), [local.as_str(), &other], "each once");
    // Something else may listen at the usual port of a node.
    assert_eq!(chosen(&[], &[&other], &server("404 Not Found")).await.unwrap(), [other.as_str()]);
    // One that is named and does not answer now may do so later.
    let dead = nobody();
    assert_eq!(chosen(&[&dead], &[], &local).await.unwrap(), [dead.as_str()]);
    assert_eq!(chosen(&[&one, &server("404 Not Found")], &[], &local).await.unwrap(), [one.as_str()]);
}

#[tokio::test]
async fn without_any_the_next_step_is_said() {
    let none = chosen(&[], &[], &nobody()).await.unwrap_err();
    assert_eq!(none.code, Code::Usage);
    insta::assert_snapshot!(none.to_text(), @r#"
    error: no gateway to read ipfs:// through: no node answers on this machine, and none is named
    hint: name one with --gateway URL, or several: http://127.0.0.1:8080 is that of a Kubo node on this machine
    hint: gateways = ["https://…"] in the configuration names those that are always used
    "#);
    let rpc = server("405 Method Not Allowed");
    let other = chosen(&[&rpc], &[], &nobody()).await.unwrap_err();
    assert_eq!(other.code, Code::BadAnswer);
    insta::assert_snapshot!(other.to_text().replace(&rpc, "http://127.0.0.1:5001"), @r#"
    error: no gateway to read ipfs:// through
      http://127.0.0.1:5001: this is Kubo's RPC, which answers 405 Method Not Allowed, and not its gateway, which listens on port 8080
    hint: name one with --gateway URL, or several: http://127.0.0.1:8080 is that of a Kubo node on this machine
    hint: gateways = ["https://…"] in the configuration names those that are always used
    "#);
}

// AW-11
#[tokio::test]
async fn what_is_no_url_is_refused_and_not_repeated() {
    for word in ["127.0.0.1:8080", "ipfs+http://user:hunter2@host:5001", "https://user:hunter2@:1/", ""] {
        let refused = chosen(&[&word.to_owned()], &[], &nobody()).await.unwrap_err();
        assert!(refused.code == Code::Usage && !refused.to_text().contains("hunter2"), "{word}: {refused:?}");
    }
}

#[tokio::test]
async fn a_local_node_that_lacks_the_snapshot_comes_last() {
    let open = |url: &str| Arc::new(Gateway::open(&url.parse().unwrap(), Timeouts::of_gateways()).unwrap());
    let (lacks, has) = (server("412 Precondition Failed"), server("200 OK"));
    let gateways = [open(&lacks), open(&has), open("https://gateway.example")];
    let root = Cid::new(Codec::DagPb, Hash::of(b"root"));
    let names = |ranked: Vec<Arc<Gateway>>| ranked.iter().map(|gateway| gateway.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(ranked(&gateways, Some(root)).await), [has.as_str(), "https://gateway.example", &lacks]);
    assert_eq!(names(ranked(&gateways, None).await), [lacks.as_str(), &has, "https://gateway.example"]);
}
