//! What a hostile network may do: early forgeries, upstreams that fail in every way, floods, and
//! packets that mean nothing. The program runs as a child, so that its memory is its own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "functions beside the tests are not exempt"
)]

mod daemon;

use daemon::client::{Client, ask};
use daemon::files::Folder;
use daemon::program::Program;
use daemon::upstream::{Asked, Over, Say, Upstream, after, at_once, usual};
use daemon::{millis, now, until, wire};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// These tests measure times and memory, and have two cores at best: one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(upstreams: &[&Upstream]) -> (Program, SocketAddr) {
    let folder = Folder::new();
    let upstreams: Vec<String> = upstreams.iter().map(|u| u.address.to_string()).collect();
    let config = format!(
        "listen: [\"127.0.0.1:0\"]\nadmin: off\nupstreams: {upstreams:?}\ncache: {{size: 4MiB}}\n"
    );
    let program = Program::serve(&folder.write("unsix.yaml", config));
    let address = program.address();
    (program, address)
}

const TRUE: &str = "192.0.2.1";
const FORGED: [u8; 4] = [203, 0, 113, 66];

fn forged(query: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = wire::ipv4(query, FORGED);
    change(&mut packet);
    packet
}

/// A lie under a name that was not asked for.
fn of_the_victim(kind: u16) -> Vec<u8> {
    let mut record = b"\x06victim\x07example\0".to_vec();
    record.extend(&wire::record(kind, 300, &FORGED)[2..]);
    record
}

