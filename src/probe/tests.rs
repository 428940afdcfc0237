//! Probes of servers on loopback that answer, hang, crawl, cut, and lie; and what a real TLS server thinks of our hellos.

use super::{Limits, Outcome, Target, hello, probe};
use rustls::pki_types::PrivateKeyDer;
use rustls::{NamedGroup, ServerConfig, ServerConnection};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const HOST: &str = "registry.example";

/// Short ones, for what is silent here is silent for ever.
const LIMITS: Limits = Limits {
    connect: millis(1000),
    tls: millis(600),
    beside: millis(150),
};

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn server() -> ServerConnection {
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key);
    let mut config = config.unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    ServerConnection::new(Arc::new(config)).unwrap()
}

/// What a server holds of a hello: the key exchange that it chose, or the alert.
fn judge(hello: &[u8]) -> Result<(NamedGroup, Vec<u8>, Option<String>), rustls::Error> {
    let mut server = server();
    let mut rest = hello;
    while !rest.is_empty() {
        server.read_tls(&mut rest).unwrap();
        server.process_new_packets()?;
    }
    let group = server.negotiated_key_exchange_group().unwrap().name();
    let protocol = server.alpn_protocol().unwrap_or_default().to_vec();
    Ok((group, protocol, server.server_name().map(str::to_owned)))
}

#[test]
fn a_tls_server_takes_both_hellos_to_their_last_octet() {
    for _ in 0..20 {
        let name = Some(HOST.to_owned());
        let large = (NamedGroup::X25519MLKEM768, b"h2".to_vec(), name.clone());
        assert_eq!(judge(&hello::large(HOST)), Ok(large));
        let small = (NamedGroup::X25519, b"h2".to_vec(), name);
        assert_eq!(judge(&hello::small(HOST)), Ok(small));
    }
}

#[test]
fn a_server_checks_the_modulus() {
    let mut hello = hello::large(HOST);
    let share = [0x11, 0xec, 0x04, 0xc0];
    let at = hello.windows(4).position(|part| part == share).unwrap() + 4;
    hello[at..at + 3].fill(0xff); // two coefficients of 4,095
    judge(&hello).unwrap_err();
}

#[test]
fn hellos_have_the_size_that_matters() {
    let long = format!("{}b.example", "a.".repeat(41));
    #[rustfmt::skip]
    let names = ["a", HOST, "registry.example.", long.as_str(), "192.0.2.1", "2001:db8::1", ""];
    for name in names {
        let (large, small) = (hello::large(name), hello::small(name));
        assert!(
            (1500..1700).contains(&large.len()),
            "{name}: {}",
            large.len()
        );
        assert!(small.len() < 300, "{name}: {}", small.len());
        for hello in [large, small] {
            let has = |part: &str| {
                hello
                    .windows(part.len())
                    .any(|some| some == part.as_bytes())
            };
            let is_address = name.is_empty() || name.contains("192.0") || name.contains("db8::");
            assert_eq!(judge(&hello).unwrap().2.is_none(), is_address, "{name}");
            assert!(is_address || has(name.trim_end_matches('.')), "{name}");
        }
    }
}

/// A server on loopback that does the same on each connection; it ends with the test program.
fn serve(each: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let each = Arc::new(each);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = Arc::clone(&each);
            // A prober that left is no fault here.
            thread::spawn(move || each(stream));
        }
    });
    address
}

/// Reads one hello and gives its length.
fn read_hello(stream: &mut TcpStream) -> std::io::Result<usize> {
    let mut header = [0; 5];
    stream.read_exact(&mut header)?;
    let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
    stream.read_exact(&mut vec![0; length])?;
    Ok(5 + length)
}

/// Until the other side leaves.
fn hold(stream: &mut TcpStream) -> std::io::Result<()> {
    std::io::copy(stream, &mut std::io::sink()).map(|_| ())
}

const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

fn cut(stream: &TcpStream) -> std::io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// A probe of a server, and how long it took.
async fn probed(
    each: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
) -> (Outcome, Duration) {
    let target = Target {
        address: serve(each),
        host: Some(HOST),
    };
    let begun = super::now();
    let finding = probe(target, LIMITS).await.unwrap();
    let took = begun.elapsed();
    assert!(finding.connected.unwrap() < millis(300));
    let answered = matches!(finding.outcome, Outcome::Reachable | Outcome::NotTls);
    assert_eq!(finding.answered.is_some(), answered, "{finding:?}");
    assert!(took < LIMITS.longest(), "{took:?}");
    (finding.outcome, took)
}

#[rustfmt::skip]
const fn stall(mss_1220: bool, small_hello: bool) -> Outcome {
    Outcome::TlsStall { mss_1220, small_hello }
}

#[rustfmt::skip]
const fn cut_off(mss_1220: bool, small_hello: bool) -> Outcome {
    Outcome::TlsCut { mss_1220, small_hello }
}

#[tokio::test]
async fn a_tls_server_is_reachable() {
    let (outcome, took) = probed(|mut stream| {
        let mut server = server();
        server.complete_io(&mut stream).map(|_| ())
    })
    .await;
    assert_eq!(outcome, Outcome::Reachable);
    assert!(took < LIMITS.tls);
}

