//! The whole of unsix inside another program: started on a port of the kernel's choice, asked once, drained.
//!
//! `cargo run --example embed` needs no network: the upstream is a thread of its own here.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;
use unsix::config::Config;
use unsix::daemon::Daemon;

fn main() -> Result<(), Box<dyn Error>> {
    let upstream = start_upstream()?;
    let config = Config {
        listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        upstreams: Some(vec![upstream.into()]),
        admin: None,
        threads: 1,
        ..Config::default()
    };
    // Nothing is logged: that is the second argument.
    let daemon = Daemon::start(&config, None)?;
    let server = *daemon.addresses().first().ok_or("it listens nowhere")?;
    println!("listening on {server}");

    let reply = ask(server, QUERY)?;
    let address = reply.last_chunk::<4>().ok_or("the reply is cut short")?;
    println!("www.example has the address {}", Ipv4Addr::from(*address));

    // Whoever still waits gets a reply, 3 s long at most; then all threads have ended.
    daemon.stop();
    Ok(())
}

/// `www.example. A`, RD=1.
const QUERY: &[u8] = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01";

fn ask(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.send_to(query, server)?;
    let mut reply = vec![0; 1232];
    let length = socket.recv(&mut reply)?;
    reply.truncate(length);
    Ok(reply)
}

/// An upstream that knows one answer to everything: 192.0.2.1.
fn start_upstream() -> std::io::Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = socket.local_addr()?;
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut packet) {
            // An OPT record of 11 octets stands behind the question: the answer takes its place.
            let Some(question) = packet.get_mut(..length.saturating_sub(11)) else {
                continue;
            };
            if let Some(flags_and_counts) = question.get_mut(2..12) {
                // QR, RD, RA; one question, one record.
                flags_and_counts.copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            }
            // A pointer to the name, A, IN, 60 s, 4 octets.
            let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];
            if socket
                .send_to(&[question, &record[..]].concat(), peer)
                .is_err()
            {
                break;
            }
        }
    });
    Ok(address)
}
