//! The way to a server, which can be cut: connections stay open, and nothing comes through any more.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A cable from an address of its own to a server on loopback. Its threads end with their connections, the last one with the tests.
pub(crate) struct Cable {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
}

impl Cable {
    /// A cable to the server at a URL without a path.
    pub(crate) fn to(endpoint: &str) -> Self {
        let server: SocketAddr = endpoint.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let cable = Self { address: listener.local_addr().unwrap(), is_cut: Arc::default() };
        let is_cut = Arc::clone(&cable.is_cut);
        thread::spawn(move || {
            // Held for as long as the tests run: a connection that ends would be noticed at the other end.
            let mut held = Vec::new();
            for client in listener.incoming().flatten() {
                held.push(client.try_clone().unwrap());
                let server = TcpStream::connect(server).unwrap();
                carry(client.try_clone().unwrap(), server.try_clone().unwrap(), &is_cut);
                carry(server, client, &is_cut);
            }
        });
        cable
    }

    /// Where to connect to.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on nothing comes through, in neither direction.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }
}

/// Passes on what comes from one side until the cable is cut.
fn carry(mut from: TcpStream, mut to: TcpStream, is_cut: &Arc<AtomicBool>) {
    let is_cut = Arc::clone(is_cut);
    thread::spawn(move || {
        let mut piece = vec![0; 64 << 10];
        while let Ok(n @ 1..) = from.read(&mut piece) {
            if is_cut.load(Ordering::Relaxed) || to.write_all(&piece[..n]).is_err() {
                break;
            }
        }
    });
}