#[tokio::test]
async fn an_alert_is_a_sign_of_life() {
    let (outcome, _) = probed(|mut stream| {
        read_hello(&mut stream)?;
        stream.write_all(&ALERT)
    })
    .await;
    assert_eq!(outcome, Outcome::Reachable);
}

#[tokio::test]
async fn a_tarpit_is_a_stall() {
    let (outcome, took) = probed(|mut stream| hold(&mut stream)).await;
    assert_eq!(outcome, stall(false, false));
    assert!(took >= LIMITS.beside + LIMITS.tls, "{took:?}");
}

#[tokio::test]
async fn who_does_not_even_read_is_a_stall() {
    let (outcome, _) = probed(|stream| {
        thread::sleep(millis(3000));
        drop(stream);
        Ok(())
    })
    .await;
    assert_eq!(outcome, stall(false, false));
}

#[tokio::test]
async fn a_slow_server_is_reachable_as_long_as_it_is_in_time() {
    let (outcome, took) = probed(|mut stream| {
        read_hello(&mut stream)?;
        for octet in ALERT {
            thread::sleep(millis(50));
            stream.write_all(&[octet])?;
        }
        hold(&mut stream)
    })
    .await;
    assert_eq!(outcome, Outcome::Reachable);
    assert!(took > LIMITS.beside && took < LIMITS.tls, "{took:?}");
}

#[tokio::test]
async fn octets_without_an_end_are_a_stall() {
    let (outcome, _) = probed(|mut stream| {
        stream.write_all(&[22, 3, 3, 0x40, 0, 2])?;
        loop {
            stream.write_all(&[0])?;
            thread::sleep(millis(20));
        }
    })
    .await;
    assert_eq!(outcome, stall(false, false));
}

#[tokio::test]
async fn what_is_no_tls_is_told_apart() {
    for said in [
        &[22, 3, 3, 0xff, 0xff, 2][..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        &[0; 100_000],
    ] {
        let (outcome, took) = probed(move |mut stream| {
            read_hello(&mut stream)?;
            stream.write_all(said)?;
            hold(&mut stream)
        })
        .await;
        assert_eq!(outcome, Outcome::NotTls);
        assert!(took < LIMITS.beside, "{took:?}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_in_the_handshake_is_cut() {
    let (closed, took) = probed(|mut stream| read_hello(&mut stream).map(|_| ())).await;
    assert_eq!(closed, cut_off(false, false));
    assert!(took < LIMITS.tls, "{took:?}");
    let (reset, _) = probed(|mut stream| {
        read_hello(&mut stream)?;
        cut(&stream)
    })
    .await;
    assert_eq!(reset, cut_off(false, false));
    let (half, _) = probed(|mut stream| {
        read_hello(&mut stream)?;
        stream.write_all(&ALERT[..6])
    })
    .await;
    assert_eq!(half, cut_off(false, false));
}

#[tokio::test]
async fn a_small_hello_may_pass_where_a_large_one_does_not() {
    let (silent, _) = probed(|mut stream| match read_hello(&mut stream)? {
        ..300 => stream.write_all(&ALERT),
        _ => hold(&mut stream),
    })
    .await;
    assert_eq!(silent, stall(false, true));
    let (reset, took) = probed(|mut stream| match read_hello(&mut stream)? {
        ..300 => stream.write_all(&ALERT),
        _ => cut(&stream),
    })
    .await;
    assert_eq!(reset, cut_off(false, true));
    assert!(took < LIMITS.tls, "{took:?}");
}

#[tokio::test]
async fn small_segments_may_pass_where_usual_ones_do_not() {
    let (outcome, _) = probed(|mut stream| {
        // What the other side announced, as this kernel took it up.
        let mss = SockRef::from(&stream).tcp_mss()?;
        read_hello(&mut stream)?;
        match mss {
            ..=1220 => stream.write_all(&ALERT),
            _ => hold(&mut stream),
        }
    })
    .await;
    assert_eq!(outcome, stall(true, false));
}

#[tokio::test]
async fn a_port_without_tls_is_asked_to_connect_and_no_more() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let address = serve(move |mut stream| {
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets)?;
        told.send(octets).map_err(std::io::Error::other)
    });
    let target = Target {
        address,
        host: None,
    };
    let finding = probe(target, LIMITS).await.unwrap();
    assert_eq!(finding.outcome, Outcome::Reachable);
    assert!(finding.connected.is_some() && finding.answered.is_none());
    let heard = tokio::time::timeout(millis(5000), heard.recv()).await;
    assert_eq!(heard.unwrap().unwrap(), b"");
}

#[tokio::test]
async fn nobody_there_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let refused = TcpStream::connect(address).unwrap_err().kind();
    assert_eq!(refused, ErrorKind::ConnectionRefused);
    let target = Target::new(address, HOST);
    let finding = probe(target, LIMITS).await.unwrap();
    assert_eq!(finding.outcome, Outcome::Refused);
    assert_eq!((finding.connected, finding.answered), (None, None));
}

#[test]
fn ports_where_clients_speak_first_in_another_tongue_are_not_asked_for_tls() {
    let host = |port| Target::new(([192, 0, 2, 1], port).into(), HOST).host;
    assert_eq!([80, 22].map(host), [None, None]);
    assert_eq!([443, 5000, 8443, 853].map(host), [Some(HOST); 4]);
}
