//! Gateways, and what is none.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    http::{HeaderName, Request, StatusCode as Status, header},
    response::Response as Answer,
};
use tokio::net::TcpListener;

use super::*;
use crate::types::Codec;

const BLOCK: &[u8] = b"a block";

/// What a server was asked: method, path with query, headers.
type Asked = Arc<Mutex<Vec<(String, header::HeaderMap)>>>;

/// A server that answers so.
struct Server {
    address: SocketAddr,
    asked: Asked,
}

impl Server {
    async fn start(answer: impl Fn(&str) -> Answer + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Asked::default());
        let seen = Arc::clone(&asked);
        let router = Router::new().fallback(async move |request: Request<Body>| {
            let target = request.uri().path_and_query().unwrap().to_string();
            seen.lock().unwrap().push((format!("{} {target}", request.method()), request.headers().clone()));
            answer(&target)
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked }
    }

    fn gateway(&self) -> Gateway {
        self.gateway_at("")
    }

    fn gateway_at(&self, rest: &str) -> Gateway {
        let timeouts = Timeouts { first_byte: Duration::from_millis(300), ..Timeouts::of_gateways() };
        Gateway::open(&format!("http://{}{rest}", self.address).parse().unwrap(), timeouts).unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(line, _)| line.clone()).collect()
    }
}

fn answer(status: u16, headers: &[(HeaderName, &str)], body: &[u8]) -> Answer {
    let builder = headers.iter().fold(Answer::builder().status(status), |builder, (name, value)| builder.header(name, *value));
    builder.body(body.to_vec().into()).unwrap()
}

fn block() -> Answer {
    answer(200, &[(header::CONTENT_TYPE, BLOCK_TYPE)], BLOCK)
}

fn cid() -> Cid {
    Cid::new(Codec::Raw, Hash::of(BLOCK))
}

async fn get(gateway: &Gateway, max_bytes: u64) -> Result<Vec<u8>, Error> {
    let mut into = b"what was there before".to_vec();
    gateway.block_into(&cid(), max_bytes, &mut into).await?;
    Ok(into)
}

async fn refused(reply: impl Fn() -> Answer + Clone + Send + Sync + 'static) -> Error {
    get(&Server::start(move |_| reply()).await.gateway(), 1000).await.unwrap_err()
}

#[tokio::test]
async fn asks_for_a_single_block_wherever_the_gateway_begins() {
    let server = Server::start(|_| block()).await;
    for rest in ["", "/", "/ipfs", "/ipfs/", "/a/gateway/", "/?token=secret"] {
        assert_eq!(get(&server.gateway_at(rest), BLOCK.len() as u64).await.unwrap(), BLOCK, "{rest}");
    }
    let path = format!("GET /ipfs/{}?format=raw", cid());
    let (prefixed, with_token) = (path.replace("/ipfs", "/a/gateway/ipfs"), path.replace('?', "?token=secret&"));
    assert_eq!(server.asked(), [path.as_str(), &path, &path, &path, &prefixed, &with_token]);
    let headers = server.asked.lock().unwrap()[0].1.clone();
    assert_eq!((&headers[header::ACCEPT], &headers[header::ACCEPT_ENCODING]), (&BLOCK_TYPE.parse().unwrap(), &"identity".parse().unwrap()));
}

