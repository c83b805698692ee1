//! Servers that break the protocol, stall, lie or lead astray.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// What a scripted server does with a connection after the request.
#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    /// The same bytes again and again, with a pause after each.
    Drip(Vec<u8>, Duration),
    /// Nothing, for ever.
    Hang,
    /// Closes with a RST.
    Reset,
    /// Waits for the next request on this connection.
    Next,
}

fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// A server that runs the same steps for every connection, and the requests it has seen.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(play(connection, steps.clone(), Arc::clone(&seen)));
            }
        });
        Self { address, requests }
    }

    fn store(&self) -> HttpStore {
        self.store_at("")
    }

    fn store_at(&self, user: &str) -> HttpStore {
        let timeouts = Timeouts {
            connect: Duration::from_millis(200),
            first_byte: Duration::from_millis(300),
            rate_window: Duration::from_millis(200),
            rate_window_bytes: 1000,
        };
        HttpStore::open(&format!("http://{user}{}/store", self.address).parse().unwrap(), timeouts).unwrap()
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn play(mut connection: TcpStream, steps: Vec<Step>, seen: Arc<Mutex<Vec<String>>>) {
    let Some(request) = read_request(&mut connection).await else { return };
    seen.lock().unwrap().push(request);
    for step in steps {
        match step {
            Step::Send(bytes) => connection.write_all(&bytes).await.unwrap(),
            Step::Drip(bytes, pause) => {
                while connection.write_all(&bytes).await.is_ok() {
                    tokio::time::sleep(pause).await;
                }
            }
            Step::Hang => tokio::time::sleep(Duration::from_secs(60)).await,
            Step::Reset => return connection.set_zero_linger().unwrap(),
            Step::Next => {
                let Some(request) = read_request(&mut connection).await else { return };
                seen.lock().unwrap().push(request);
            }
        }
    }
}

async fn read_request(connection: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(connection.read_u8().await.ok()?);
    }
    String::from_utf8(request).ok()
}

/// Asks a server that does `steps` for an object of at most 100 bytes.
async fn get(steps: Vec<Step>) -> Result<Vec<u8>, Error> {
    Server::start(steps).await.store().get(&key(), 100).await
}

async fn kind(steps: Vec<Step>) -> ErrorKind {
    let error = get(steps).await.unwrap_err();
    assert!(!error.reason.is_empty() && error.to_string().contains("chunks/aa/x"), "{error}");
    error.kind
}

fn key() -> ObjectKey {
    "chunks/aa/x".parse().unwrap()
}

fn answer(head: &str, body: &str) -> Vec<Step> {
    vec![send(&format!("HTTP/1.1 {head}\r\n\r\n{body}"))]
}

#[tokio::test]
async fn asks_for_the_whole_object_as_it_is() {
    let server = Server::start(answer("200 OK\r\nContent-Length: 5", "hello")).await;
    assert_eq!(server.store().get(&key(), 5).await.unwrap(), b"hello");
    let request = server.requests().remove(0).to_ascii_lowercase();
    assert!(request.starts_with("get /store/chunks/aa/x http/1.1\r\n"), "{request}");
    assert!(request.contains("accept-encoding: identity\r\n") && !request.contains("range:"), "{request}");
}

// HM-02
#[tokio::test]
async fn a_truncated_body_is_interrupted() {
    assert_eq!(kind(answer("200 OK\r\nContent-Length: 50", "hello")).await, ErrorKind::Interrupted);
    assert_eq!(kind(answer("200 OK\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n")).await, ErrorKind::Interrupted);
}

// HM-03
#[tokio::test]
async fn an_endless_body_is_left_at_the_cap() {
    let endless = vec![send(OK), send("\r\n"), Step::Drip(vec![b'x'; 64], Duration::ZERO)];
    let server = Server::start(endless).await;
    let mut into = Vec::new();
    let error = server.store().get_into(&key(), 100_000, &mut into).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert!(into.capacity() <= 200_000, "{}", into.capacity());
}

