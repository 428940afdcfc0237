//! On real sockets of this machine.

use super::{Datagrams, Heard, Sent, id_of};
use rustix::event::{EventfdFlags, eventfd};
use std::collections::HashSet;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Duration;

fn until<T>(mut each: impl FnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = each() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it never came");
}

fn new() -> Datagrams<u8> {
    let waker = eventfd(0, EventfdFlags::empty()).unwrap();
    Datagrams::new(waker.as_fd()).unwrap()
}

/// The port that the server sees, of a query that is sent and closed.
fn port_of(datagrams: &mut Datagrams<u8>, server: &UdpSocket, is_near: bool) -> u16 {
    let address = server.local_addr().unwrap();
    let socket = if is_near {
        datagrams.queue(1, address, b"??").unwrap()
    } else {
        datagrams.send_anew(1, address, b"??").unwrap()
    };
    datagrams.flush(|_, error| panic!("{error}"));
    let (_, peer) = server.recv_from(&mut [0; 8]).unwrap();
    let id = id_of(b"??");
    datagrams.close(Sent { socket, id });
    peer.port()
}

#[test]
fn every_query_has_a_port_of_its_own() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut datagrams = new();
    let ports: HashSet<_> = (0..200)
        .map(|_| port_of(&mut datagrams, &server, false))
        .collect();
    assert!(
        ports.len() > 190,
        "{} ports in 200 queries of one kept socket",
        ports.len()
    );
    assert_eq!(datagrams.sockets.len(), 1);
}

#[test]
fn a_near_server_is_asked_from_a_rotating_set() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut datagrams = new();
    let ports: Vec<_> = (0..200)
        .map(|_| port_of(&mut datagrams, &server, true))
        .collect();
    assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 64);
    assert_eq!(ports[64..128], ports[128..192]);
}

#[test]
fn a_batch_leaves_from_one_port_but_for_an_id_that_is_taken() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut datagrams = new();
    let ids = [1, 2, 3, 2, 4];
    for (key, id) in (0..).zip(ids) {
        datagrams.send(key, address, &[0, id]).unwrap();
    }
    datagrams.flush(|_, error| panic!("{error}"));
    let mut buffer = [0; 8];
    let mut ports = HashSet::new();
    for _ in ids {
        let (length, peer) = server.recv_from(&mut buffer).unwrap();
        ports.insert(peer.port());
        server.send_to(&buffer[..length], peer).unwrap();
    }
    assert_eq!(ports.len(), 2);
    let mut heard = Vec::new();
    until(|| {
        let each = |event: Heard<'_, u8>| match event {
            Heard::Packet(key, packet) => heard.push((key, packet[1])),
            other => panic!("{other:?}"),
        };
        datagrams.hear(each).unwrap();
        (heard.len() == ids.len()).then_some(())
    });
    heard.sort_unstable();
    assert_eq!(heard, [(0, 1), (1, 2), (2, 3), (3, 2), (4, 4)]);
}

#[test]
fn an_answer_comes_back_under_its_key() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut datagrams = new();
    let address = server.local_addr().unwrap();
    let mut numbers = Vec::new();
    for key in 0..8_u8 {
        numbers.push(datagrams.send(key, address, &[0, key]).unwrap());
        datagrams.flush(|_, error| panic!("{error}"));
        let mut buffer = [0; 8];
        let (length, peer) = server.recv_from(&mut buffer).unwrap();
        server.send_to(&buffer[..length], peer).unwrap();
    }
    datagrams.close(numbers[7]);
    let mut heard = Vec::new();
    until(|| {
        let each = |event: Heard<'_, u8>| match event {
            Heard::Packet(key, packet) => heard.push((key, packet.to_vec())),
            other => panic!("{other:?}"),
        };
        datagrams.hear(each).unwrap();
        (heard.len() == 7).then_some(())
    });
    assert!(
        heard
            .iter()
            .all(|(key, packet)| packet == &[0, *key] && *key < 7)
    );
}

#[test]
fn a_socket_that_is_bound_anew_hears_of_refusals_and_of_nobody_else() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = closed.local_addr().unwrap();
    let mut datagrams = new();
    let number = datagrams.send_anew(7, server, b"??").unwrap();
    let (_, ours) = closed.recv_from(&mut [0; 8]).unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"??", ours).unwrap();
    let mut quiet = |_: Heard<'_, u8>| panic!("a stranger was heard");
    until(|| datagrams.hear(&mut quiet).unwrap().then_some(()));
    let id = id_of(b"??");
    datagrams.close(Sent { socket: number, id });

    drop(closed);
    datagrams.send_anew(8, server, b"??").unwrap();
    let mut told = 0;
    until(|| {
        let each = |event: Heard<'_, u8>| {
            told += usize::from(matches!(event, Heard::Unreachable(8)));
        };
        datagrams.hear(each).unwrap();
        (told > 0).then_some(())
    });
    std::thread::sleep(Duration::from_millis(20));
    assert!(!datagrams.hear(quiet).unwrap(), "told once, all is quiet");
}

#[test]
fn a_closed_port_is_told_at_once() {
    let closed = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut datagrams = new();
    datagrams.send(7, closed, b"??").unwrap();
    datagrams.flush(|_, error| panic!("{error}"));
    until(|| {
        let mut gone = None;
        datagrams
            .hear(|event| gone = matches!(event, Heard::Unreachable(7)).then_some(()))
            .unwrap();
        gone
    });
}
