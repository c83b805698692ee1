//! The evil mirror: a web server of a real store that answers as a test tells it, for each object and each time it is asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustix::net::sockopt::set_socket_linger;

/// What the mirror does when it is asked for an object.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Sends it.
    Whole,
    /// Sends it after a while.
    After(Duration),
    /// Sends as many other bytes.
    Garbage,
    /// Sends it with one bit changed.
    Flip,
    /// Sends so many bytes of it, as if that were all.
    Shortened(usize),
    /// Sends it and so many bytes more, as one object.
    Longer(usize),
    /// Sends bytes without an end, and announces no length.
    Endless,
    /// Announces it, sends so many bytes of it and closes the connection.
    BreakOff(usize),
    /// Sends so many bytes of the answer, its headers included, and resets the connection.
    Reset(usize),
    /// Sends so many bytes of the answer, its headers included, and then nothing.
    StallAfter(usize),
    /// Sends the answer a byte at a time, with a pause after each.
    Drip(Duration),
    /// Closes the connection.
    HangUp,
    /// Says nothing and keeps the connection.
    Silence,
    /// Sends this status line and these headers, and no body.
    Status(&'static str),
    /// Sends it with these header lines instead of its length.
    Headers(&'static str),
    /// Sends the client to another address.
    Redirect(String),
    /// Sends a web page.
    Page,
    /// Sends this instead.
    Instead(Vec<u8>),
    /// Sends it, and without being asked another answer behind it.
    TwoAnswers,
}

/// What the mirror was asked for, in order.
type Asked = Arc<Mutex<Vec<String>>>;

/// The mirror. Its threads end with the process.
pub(crate) struct EvilMirror {
    /// Where it listens, as a source.
    pub(crate) url: String,
    asked: Asked,
}

/// What it does with the object of a key, asked for the nth time.
type Script = Arc<dyn Fn(&str, usize) -> Answer + Send + Sync>;

impl EvilMirror {
    /// Serves the store in `root`; `answer` is asked with each object's key.
    pub(crate) fn start(root: PathBuf, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::scripted(root, move |key, _| answer(key))
    }

    /// The same; `answer` is also told how often the object was asked for before.
    pub(crate) fn scripted(root: PathBuf, answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(root, Arc::new(answer), "http", Some)
    }

    /// The same behind something that wraps its connections, such as TLS.
    pub(crate) fn listen<S: Read + Write + Wire>(
        root: PathBuf,
        script: Script,
        scheme: &str,
        wrap: impl Fn(TcpStream) -> Option<S> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("{scheme}://{}/", listener.local_addr().unwrap());
        let asked = Asked::default();
        let (site, seen, wrap) = (Arc::new((root, script)), Arc::clone(&asked), Arc::new(wrap));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (site, seen, wrap) = (Arc::clone(&site), Arc::clone(&seen), Arc::clone(&wrap));
                thread::spawn(move || {
                    let Some(mut stream) = wrap(stream) else { return };
                    while serve(&mut stream, &site.0, &site.1, &seen).is_some() {}
                });
            }
        });
        Self { url, asked }
    }

    /// Every object that it was asked for so far, as often as it was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The chunks among them.
    pub(crate) fn chunks_asked(&self) -> Vec<String> {
        self.asked_below("chunks/")
    }

    /// Those below a folder among them.
    pub(crate) fn asked_below(&self, folder: &str) -> Vec<String> {
        self.asked().into_iter().filter(|key| key.starts_with(folder)).collect()
    }
}

