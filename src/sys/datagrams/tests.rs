//! On real sockets of this machine.

use super::{BATCH, Inbound, Local, Outbound, ask_for_local_address, send_segments};
use std::net::UdpSocket;
use std::os::fd::AsFd;

#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    let server = UdpSocket::bind("0.0.0.0:0").unwrap();
    let here = server.local_addr().unwrap();
    ask_for_local_address(server.as_fd(), here).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.7", here.port())).unwrap();
    client
        .set_read_timeout(Some(std::time::Duration::from_secs(5)))
        .unwrap();
    client.send(b"one").unwrap();
    client.send(b"two").unwrap();

    let (mut inbound, mut outbound) = (Inbound::new(512), Outbound::new());
    let mut heard = Vec::new();
    while heard.len() < 2 {
        inbound.receive(server.as_fd(), BATCH).unwrap();
        for (packet, peer, local) in inbound.packets() {
            assert_eq!(peer, client.local_addr().unwrap());
            assert_eq!(local.address, Some("127.0.0.7".parse().unwrap()));
            heard.push(packet.to_vec());
            outbound
                .next(server.as_fd())
                .splice(.., packet.iter().rev().copied());
            outbound.commit(peer, local);
        }
    }
    assert_eq!(heard, [b"one", b"two"]);
    assert_eq!(outbound.send(server.as_fd()), 2);
    assert_eq!(outbound.send(server.as_fd()), 0, "they went once");
    let mut buffer = [0; 16];
    // A connected socket hears only the address it is connected to.
    assert_eq!(client.recv(&mut buffer).unwrap(), 3);
    assert_eq!(&buffer[..3], b"eno");
}

#[test]
fn a_batch_outlives_a_peer_that_cannot_be_reached() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut outbound = Outbound::new();
    for peer in [
        "[2001:db8::1]:9".parse().unwrap(),
        client.local_addr().unwrap(),
    ] {
        outbound.next(server.as_fd()).splice(.., *b"hello");
        outbound.commit(peer, Local::default());
    }
    assert_eq!(outbound.send(server.as_fd()), 1);
}

#[test]
fn segments_arrive_as_datagrams() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    send_segments(client.as_fd(), b"onetwosix", 3).unwrap();
    let mut buffer = [0; 16];
    for word in [b"one", b"two", b"six"] {
        assert_eq!(server.recv(&mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], word);
    }
}
