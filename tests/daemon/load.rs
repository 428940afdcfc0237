//! Clients that ask at a steady rate, and the account of what became of each query.

use super::client::Client;
use super::{millis, now, wire};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Queries of the whole load in a second.
const RATE: u64 = 5_000;
/// Clients that ask, each with an address and a socket of its own: a client may have only so many questions in flight,
/// and replies that come all at once fit into their queues.
const CLIENTS: usize = 20;
/// Names asked again and again.
const POPULAR: u64 = 1500;
/// One query in so many is for a name that nobody has asked for.
const NEW: u64 = 20;

/// What became of the queries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) asked: u64,
    /// With NOERROR and the id and name of the query.
    pub(crate) answered: u64,
    /// With any other code.
    pub(crate) refused: u64,
    /// The longest that any took.
    pub(crate) slowest: Duration,
}

/// A running load of 5,000 queries a second, one in 20 for a name that is new.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Account>>,
}

impl Load {
    pub(crate) fn on(server: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let each = |number| {
            let stop = stop.clone();
            thread::spawn(move || ask(server, number, &stop))
        };
        let clients = (0..CLIENTS).map(each).collect();
        Self { stop, clients }
    }

    /// Asks no more, waits for the last replies, and tells what became of all.
    pub(crate) fn end(self) -> Account {
        self.stop.store(true, Relaxed);
        let mut all = Account::default();
        for client in self.clients {
            let one = client.join().unwrap();
            all.asked += one.asked;
            all.answered += one.answered;
            all.refused += one.refused;
            all.slowest = all.slowest.max(one.slowest);
        }
        all
    }
}

/// One of the clients. It never waits for a reply before it asks again.
fn ask(server: SocketAddr, number: usize, stop: &AtomicBool) -> Account {
    let client = Client::from(&format!("127.0.1.{}", number + 1), server);
    let pause = Duration::from_nanos(1_000_000_000 * CLIENTS as u64 / RATE);
    let (start, mut account, mut open) = (now(), Account::default(), Vec::new());
    loop {
        let due = start + pause * u32::try_from(account.asked).unwrap();
        let asking = !stop.load(Relaxed);
        if asking && due <= now() {
            let query = query(number, account.asked);
            client.send(&query);
            open.push((query, now()));
            account.asked += 1;
            continue;
        }
        let wait = due.saturating_duration_since(now());
        let patience = if asking { wait } else { millis(4000) };
        let patience = patience.max(millis(1));
        client.socket.set_read_timeout(Some(patience)).unwrap();
        match client.receive() {
            Some(reply) => account.note(&reply, &mut open),
            None if !asking => return account,
            None => {}
        }
        if !asking && open.is_empty() {
            return account;
        }
    }
}

impl Account {
    fn note(&mut self, reply: &[u8], open: &mut Vec<(Vec<u8>, std::time::Instant)>) {
        let name = wire::name_of(reply);
        let mine = |query: &[u8]| query[..2] == reply[..2] && wire::name_of(query) == name;
        let Some(place) = open.iter().position(|(query, _)| mine(query)) else {
            panic!("a reply that nobody waits for: {name}");
        };
        let (_, asked) = open.swap_remove(place);
        self.slowest = self.slowest.max(asked.elapsed());
        match wire::rcode_of(reply) {
            wire::NOERROR => self.answered += 1,
            _ => self.refused += 1,
        }
    }
}

/// The query of a client with this number of its own.
fn query(client: usize, number: u64) -> Vec<u8> {
    let name = match number % NEW {
        0 => format!("n{number}.c{client}.new.example"),
        _ => format!("p{}.example", (number * 7 + client as u64) % POPULAR),
    };
    let kind = if number.is_multiple_of(2) {
        wire::A
    } else {
        wire::AAAA
    };
    wire::query(u16::try_from(number).unwrap(), &name, kind)
}