type Fault = (&'static str, fn(&[u8]) -> Say);
type Failing = (&'static str, fn(&Asked) -> Vec<(Duration, Say)>);

/// What comes first, with the right id from the right place unless it says otherwise.
#[rustfmt::skip]
const EARLY: &[Fault] = &[
    ("another id",        |query| Say::Here(forged(query, |packet| packet[1] ^= 1))),
    ("another address",   |query| Say::OtherAddress(IpAddr::from([127, 0, 0, 66]), wire::ipv4(query, FORGED))),
    ("another port",      |query| Say::OtherPort(wire::ipv4(query, FORGED))),
    ("another name",      |query| Say::Here(forged(query, |packet| packet[13] ^= 1))),
    ("another type",      |query| Say::Here(forged(query, |packet| { let end = wire::question_end(packet); packet[end - 3] = 16; }))),
    ("no question",       |query| Say::Here(forged(query, |packet| { packet[5] = 0; packet.drain(12..wire::question_end(query)); }))),
    ("no response",       |query| Say::Here(forged(query, |packet| packet[2] &= 0x7f))),
    ("another opcode",    |query| Say::Here(forged(query, |packet| packet[2] |= 0x20))),
    ("garbage",           |query| Say::Here([&query[..2], &[0xff; 40]].concat())),
    ("two octets",        |query| Say::Here(query[..2].to_vec())),
    ("nothing at all",    |_| Say::Here(Vec::new())),
    ("counts of 65535",   |query| Say::Here(forged(query, |packet| packet[6..12].fill(0xff)))),
    ("a pointer loop",    |query| Say::Here(forged(query, |packet| { let end = wire::question_end(query); packet[end + 1] = u8::try_from(end).unwrap(); }))),
    ("another owner",     |query| Say::Here(wire::answer(query, &[of_the_victim(wire::A)]))),
];

/// How many packets each question cost.
#[derive(Default)]
struct Cost(Vec<(String, usize)>);

impl Cost {
    fn note(&mut self, upstreams: &[&Upstream], name: &str) {
        let packets = upstreams
            .iter()
            .map(|upstream| upstream.asked(&format!("{name}.")).len());
        self.0.push((name.to_owned(), packets.sum()));
    }
}

#[test]
fn the_fault_matrix() {
    let _turn = alone();
    let mut cost = Cost::default();
    early_packets_never_end_a_question(&mut cost);
    one_of_two_fails(&mut cost);
    a_stream_that_hangs_or_breaks(&mut cost);
    the_only_one_is_dead_and_returns(&mut cost);
    the_only_one_fails(&mut cost);
    let most = cost.0.iter().max_by_key(|(_, packets)| *packets).unwrap();
    let sum: usize = cost.0.iter().map(|(_, packets)| packets).sum();
    let mean =
        f64::from(u32::try_from(sum).unwrap()) / f64::from(u32::try_from(cost.0.len()).unwrap());
    println!(
        "{sum} packets for {} questions: {mean:.2} each, {} at most ({})",
        cost.0.len(),
        most.1,
        most.0
    );
    assert!(most.1 <= 6 && mean <= 3.0);
}

/// The bad packet at once, the true answer 60 ms later.
fn early_packets_never_end_a_question(cost: &mut Cost) {
    let upstream = Upstream::new(|asked| {
        let number = asked
            .name
            .strip_prefix("early-")
            .and_then(|rest| rest.split('.').next()?.parse().ok());
        let Some((_, fault)) = number.and_then(|number: usize| EARLY.get(number)) else {
            return at_once(usual(&asked.packet));
        };
        vec![
            (Duration::ZERO, fault(&asked.packet)),
            (millis(60), Say::Here(usual(&asked.packet))),
        ]
    });
    let (_program, server) = serve(&[&upstream]);
    for (number, (why, _)) in EARLY.iter().enumerate() {
        let name = format!("early-{number}.example");
        let start = now();
        let reply = ask(server, &name, wire::A);
        let took = start.elapsed();
        println!("{why}: {took:?}");
        assert_eq!(
            wire::addresses(&reply),
            [TRUE.parse::<IpAddr>().unwrap()],
            "{why}"
        );
        assert!(took < millis(900), "{why}: {took:?}");
        cost.note(&[&upstream], &name);
    }
    let reply = ask(server, "victim.example", wire::A);
    assert_eq!(
        wire::addresses(&reply),
        [TRUE.parse::<IpAddr>().unwrap()],
        "no lie is kept"
    );
}

fn one_of_two_fails(cost: &mut Cost) {
    #[rustfmt::skip]
    let cases: [Failing; 5] = [
        ("servfail", |asked| at_once(wire::failure(&asked.packet, wire::SERVFAIL))),
        ("refused",  |asked| at_once(wire::failure(&asked.packet, wire::REFUSED))),
        ("garbage",  |asked| at_once([&asked.packet[..2], &[0xff; 40]].concat())),
        ("foreign",  |asked| at_once(wire::answer(&asked.packet, &[of_the_victim(wire::A)]))),
        ("silence",  |_| Vec::new()),
    ];
    for (why, script) in cases {
        let (bad, good) = (Upstream::new(script), Upstream::plain());
        let (_program, server) = serve(&[&bad, &good]);
        for number in 0..10 {
            let name = format!("{why}-{number}.example");
            let start = now();
            let reply = ask(server, &name, wire::A);
            let took = start.elapsed();
            assert_eq!(wire::addresses(&reply).len(), 1, "{name}");
            let limit = if number == 0 || why == "garbage" {
                1000
            } else {
                300
            };
            assert!(took < millis(limit), "{name}: {took:?}");
            cost.note(&[&bad, &good], &name);
        }
    }
}

fn a_stream_that_hangs_or_breaks(cost: &mut Cost) {
    for (why, over_tcp) in [
        ("hangs", Vec::new()),
        ("breaks", vec![(Duration::ZERO, Say::Close)]),
    ] {
        let upstream = Upstream::new(move |asked| match asked.over {
            _ if asked.name == "." => at_once(usual(&asked.packet)),
            Over::Tcp => over_tcp.clone(),
            Over::Udp => {
                let mut cut = wire::failure(&asked.packet, wire::NOERROR);
                cut[2] |= 0x02;
                at_once(cut)
            }
        });
        let (_program, server) = serve(&[&upstream]);
        let (name, start) = (format!("tcp-{why}.example"), now());
        let reply = ask(server, &name, wire::A);
        assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL, "{why}");
        assert!(
            start.elapsed() < millis(2700),
            "{why}: {:?}",
            start.elapsed()
        );
        cost.note(&[&upstream], &name);
    }
}

fn the_only_one_is_dead_and_returns(cost: &mut Cost) {
    let dead = Arc::new(AtomicBool::new(true));
    let script = dead.clone();
    let upstream = Upstream::new(move |asked| match script.load(Relaxed) {
        true => Vec::new(),
        false => at_once(usual(&asked.packet)),
    });
    let (program, server) = serve(&[&upstream]);
    let start = now();
    thread::scope(|scope| {
        for number in 0..10 {
            scope.spawn(move || {
                let reply = ask(server, &format!("dead-{number}.example"), wire::A);
                assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
            });
        }
    });
    assert!(start.elapsed() < millis(2800), "{:?}", start.elapsed());
    (0..10).for_each(|number| cost.note(&[&upstream], &format!("dead-{number}.example")));
    dead.store(false, Relaxed);
    let start = now();
    until("its return", || {
        let reply = ask(server, "returned.example", wire::A);
        (wire::rcode_of(&reply) == wire::NOERROR).then_some(())
    });
    println!("back after {:?}", start.elapsed());
    assert!(start.elapsed() < millis(1500), "{:?}", start.elapsed());
    assert_eq!(program.count("upstream is down"), 1);
}

/// A failure is kept for a second (RFC 9520 §3.2).
fn the_only_one_fails(cost: &mut Cost) {
    let upstream = Upstream::new(|asked| at_once(wire::failure(&asked.packet, wire::SERVFAIL)));
    let (_program, server) = serve(&[&upstream]);
    for _ in 0..5 {
        let reply = ask(server, "failing.example", wire::A);
        assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    }
    assert_eq!(upstream.asked("failing.example.").len(), 1);
    cost.note(&[&upstream], "failing.example");
}

/// Random enough, and the same each time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `limit`; 0 where nothing is.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.throw() % (limit.max(1) as u64)).unwrap()
    }

    /// A packet with a few faults: bits flipped, two spliced, cut short, words set to their extremes.
    fn mutate(&mut self, good: &[Vec<u8>]) -> Vec<u8> {
        let mut packet = good[self.below(good.len())].clone();
        match self.below(4) {
            0 => {
                for _ in 0..=self.below(8) {
                    let bit = self.below(packet.len() * 8);
                    packet[bit / 8] ^= 1 << (bit % 8);
                }
            }
            1 => {
                let other = &good[self.below(good.len())];
                packet.truncate(self.below(packet.len() + 1));
                packet.extend(&other[self.below(other.len())..]);
            }
            2 => packet.truncate(self.below(packet.len() + 1)),
            _ => {
                let at = self.below(packet.len() - 1);
                let extreme = [[0, 0], [0xff, 0xff], [0xc0, 12], [0x80, 0]][self.below(4)];
                packet[at..at + 2].copy_from_slice(&extreme);
            }
        }
        packet
    }
}