// HM-20
#[tokio::test]
async fn what_is_not_the_block_is_refused_and_described() {
    let other = refused(|| answer(200, &[(header::CONTENT_TYPE, BLOCK_TYPE)], b"another")).await;
    let page = refused(|| answer(200, &[], b"<!doctype html><title>504</title>")).await;
    let wrapped = refused(|| answer(200, &[(header::CONTENT_TYPE, "text/plain; charset=utf-8")], b"the content of a file")).await;
    let empty = refused(|| answer(200, &[], b"")).await;
    let told: Vec<_> = [other, page, wrapped, empty].map(|error| (error.kind, error.reason)).to_vec();
    assert!(told.iter().all(|(kind, _)| *kind == ErrorKind::WrongBytes), "{told:?}");
    let reasons: Vec<_> = told.into_iter().map(|(_, reason)| reason).collect();
    insta::assert_snapshot!(reasons.join("\n"), @r"
    not the block: 7 bytes, expected b3:ae7530333deb, found b3:cee450a24062
    not the block: 33 bytes, it looks like a web page
    not the block: 21 bytes, text/plain; charset=utf-8, which nobody asked for
    not the block: 0 bytes, expected b3:ae7530333deb, found b3:af1349b9f5f9
    ");
}

// HM-20
#[tokio::test]
async fn refusals_keep_their_meaning() {
    for (status, expected) in [
        (404, ErrorKind::NotFound),
        (410, ErrorKind::NotFound),
        (412, ErrorKind::NotFound),
        (403, ErrorKind::Denied),
        (429, ErrorKind::Unavailable { retry_after: Some(Duration::from_secs(7)) }),
        (504, ErrorKind::Unavailable { retry_after: Some(Duration::from_secs(7)) }),
        (400, ErrorKind::BadAnswer),
        (206, ErrorKind::BadAnswer),
    ] {
        assert_eq!(refused(move || answer(status, &[(header::RETRY_AFTER, "7")], b"words")).await.kind, expected, "{status}");
    }
}

// HM-20
#[tokio::test]
async fn nobody_is_followed_to_a_subdomain() {
    let moved = refused(|| answer(301, &[(header::LOCATION, "http://bafy.ipfs.localhost:8080/")], b"")).await;
    assert_eq!((moved.kind, moved.reason.as_str()), (ErrorKind::BadAnswer, "the server redirects to another host, bafy.ipfs.localhost"));
}

#[tokio::test]
async fn a_block_longer_than_any_is_not_read() {
    let long = vec![7; MAX_BLOCK_BYTES as usize + 1];
    let (cid, server) = (Cid::new(Codec::Raw, Hash::of(&long)), Server::start(move |_| answer(200, &[], &long)).await);
    let error = server.gateway().block_into(&cid, u64::MAX, &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    let short = Server::start(|_| block()).await;
    assert_eq!(get(&short.gateway(), BLOCK.len() as u64 - 1).await.unwrap_err().kind, ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_gateway_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let timeouts = Timeouts { connect: Duration::from_millis(100), first_byte: Duration::from_millis(100), ..Timeouts::of_gateways() };
    assert_eq!(get(&Gateway::open(&url, timeouts).unwrap(), 99).await.unwrap_err().kind, ErrorKind::Unreachable);
    assert_eq!(Timeouts::of_gateways().first_byte, Duration::from_secs(45), "longer than a gateway looks for a block");
}

#[tokio::test]
async fn a_probe_tells_gateways_from_everything_else() {
    let other = async |reply: fn(&str) -> Answer| match Server::start(reply).await.gateway().probe().await {
        Probed::Other { what } => what,
        found @ (Probed::Gateway | Probed::Nothing { .. }) => panic!("{found:?}"),
    };
    let gateway = Server::start(|_| answer(200, &[(header::CONTENT_TYPE, BLOCK_TYPE)], b"")).await;
    assert_eq!(gateway.gateway().probe().await, Probed::Gateway);
    assert_eq!(gateway.asked(), ["GET /ipfs/bafkqaaa?format=raw"]);
    let rpc = |target: &str| answer(if target.starts_with("/api/v0/version") { 405 } else { 404 }, &[], b"");
    let told = [
        other(rpc).await,
        other(|_| answer(404, &[], b"")).await,
        other(|_| answer(200, &[(header::CONTENT_TYPE, "text/html")], b"<title>Log in</title>")).await,
        other(|_| answer(307, &[(header::LOCATION, "https://bafkqaaa.ipfs.example/")], b"")).await,
    ];
    insta::assert_snapshot!(told.join("\n"), @r"
    this is Kubo's RPC, which answers 404 Not Found, and not its gateway, which listens on port 8080
    no gateway: it answers 404 Not Found to what every gateway has
    no gateway: it answers with something else (text/html) to what every gateway has
    the server redirects to another host, bafkqaaa.ipfs.example
    ");
    for status in [429, 502] {
        let busy = Server::start(move |_| answer(status, &[], b"")).await.gateway().probe().await;
        assert!(matches!(busy, Probed::Nothing { .. }), "{busy:?}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let dead = Server { address: closed, asked: Asked::default() }.gateway().probe().await;
    assert!(matches!(dead, Probed::Nothing { .. }), "{dead:?}");
}

#[tokio::test]
async fn a_node_is_asked_what_it_has_at_hand() {
    let server = Server::start(|_| answer(200, &[], b"")).await;
    assert!(server.gateway().has_at_hand(&cid()).await);
    let (line, headers) = server.asked.lock().unwrap()[0].clone();
    assert!(line.starts_with("HEAD /ipfs/bafk") && headers[header::CACHE_CONTROL] == "only-if-cached", "{line}");
    let lacks = Server::start(|_| answer(Status::PRECONDITION_FAILED.as_u16(), &[], b"")).await;
    assert!(!lacks.gateway().has_at_hand(&cid()).await);
}

// AW-11
#[test]
fn localhost_is_an_address_and_no_secret_is_shown() {
    let gateway = |url: &str| Gateway::open(&url.parse().unwrap(), Timeouts::of_gateways()).unwrap();
    let local = gateway("http://localhost:8080/ipfs/");
    assert_eq!((local.name(), local.is_local()), ("http://127.0.0.1:8080", true));
    let secret = gateway("https://user:hunter2@gw.example/x?token=hunter2#hunter2");
    assert_eq!((secret.name(), secret.is_local()), ("https://gw.example/x", false));
    assert!(!format!("{secret:?}").contains("hunter2"));
    assert!(Gateway::open(&"ftp://host/".parse().unwrap(), Timeouts::default()).is_err());
}
