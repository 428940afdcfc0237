//! One process takes over from another: the sockets are held by the test, as systemd holds those of `unsix.socket`.

#![expect(clippy::unwrap_used, reason = "what cannot be had here ends the test")]

mod daemon;

use daemon::client::{Client, Connection};
use daemon::files::Folder;
use daemon::load::Load;
use daemon::program::Program;
use daemon::upstream::{Upstream, after, usual};
use daemon::{millis, until, wire};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::process::Signal;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::thread;

/// The sockets and whose configuration they are for.
struct Activator {
    datagrams: UdpSocket,
    streams: TcpListener,
    address: SocketAddr,
    file: PathBuf,
    _folder: Folder,
}

impl Activator {
    fn new(upstream: &Upstream, rest: &str) -> Self {
        let (datagrams, streams) = pair();
        // What `ReceiveBuffer=8M` does, as root; others get what the system allows.
        let _ = set_socket_recv_buffer_size_force(&datagrams, 8 << 20);
        let (folder, address) = (Folder::new(), datagrams.local_addr().unwrap());
        let text = format!(
            "listen: [\"{address}\"]\nadmin: off\nupstreams: [\"{}\"]\n{rest}\n",
            upstream.address
        );
        Self {
            datagrams,
            streams,
            address,
            file: folder.write("unsix.yaml", text),
            _folder: folder,
        }
    }

    /// Starts a process on them, and waits for nothing.
    fn start(&self) -> Program {
        let datagrams = self.datagrams.try_clone().unwrap();
        Program::start_with(&self.file, datagrams, self.streams.try_clone().unwrap())
    }
}

/// A UDP and a TCP socket on one port.
fn pair() -> (UdpSocket, TcpListener) {
    let find = || {
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let streams = TcpListener::bind(datagrams.local_addr().unwrap()).ok()?;
        Some((datagrams, streams))
    };
    until("a port that is free for UDP and TCP both", find)
}

/// Answers what is new after 60 ms, `slow.example` after 600 ms, and all else at once.
fn upstream() -> Upstream {
    Upstream::new(|asked| match asked.name.as_str() {
        "slow.example." => after(600, usual(&asked.packet)),
        name if name.ends_with(".new.example.") => after(60, usual(&asked.packet)),
        _ => after(2, usual(&asked.packet)),
    })
}

#[test]
fn no_query_is_lost_when_another_process_takes_over() {
    for workers in [1, 2] {
        let upstream = upstream();
        let rest = format!("threads: {workers}\nrules: [{{hosts: [.example]}}]");
        let activator = Activator::new(&upstream, &rest);
        let mut program = activator.start();
        program.says(" ready");
        let load = Load::on(activator.address);
        for _ in 0..3 {
            thread::sleep(millis(1000));
            program.signal(Signal::TERM);
            assert_eq!(program.ends(), Some(0));
            program = activator.start();
        }
        thread::sleep(millis(1000));
        let account = load.end();
        println!("{workers} workers: {account:?}");
        assert_eq!(account.answered, account.asked, "{account:?}");
        assert!(account.asked > 15_000, "5,000 a second: {account:?}");
        assert_eq!(program.count(" WARN "), 0);
    }
}

#[test]
fn what_was_read_is_answered_and_what_was_not_waits_for_the_next_process() {
    let upstream = upstream();
    let activator = Activator::new(&upstream, "threads: 2");
    let mut first = activator.start();
    first.says(" ready");
    let (slow, late) = (Client::of(activator.address), Client::of(activator.address));
    let mut open = Connection::to(activator.address);
    slow.send(&wire::query(1, "slow.example", wire::A));
    open.send(&[wire::query(2, "slow.example", wire::AAAA)]);
    until("both questions at the upstream", || {
        (upstream.asked("slow.example.").len() == 2).then_some(())
    });
    first.signal(Signal::TERM);
    first.says("stopping");
    thread::sleep(millis(50));
    late.send(&wire::query(3, "www.example", wire::A));
    let mut waiting = Connection::to(activator.address);
    waiting.send(&[wire::query(4, "www.example", wire::A)]);
    for reply in [slow.receive(), open.receive()] {
        assert_eq!(wire::addresses(&reply.expect("the old one's")).len(), 1);
    }
    assert_eq!(first.ends(), Some(0));
    assert!(
        upstream.asked("www.example.").is_empty(),
        "it was not read by the old one"
    );
    let _second = activator.start();
    for reply in [late.receive(), waiting.receive()] {
        assert_eq!(wire::addresses(&reply.expect("the new one's")).len(), 1);
    }
}

#[test]
fn a_long_queue_is_asked_for_as_fast_as_one_client_may() {
    let upstream = upstream();
    let activator = Activator::new(&upstream, "threads: 2");
    let client = Client::of(activator.address);
    // Room for all replies at once.
    let _ = set_socket_recv_buffer_size_force(&client.socket, 4 << 20);
    for number in 0..QUEUE {
        let name = format!("n{number}.new.example");
        client.send(&wire::query(number, &name, wire::A));
    }
    let program = activator.start();
    program.says(" ready");
    for _ in 0..QUEUE {
        let reply = client.receive().expect("a reply to each");
        assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
    }
}

/// More than one client may have in flight, and little enough for the queue of any system.
const QUEUE: u16 = 500;

#[test]
fn what_is_passed_and_what_is_in_the_file_are_compared() {
    let upstream = Upstream::plain();
    let activator = Activator::new(&upstream, "");
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let unknown = stranger.local_addr().unwrap();
    // TCP is not passed: it must be free to be opened by the program itself.
    let Activator {
        datagrams,
        streams,
        address,
        file,
        _folder,
    } = activator;
    drop(streams);
    let mut program = Program::start_with(&file, datagrams, stranger);
    program.says(" ready");
    assert_eq!(program.count(" WARN "), 2, "{:#?}", program.lines());
    program.says(&format!("unsix.socket passes UDP {unknown}, which is not in `listen`: nobody is answered there: add it to `listen`, or take it out of unsix.socket"));
    program.says(&format!("TCP {address} of `listen` is not passed by unsix.socket: it is opened here, and what waits there is lost at a restart: add it to unsix.socket"));
    let query = wire::query(1, "www.example", wire::A);
    Client::of(address).ask(&query);
    Connection::to(address).ask(query);
    assert!(program.lives());
}

#[test]
fn what_cannot_be_used_ends_the_start_with_one_line() {
    let upstream = Upstream::plain();
    let activator = Activator::new(&upstream, "");
    let connection = std::net::TcpStream::connect(activator.address).unwrap();
    let datagrams = activator.datagrams.try_clone().unwrap();
    let mut program = Program::start_with(&activator.file, datagrams, connection);
    assert_eq!(program.ends(), Some(69));
    let line = program.says("`unsix.socket`");
    assert_eq!(program.lines().len(), 1, "{:#?}", program.lines());
    assert!(line.contains("it is one connection"), "{line}");
}