/// Sends packets of strangers; after each thousand a fresh question must be answered well.
fn flood(
    program: &mut Program,
    server: SocketAddr,
    count: u16,
    mut packet: impl FnMut() -> Vec<u8>,
) {
    let (client, start) = (Client::of(server), now());
    client.socket.set_nonblocking(true).unwrap();
    let mut replies = 0;
    for number in 0..count {
        let mut packet = packet();
        if let Some(id) = packet.get_mut(..2) {
            id.copy_from_slice(&number.to_be_bytes());
        }
        // A full queue loses it, as on any network.
        let _ = client.socket.send(&packet);
        if number % 100 == 99 {
            thread::sleep(millis(2));
            while let Some(reply) = client.receive() {
                wire::walk(&reply).unwrap_or_else(|fault| panic!("{fault}: {reply:02x?}"));
                assert!(wire::id_of(&reply) <= number, "an id that nobody sent");
                replies += 1;
            }
        }
        if number % 1000 == 999 {
            canary(server, number);
            assert!(program.lives());
        }
    }
    println!(
        "{replies} replies to {count} packets in {:?}",
        start.elapsed()
    );
}

/// An honest question. A client asks twice more where the network loses something.
fn canary(server: SocketAddr, number: u16) {
    let client = Client::of(server);
    client.socket.set_read_timeout(Some(millis(1500))).unwrap();
    let query = wire::query(number, &format!("canary-{number}.example"), wire::A);
    let reply = (0..3).find_map(|_| {
        client.send(&query);
        client.receive()
    });
    let reply = reply.expect("the canary lives");
    assert_eq!(wire::addresses(&reply), [TRUE.parse::<IpAddr>().unwrap()]);
}

