//! Runs a command behind download links of bounded rates, of which some turn bad: several sources, for benches/compare.sh.
//!
//! `slow_links PORT LINK... -- COMMAND...` relays to a server on loopback. A link is `MIB_PER_SECOND`, or `MIB_PER_SECOND:TURN:MIB`, which
//! turns `slow` (to a twentieth), `wrong` (a byte of each piece is another) or `dead` after so many MiB. `{1}` in the command is the address
//! of the first link, and so on. It ends as the command does.

#![expect(clippy::unwrap_used, reason = "the benchmark fails then")]

use std::{
    env,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Command, ExitCode},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const MIB: f64 = 1_048_576.0;
/// What is read and passed on at once.
const PIECE: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq)]
enum Turn {
    Slow,
    Wrong,
    Dead,
}

/// All connections of one link share its rate.
struct Link {
    bytes_per_second: f64,
    turn: Option<(Turn, f64)>,
    state: Mutex<State>,
}

/// How much has passed, and when the next piece may.
struct State {
    passed_bytes: f64,
    next: Instant,
}

impl Link {
    fn parse(text: &str) -> Self {
        let parts: Vec<&str> = text.split(':').collect();
        let (rate, turn) = match parts[..] {
            [rate] => (rate, None),
            [rate, turn, after] => {
                let turn = match turn {
                    "slow" => Turn::Slow,
                    "wrong" => Turn::Wrong,
                    "dead" => Turn::Dead,
                    _ => panic!("{turn}: expected slow, wrong or dead"),
                };
                (rate, Some((turn, after.parse::<f64>().unwrap() * MIB)))
            }
            _ => panic!("{text}: expected MIB_PER_SECOND or MIB_PER_SECOND:TURN:MIB"),
        };
        let state = Mutex::new(State { passed_bytes: 0.0, next: Instant::now() });
        Self { bytes_per_second: rate.parse::<f64>().unwrap() * MIB, turn, state }
    }

    fn turned(&self, passed_bytes: f64) -> Option<Turn> {
        self.turn.filter(|(_, after)| passed_bytes >= *after).map(|(turn, _)| turn)
    }

    /// Waits until a piece may pass, and says what the link has become.
    fn pass(&self, bytes: usize) -> Option<Turn> {
        let (turned, until) = {
            let mut state = self.state.lock().unwrap();
            let turned = self.turned(state.passed_bytes);
            let rate = if turned == Some(Turn::Slow) { self.bytes_per_second / 20.0 } else { self.bytes_per_second };
            state.passed_bytes += bytes as f64;
            state.next = state.next.max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / rate);
            (turned, state.next)
        };
        thread::sleep(until.saturating_duration_since(Instant::now()));
        turned
    }

    fn is_dead(&self) -> bool {
        self.turned(self.state.lock().unwrap().passed_bytes) == Some(Turn::Dead)
    }

    /// Relays connections to `server` from now on; says where to.
    fn open(self, server: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let link = Arc::new(self);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                match TcpStream::connect(server) {
                    Ok(server) if !link.is_dead() => relay(client, server, &link),
                    _ => drop(client),
                }
            }
        });
        address
    }
}

fn relay(client: TcpStream, server: TcpStream, link: &Arc<Link>) {
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let link = Arc::clone(link);
    thread::spawn(move || {
        let (mut server, mut client) = (server, client);
        let mut piece = vec![0; PIECE];
        while let Ok(n @ 1..) = server.read(&mut piece) {
            match link.pass(n) {
                Some(Turn::Dead) => break,
                // The last one, so that heads of answers stay what they are.
                Some(Turn::Wrong) => piece[n - 1] ^= 1,
                Some(Turn::Slow) | None => {}
            }
            if client.write_all(&piece[..n]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
    });
}

fn main() -> ExitCode {
    // `cargo bench` gives this to every program.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Some(split) = arguments.iter().position(|argument| argument == "--") else {
        eprintln!("slow_links: left out; benches/compare.sh runs it");
        return ExitCode::SUCCESS;
    };
    let (links, command) = (&arguments[1..split], &arguments[split + 1..]);
    let server = SocketAddr::from(([127, 0, 0, 1], arguments[0].parse().unwrap()));
    let addresses: Vec<SocketAddr> = links.iter().map(|link| Link::parse(link).open(server)).collect();
    let fill_in = |argument: &String| {
        addresses
            .iter()
            .enumerate()
            .fold(argument.clone(), |text, (n, address)| text.replace(&format!("{{{}}}", n + 1), &address.to_string()))
    };
    let status = Command::new(&command[0]).args(command[1..].iter().map(fill_in)).status().unwrap();
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
