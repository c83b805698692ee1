//! Whether a node answers: the sign that it is back.

use std::{
    fmt::Debug,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Somebody who can be asked for a sign of life.
pub trait Answers: Debug + Send + Sync {
    /// Whether it answers now.
    fn answers(&self) -> bool;
}

/// A server of HTTP: whatever it answers to a question, it is there. A node that opens its database accepts no connection yet.
#[derive(Clone, Debug)]
pub struct HttpServer {
    /// `HOST:PORT`. No path and no user: those may be secrets, and are not needed.
    pub address: String,
}

impl HttpServer {
    /// The server behind a URL; `None` when it names none.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        let url: url::Url = url.parse().ok()?;
        let host = url.host_str()?;
        Some(Self { address: format!("{host}:{}", url.port_or_known_default()?) })
    }

    fn ask(&self) -> io::Result<()> {
        // A name may have several addresses, of which the node listens on one.
        let mut tried = Err(io::ErrorKind::NotFound.into());
        for address in self.address.to_socket_addrs()? {
            tried = self.ask_at(&address);
            if tried.is_ok() {
                break;
            }
        }
        tried
    }

    fn ask_at(&self, address: &SocketAddr) -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let question = r#"{"jsonrpc":"2.0","id":1,"method":"rpc_modules","params":[]}"#;
        let head = format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n", self.address);
        stream.write_all(format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n{question}", question.len()).as_bytes())?;
        // A server of TLS answers with an alert, and any byte is a sign of life.
        stream.read_exact(&mut [0; 1])
    }
}

impl Answers for HttpServer {
    fn answers(&self) -> bool {
        self.ask().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_url_has_neither_path_nor_user() {
        let address = |url| HttpServer::of_url(url).map(|server| server.address);
        assert_eq!(address("http://user:secret@127.0.0.1:8545/token").as_deref(), Some("127.0.0.1:8545"));
        assert_eq!(address("https://[::1]/x").as_deref(), Some("[::1]:443"));
        assert_eq!(address("nonsense"), None);
    }

    #[test]
    fn who_answers_anything_is_there_and_who_hangs_up_is_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = HttpServer { address: listener.local_addr().unwrap().to_string() };
        let other = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap();
            let mut question = [0; 4];
            stream.read_exact(&mut question).unwrap();
            drop(listener.accept().unwrap());
            question
        });
        assert!(server.answers());
        assert!(!server.answers());
        assert_eq!(&other.join().unwrap(), b"POST");
        assert!(!server.answers());
    }
}