fn bounded(program: &Program, before: u64) {
    let growth = program.memory().saturating_sub(before) / 1024;
    println!("memory grew by {growth} KiB");
    assert!(growth < 20 * 1024, "{growth} KiB");
}

fn queries() -> Vec<Vec<u8>> {
    let cookie = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    let mut with_cookie = wire::with_edns(wire::query(0, "www.example", wire::AAAA), 1232);
    with_cookie.splice(with_cookie.len() - 1.., [12].into_iter().chain(cookie));
    vec![
        wire::query(0, "www.example", wire::A),
        wire::query(0, "registry-1.docker.io", wire::AAAA),
        wire::with_edns(wire::query(0, "hub.docker.com", 65), 4096),
        wire::query(0, ".", wire::NS),
        wire::query(0, &["a23456789"; 24].join("."), wire::TXT),
        wire::with_edns(wire::query(0, "localhost", 255), 512),
        with_cookie,
    ]
}

#[test]
fn headers_that_promise_65535_records() {
    let _turn = alone();
    let upstream = Upstream::plain();
    let (mut program, server) = serve(&[&upstream]);
    canary(server, 0);
    let before = program.memory();
    let mut dice = Dice(65_535);
    flood(&mut program, server, 20_000, || {
        let mut query = queries()[dice.below(7)].clone();
        let section = 4 + 2 * dice.below(4);
        query[section..section + 2].fill(0xff);
        query
    });
    bounded(&program, before);
}

#[test]
fn queries_with_faults_bring_nothing_down() {
    let _turn = alone();
    let upstream = Upstream::plain();
    let (mut program, server) = serve(&[&upstream]);
    canary(server, 0);
    let (before, good, mut dice) = (program.memory(), queries(), Dice(1));
    flood(&mut program, server, 50_000, || dice.mutate(&good));
    bounded(&program, before);
    let sigterm = rustix::process::Signal::TERM;
    program.signal(sigterm);
    assert_eq!(program.ends(), Some(0));
    println!("it said: {:#?}", program.lines());
}

#[test]
fn answers_with_faults_bring_nothing_down() {
    let _turn = alone();
    let dice = Mutex::new(Dice(2));
    let upstream = Upstream::new(move |asked| {
        if !asked.name.starts_with("mutant-") {
            return at_once(usual(&asked.packet));
        }
        let alias = wire::answer(
            &asked.packet,
            &[
                wire::record(5, 300, &[0xc0, 12]),
                wire::record(wire::A, 300, &FORGED),
            ],
        );
        let good = [usual(&asked.packet), alias, wire::no_data(&asked.packet)];
        let mutant = dice.lock().unwrap().mutate(&good);
        let mut said = after(20, usual(&asked.packet));
        said.push((Duration::ZERO, Say::Here(mutant)));
        said
    });
    let (mut program, server) = serve(&[&upstream]);
    canary(server, 0);
    let before = program.memory();
    let start = now();
    thread::scope(|scope| {
        for part in 0..40_u16 {
            scope.spawn(move || {
                for number in part * 50..(part + 1) * 50 {
                    let reply = ask(server, &format!("mutant-{number}.example"), wire::A);
                    wire::walk(&reply).unwrap_or_else(|fault| panic!("{fault}: {reply:02x?}"));
                    assert_eq!(wire::name_of(&reply), format!("mutant-{number}.example."));
                }
            });
        }
    });
    println!("2000 questions in {:?}", start.elapsed());
    for number in 0..50 {
        canary(server, number);
    }
    assert!(program.lives());
    bounded(&program, before);
}
