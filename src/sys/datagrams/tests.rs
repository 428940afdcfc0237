//! On real sockets of this machine, up to the last slot and octet: `.ci/run` does it under AddressSanitizer, which
//! ends a test at a wrong length or pointer.

use super::{
    BATCH, Inbound, Local, Outbound, ask_for_local_address, no_header, read_local, send_segments,
    write_local,
};
use socket2::SockRef;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Duration;

#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    let server = UdpSocket::bind("0.0.0.0:0").unwrap();
    let here = server.local_addr().unwrap();
    ask_for_local_address(server.as_fd(), here).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.7", here.port())).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
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
    // On the heap, for what stands behind it there is nobody's.
    let words = b"onetwosix".to_vec();
    send_segments(client.as_fd(), &words, 3).unwrap();
    let mut buffer = [0; 16];
    for word in [b"one", b"two", b"six"] {
        assert_eq!(server.recv(&mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], word);
    }
}

/// Octets of a buffer for a datagram.
const LONGEST: usize = 4096;

#[test]
fn full_batches_go_both_ways_to_the_last_octet() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    for socket in [&server, &client] {
        let socket = SockRef::from(socket);
        socket.set_recv_buffer_size(1 << 20).unwrap();
    }
    // The last of the first batch is as long as can be, that of the second an octet too long. The others fill the
    // buffers that replies have at first.
    let packet = |number: usize| match number {
        63 => vec![63; LONGEST],
        127 => vec![127; LONGEST + 1],
        number => vec![number as u8; 512],
    };
    for number in 0..2 * BATCH {
        client.send(&packet(number)).unwrap();
    }

    let (mut inbound, mut outbound) = (Inbound::new(LONGEST), Outbound::new());
    let mut heard = 0;
    for batch in [BATCH, BATCH, 0] {
        assert_eq!(inbound.receive(server.as_fd(), BATCH).unwrap(), batch);
        for (octets, peer, local) in inbound.packets() {
            assert_eq!(octets, packet(heard));
            assert_eq!(local, Local::default(), "nobody asked for it");
            let reply = outbound.next(server.as_fd());
            reply.clear();
            reply.extend_from_slice(octets);
            outbound.commit(peer, local);
            heard += 1;
        }
    }
    assert_eq!(heard, 2 * BATCH - 1, "what is cut is no packet");
    assert_eq!(
        outbound.send(server.as_fd()),
        BATCH - 1,
        "the first batch went when it was full"
    );
    let mut buffer = [0; 2 * LONGEST];
    for number in 0..heard {
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], packet(number));
    }
}

#[test]
fn packet_information_is_read_as_it_was_written() {
    let local = |address: &str, interface| Local {
        address: Some(address.parse().unwrap()),
        interface,
    };
    for (written, read) in [
        (Local::default(), Local::default()),
        (local("127.0.0.7", 3), local("127.0.0.7", 0)),
        (local("2001:db8::7", 3), local("2001:db8::7", 0)),
        (local("fe80::7", 3), local("fe80::7", 3)),
    ] {
        let mut control = Box::new([0; 8]);
        let mut header = no_header().msg_hdr;
        header.msg_controllen = write_local(&mut control, written);
        header.msg_control = control.as_mut_ptr().cast();
        assert_eq!(read_local(&header), read, "{written:?}");
    }
}