// HM-04
#[tokio::test]
async fn an_announced_length_is_neither_believed_nor_reserved() {
    assert_eq!(kind(answer("200 OK\r\nContent-Length: 9223372036854775808", "hello")).await, ErrorKind::TooLarge);
    assert_eq!(kind(answer("200 OK\r\nContent-Length: 101", "")).await, ErrorKind::TooLarge);
    for nonsense in ["-1", "5\r\nContent-Length: 6", "99999999999999999999999999", "five"] {
        let kind = kind(answer(&format!("200 OK\r\nContent-Length: {nonsense}"), "hello")).await;
        assert_eq!(kind, ErrorKind::Interrupted, "{nonsense}");
    }
}

// HM-05
#[tokio::test]
async fn a_body_below_the_least_rate_is_given_up_and_one_above_it_is_not() {
    let drip = |bytes: usize| vec![send(OK), send("\r\n"), Step::Drip(vec![b'x'; bytes], Duration::from_millis(20))];
    let begin = Instant::now();
    assert_eq!(kind(drip(1)).await, ErrorKind::TooSlow);
    assert!(begin.elapsed() < Duration::from_secs(1));
    // Takes longer than any window, and is fast enough in each.
    let server = Server::start(drip(400)).await;
    let error = server.store().get(&key(), 10_000).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
}

// HM-05
#[tokio::test]
async fn a_server_that_nobody_can_replace_is_waited_for_while_anything_arrives() {
    let drip = Step::Drip(b"x".to_vec(), Duration::from_millis(20));
    let server = Server::start(vec![send(OK), send("\r\n"), drip]).await;
    let store = server.store();
    store.be_patient();
    let begin = Instant::now();
    assert_eq!(store.get(&key(), 40).await.unwrap_err().kind, ErrorKind::TooLarge);
    assert!(begin.elapsed() > Duration::from_millis(500), "it lasts longer than two windows: {:?}", begin.elapsed());
    let silent = Server::start(vec![send(OK), send("Content-Length: 5\r\n\r\n"), Step::Hang]).await.store();
    silent.be_patient();
    assert_eq!(silent.get(&key(), 40).await.unwrap_err().kind, ErrorKind::TooSlow);
}

// HM-05
#[tokio::test]
async fn headers_that_never_end_are_given_up() {
    let drip = vec![send(OK), Step::Drip(b"x: y\r\n".to_vec(), Duration::from_millis(30))];
    assert_eq!(kind(drip).await, ErrorKind::Unreachable);
}

// HM-12
#[tokio::test]
async fn redirects_end_somewhere() {
    let redirect = answer("302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close", "");
    let server = Server::start(redirect).await;
    let error = server.store().get(&key(), 100).await.unwrap_err();
    assert_eq!((error.kind, error.reason.as_str()), (ErrorKind::BadAnswer, "the server redirects more than 5 times"));
    assert_eq!(server.requests().len(), 6);
}

// HM-12
#[tokio::test]
async fn redirects_to_dangerous_places_are_not_followed() {
    for location in ["file:///etc/passwd", "ftp://host/x", "http://169.254.169.254/latest/", "http://[fe80::1]/"] {
        let kind = kind(answer(&format!("302 Found\r\nLocation: {location}\r\nContent-Length: 0"), "")).await;
        assert_eq!(kind, ErrorKind::BadAnswer, "{location}");
    }
    assert_eq!(kind(answer("302 Found\r\nContent-Length: 0", "")).await, ErrorKind::BadAnswer);
}

// HM-12
#[tokio::test]
async fn a_password_is_sent_to_the_configured_host_only() {
    let other = Server::start(answer("200 OK\r\nContent-Length: 5", "hello")).await;
    let redirect = format!("302 Found\r\nLocation: http://{}/x\r\nContent-Length: 0\r\nConnection: close", other.address);
    let first = Server::start(answer(&redirect, "")).await;
    let store = first.store_at("user:hunter2@");
    assert_eq!(store.get(&key(), 100).await.unwrap(), b"hello");
    assert!(first.requests()[0].to_ascii_lowercase().contains("authorization: basic"));
    let leaked = other.requests().remove(0).to_ascii_lowercase();
    assert!(!leaked.contains("authorization") && !leaked.contains("hunter2"), "{leaked}");
}

// HM-13
#[tokio::test]
async fn an_encoded_body_is_refused_and_not_decoded() {
    for encoding in ["gzip", "br", "zstd", "identity, gzip"] {
        let head = format!("200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: 5");
        assert_eq!(kind(answer(&head, "hello")).await, ErrorKind::BadAnswer, "{encoding}");
    }
    assert_eq!(get(answer("200 OK\r\nContent-Encoding: identity\r\nContent-Length: 5", "hello")).await.unwrap(), b"hello");
}