/// A connection that can be broken.
pub(crate) trait Wire {
    /// The TCP connection below.
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// Answers one request; `None` when the connection is over.
fn serve<S: Read + Write + Wire>(stream: &mut S, root: &Path, script: &Script, asked: &Asked) -> Option<()> {
    let Request { key, is_head } = read_request(stream)?;
    if is_head {
        return tell(stream, &root.join(&key));
    }
    let before = note(asked, &key);
    let answer = script(&key, before);
    let object = std::fs::read(root.join(&key)).ok();
    match (answer, object) {
        (Answer::HangUp, _) => None,
        (Answer::Silence, _) => silence(),
        (Answer::Status(status), _) => stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).ok(),
        (Answer::Redirect(to), _) => {
            stream.write_all(format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").as_bytes()).ok()
        }
        (Answer::Page, _) => {
            let page = b"<!doctype html><title>Please log in</title>".repeat(30);
            stream.write_all(&whole("content-type: text/html\r\n", &page)).ok()
        }
        (Answer::Instead(object), _) => stream.write_all(&whole("", &object)).ok(),
        (_, None) => stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").ok(),
        (answer, Some(object)) => send(stream, &answer, object),
    }
}

/// Sends an object that is there.
#[expect(clippy::wildcard_enum_match_arm, reason = "most answers change either the object or how it is sent")]
fn send<S: Write + Wire>(stream: &mut S, answer: &Answer, mut object: Vec<u8>) -> Option<()> {
    match answer {
        Answer::After(pause) => thread::sleep(*pause),
        Answer::Garbage => object.iter_mut().for_each(|byte| *byte ^= 0x55),
        Answer::Flip => *object.last_mut()? ^= 1,
        Answer::Shortened(bytes) => object.truncate(*bytes),
        Answer::Longer(bytes) => object.extend(vec![0; *bytes]),
        _ => {}
    }
    let answer_bytes = whole("", &object);
    match answer {
        Answer::Endless => endless(stream),
        Answer::BreakOff(bytes) => {
            stream.write_all(&answer_bytes[..answer_bytes.len() - object.len().saturating_sub(*bytes)]).ok()?;
            None
        }
        Answer::Reset(bytes) => {
            stream.write_all(&answer_bytes[..answer_bytes.len().min(*bytes)]).ok()?;
            stream.flush().ok()?;
            set_socket_linger(stream.tcp(), Some(Duration::ZERO)).unwrap();
            None
        }
        Answer::StallAfter(bytes) => {
            stream.write_all(&answer_bytes[..answer_bytes.len().min(*bytes)]).ok()?;
            silence()
        }
        Answer::Drip(pause) => answer_bytes.chunks(1).try_for_each(|byte| {
            thread::sleep(*pause);
            stream.write_all(byte).ok()
        }),
        Answer::Headers(lines) => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n").as_bytes()).ok()?;
            stream.write_all(&object).ok()?;
            None
        }
        Answer::TwoAnswers => stream.write_all(&[answer_bytes, whole("", b"not what anybody asked for")].concat()).ok(),
        _ => stream.write_all(&answer_bytes).ok(),
    }
}

fn whole(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn endless(stream: &mut impl Write) -> Option<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    while stream.write_all(&[0x28; 1 << 16]).is_ok() {}
    None
}

fn silence() -> ! {
    loop {
        thread::park();
    }
}

/// Notes a request; says how often the object was asked for before.
fn note(asked: &Asked, key: &str) -> usize {
    let mut asked = asked.lock().unwrap();
    let before = asked.iter().filter(|other| *other == key).count();
    asked.push(key.to_owned());
    before
}

/// Says of an object only whether it is there, as a node does that is not to ask others.
fn tell(stream: &mut impl Write, object: &Path) -> Option<()> {
    let status = if object.exists() { "200 OK" } else { "412 Precondition Failed" };
    stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).ok()
}

/// What a request asks for.
struct Request {
    key: String,
    is_head: bool,
}

/// The next request. Clients send one request after the other, so nothing is lost with the buffer.
fn read_request(stream: &mut impl Read) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    for line in lines {
        if line.ok()?.is_empty() {
            // A proxy is asked with the whole address.
            let target = first.split(' ').nth(1)?;
            let path = target.split_once("://").map_or(target, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
            return Some(Request { key: path.trim_start_matches('/').to_owned(), is_head: first.starts_with("HEAD ") });
        }
    }
    None
}
