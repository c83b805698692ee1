//! A TCP relay on loopback that passes a bounded number of bytes per second: a download link for the demo.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// The relay. It ends with the process.
pub(crate) struct SlowLink {
    address: SocketAddr,
}

impl SlowLink {
    /// Relays connections to `server`, `bytes_per_second` for all of them together on the way back.
    pub(crate) fn open(server: SocketAddr, bytes_per_second: u64) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let pace = Arc::new(Pace { bytes_per_second, next: Mutex::new(Instant::now()) });
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect(server) {
                    relay(client, server, &pace);
                }
            }
        });
        Ok(Self { address })
    }

    /// Where to connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

struct Pace {
    bytes_per_second: u64,
    next: Mutex<Instant>,
}

impl Pace {
    fn wait_for(&self, bytes: usize) {
        let took = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let until = {
            let mut next = self.next.lock().expect("no holder of this lock panics");
            *next = (*next).max(Instant::now()) + took;
            *next
        };
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

fn relay(client: TcpStream, server: TcpStream, pace: &Arc<Pace>) {
    let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let pace = Arc::clone(pace);
    thread::spawn(move || {
        let (mut server, mut client) = (server, client);
        let mut buffer = vec![0; 64 << 10];
        while let Ok(n @ 1..) = server.read(&mut buffer) {
            pace.wait_for(n);
            if client.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    });
}