// HM-14
#[tokio::test]
async fn only_a_200_with_a_body_is_an_object() {
    for head in [
        "200 OK\r\nContent-Length: 0",
        "204 No Content",
        "206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5",
        "304 Not Modified",
    ] {
        assert_eq!(kind(answer(head, "")).await, ErrorKind::BadAnswer, "{head}");
    }
}

// NW-04, NW-06, NW-07
#[tokio::test]
async fn refusals_keep_their_meaning() {
    let later = |secs| ErrorKind::Unavailable { retry_after: Some(Duration::from_secs(secs)) };
    for (head, expected) in [
        ("404 Not Found", ErrorKind::NotFound),
        ("410 Gone", ErrorKind::NotFound),
        ("403 Forbidden", ErrorKind::Denied),
        ("429 Too Many Requests\r\nRetry-After: 3", later(3)),
        ("503 Slow Down\r\nRetry-After: 3600", later(60)),
        ("503 Slow Down", ErrorKind::Unavailable { retry_after: None }),
    ] {
        assert_eq!(kind(answer(&format!("{head}\r\nContent-Length: 0"), "")).await, expected, "{head}");
    }
}

// NW-01
#[tokio::test]
async fn a_reset_at_any_byte_is_worth_retrying() {
    let whole = format!("{OK}Content-Length: 10\r\n\r\n0123456789");
    for bytes in 0..whole.len() {
        let result = get(vec![send(&whole[..bytes]), Step::Reset]).await;
        assert!(result.as_ref().is_err_and(|error| error.kind.worth_retrying()), "after {bytes} bytes: {result:?}");
    }
}

// NW-01
#[tokio::test]
async fn a_refused_connection_is_unreachable() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = Server { address, requests: Arc::default() };
    assert_eq!(server.store().get(&key(), 100).await.unwrap_err().kind, ErrorKind::Unreachable);
}

// NW-02
#[tokio::test]
async fn a_black_hole_is_given_up() {
    let begin = Instant::now();
    assert_eq!(kind(vec![Step::Hang]).await, ErrorKind::Unreachable);
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert_eq!(kind(vec![send(OK), send("Content-Length: 5\r\n\r\n"), Step::Hang]).await, ErrorKind::TooSlow);
}

// NW-03
#[tokio::test]
async fn a_name_that_does_not_exist_is_unreachable() {
    let store = HttpStore::open(&"http://no-such-host.invalid/".parse().unwrap(), Timeouts::default()).unwrap();
    assert_eq!(store.get(&key(), 100).await.unwrap_err().kind, ErrorKind::Unreachable);
}

// NW-14
#[tokio::test]
async fn a_connection_with_garbage_after_the_body_is_not_used_again() {
    let answer = format!("{OK}Content-Length: 5\r\n\r\nhello{OK}Content-Length: 5\r\n\r\nwrong");
    let server = Server::start(vec![send(&answer), Step::Next, send(&answer), Step::Next]).await;
    let store = server.store();
    for _ in 0..5 {
        match store.get(&key(), 100).await {
            Ok(body) => assert_eq!(body, b"hello"),
            Err(error) => assert!(error.kind.worth_retrying(), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let hello = send(&format!("{OK}Content-Length: 5\r\n\r\nhello"));
    let server = Server::start(vec![hello.clone(), Step::Next, hello, Step::Next, Step::Hang]).await;
    let store = server.store();
    for _ in 0..2 {
        assert_eq!(store.get(&key(), 100).await.unwrap(), b"hello");
    }
    assert_eq!(server.requests().len(), 2);
}

// HM-21
#[tokio::test]
async fn a_server_that_does_not_speak_tls_fails_with_that_reason() {
    let server = Server::start(vec![]).await;
    let garbage = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = garbage.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut connection, _) = garbage.accept().await.unwrap();
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    let store = HttpStore::open(&format!("https://{address}/").parse().unwrap(), server.store().web.timeouts).unwrap();
    let error = store.get(&key(), 100).await.unwrap_err();
    assert!(error.reason.contains("TLS"), "{error}: {:?}", error.source);
}
