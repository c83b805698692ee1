//! A store behind a web server that does as a test tells it, and counts what it is asked for.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What the server does when it is asked for an object.
pub(crate) enum Answer {
    /// Sends it.
    Whole,
    /// Sends it after a while.
    After(Duration),
    /// Sends as many other bytes.
    Garbage,
    /// Closes the connection.
    HangUp,
    /// Says nothing and keeps the connection.
    Silence,
}

/// The server. Its threads end with the process.
pub(crate) struct Web {
    /// Where it listens, as a source.
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Serves the store in `root`; `answer` is asked with each object's key.
    pub(crate) fn start(root: PathBuf, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (site, seen) = (Arc::new((root, answer)), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (site, seen) = (Arc::clone(&site), Arc::clone(&seen));
                thread::spawn(move || while serve(&stream, &site.0, &site.1, &seen).is_some() {});
            }
        });
        Self { url, asked }
    }

    /// Every chunk that it was asked for so far, as often as it was asked.
    pub(crate) fn chunks_asked(&self) -> Vec<String> {
        self.asked_below("chunks/")
    }

    /// Every key below a folder that it was asked for so far, as often as it was asked.
    pub(crate) fn asked_below(&self, folder: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|key| key.starts_with(folder)).cloned().collect()
    }
}

/// Answers one request; `None` when the connection is over.
fn serve(stream: &TcpStream, root: &std::path::Path, answer: &impl Fn(&str) -> Answer, seen: &Mutex<Vec<String>>) -> Option<()> {
    let key = read_request(stream)?;
    seen.lock().unwrap().push(key.clone());
    let mut body = std::fs::read(root.join(&key)).ok();
    match answer(&key) {
        Answer::Whole => {}
        Answer::After(pause) => thread::sleep(pause),
        Answer::Garbage => body.iter_mut().flatten().for_each(|byte| *byte ^= 0x55),
        Answer::HangUp => return None,
        Answer::Silence => loop {
            thread::park();
        },
    }
    let (status, body) = body.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let mut out = stream;
    out.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes()).ok()?;
    out.write_all(&body).ok()
}

/// The key that a request asks for. Clients send one request after the other, so nothing is lost with the buffer.
fn read_request(stream: &TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    for line in lines {
        if line.ok()?.is_empty() {
            return Some(first.split(' ').nth(1)?.trim_start_matches('/').to_owned());
        }
    }
    None
}
