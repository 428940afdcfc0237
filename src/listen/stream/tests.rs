//! Real connections on loopback. Limits that a test waits for are short, all others generous.

use super::{EMPTY_MESSAGES, Hearing, Incoming, LIMITS, Limits, Service, serve_within};
use crate::listen::Connections;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SHORT: Duration = Duration::from_millis(50);
const GENEROUS: Duration = Duration::from_secs(10);

/// A query, and the connection it came by.
type Kept = (u64, Vec<u8>);

/// Answers what begins with `now` at once, never what begins with `never`, and keeps the rest for
/// the test to finish.
struct Server {
    address: SocketAddr,
    connections: Arc<Connections>,
    kept: Arc<Mutex<Vec<Kept>>>,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Connections::with_caps(8, 4));
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = watch::channel(false);
        let (keep, finish) = (kept.clone(), connections.clone());
        let service: Arc<Service> = Arc::new(move |incoming: Incoming<'_>| {
            assert_eq!(incoming.local, address);
            assert!(incoming.peer.ip().is_loopback());
            match incoming.query {
                query if query.starts_with(b"now") => return Some(query.to_vec()),
                query if query.starts_with(b"big") => return Some(vec![0; 65_000]),
                query if query.starts_with(b"never") => finish.finish(incoming.connection, None),
                query => keep
                    .lock()
                    .unwrap()
                    .push((incoming.connection, query.to_vec())),
            }
            None
        });
        let served = tokio::spawn(serve_within(
            limits,
            (listener, None),
            Hearing {
                service,
                connections: connections.clone(),
                stop: stopped,
            },
        ));
        Self {
            address,
            connections,
            kept,
            stop,
            served,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Waits until so many queries are kept, and takes them.
    async fn take(&self, count: usize) -> Vec<Kept> {
        let enough = async {
            while self.kept.lock().unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(GENEROUS, enough).await.unwrap();
        std::mem::take(&mut *self.kept.lock().unwrap())
    }
}

fn framed(messages: &[&str]) -> Vec<u8> {
    let mut octets = Vec::new();
    for message in messages {
        octets.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
        octets.extend(message.as_bytes());
    }
    octets
}

async fn send(stream: &mut TcpStream, messages: &[&str]) {
    stream.write_all(&framed(messages)).await.unwrap();
}

async fn expect(stream: &mut TcpStream, messages: &[&str]) {
    let want = framed(messages);
    let mut octets = vec![0; want.len()];
    timeout(GENEROUS, stream.read_exact(&mut octets))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(String::from_utf8(octets), String::from_utf8(want));
}

/// The connection ends, and nothing more comes before.
async fn expect_end(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    match timeout(GENEROUS, stream.read_to_end(&mut rest))
        .await
        .unwrap()
    {
        Ok(_) => assert_eq!(rest, b""),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[tokio::test]
async fn pipelined_queries_are_answered_as_answers_come() {
    let server = Server::start(LIMITS).await;
    let mut client = server.connect().await;
    send(&mut client, &["first", "now 1", "never", "second", "now 2"]).await;
    expect(&mut client, &["now 1", "now 2"]).await;
    let kept = server.take(2).await;
    assert_eq!(kept[0].1, b"first");
    let connections = server.connections.clone();
    let (connection, _) = kept[1];
    // Any thread may answer, with or without a runtime.
    let other = std::thread::spawn(move || {
        connections.finish(connection, Some(b"to the second".to_vec()));
        connections.finish(connection, Some(b"to the first".to_vec()));
    });
    expect(&mut client, &["to the second", "to the first"]).await;
    other.join().unwrap();
}

#[tokio::test]
async fn a_query_may_come_octet_by_octet() {
    let server = Server::start(LIMITS).await;
    let mut client = server.connect().await;
    client.set_nodelay(true).unwrap();
    for octet in framed(&["now 1", "", "now 2"]) {
        client.write_all(&[octet]).await.unwrap();
        tokio::task::yield_now().await;
    }
    expect(&mut client, &["now 1", "now 2"]).await;
}

#[tokio::test]
async fn a_client_that_only_listens_still_gets_its_answers() {
    // More queries than may be in flight: the rest is taken up as the first come back.
    let server = Server::start(Limits {
        in_flight: 2,
        ..LIMITS
    })
    .await;
    let mut client = server.connect().await;
    send(&mut client, &["1", "2", "3", "now"]).await;
    client.write_all(b"\0\x09cut").await.unwrap();
    client.shutdown().await.unwrap();
    for (connection, query) in server.take(2).await {
        server.connections.finish(connection, Some(query));
    }
    expect(&mut client, &["1", "2"]).await;
    expect(&mut client, &["now"]).await;
    for (connection, query) in server.take(1).await {
        server.connections.finish(connection, Some(query));
    }
    expect(&mut client, &["3"]).await;
    expect_end(&mut client).await;
}

#[tokio::test]
async fn a_client_that_only_asks_is_given_up() {
    let server = Server::start(Limits {
        write: SHORT,
        ..LIMITS
    })
    .await;
    let mut client = server.connect().await;
    let queries = vec!["big"; 1000];
    // 65 MB of replies nobody reads: it ends long before, and holds little meanwhile.
    let _ = timeout(GENEROUS, client.write_all(&framed(&queries)))
        .await
        .unwrap();
    let gone = async {
        while server.connections.open() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(GENEROUS, gone).await.unwrap();
}

#[tokio::test]
async fn clients_that_waste_time_are_closed() {
    #[rustfmt::skip]
    let cases: [(&str, Limits, &[u8]); 5] = [
        ("says nothing",           Limits { idle: SHORT, ..LIMITS },    b""),
        ("asks what never is answered, then nothing",
                                   Limits { idle: SHORT, ..LIMITS },    b"\0\x05never"),
        ("begins and never ends",  Limits { message: SHORT, ..LIMITS }, b"\0\x09abc"),
        ("half a length",          Limits { message: SHORT, ..LIMITS }, b"\0"),
        ("empty messages",         LIMITS,                              &[0; 2 * (EMPTY_MESSAGES + 1)]),
    ];
    for (why, limits, octets) in cases {
        let server = Server::start(limits).await;
        let mut client = server.connect().await;
        client.write_all(octets).await.unwrap();
        expect_end(&mut client).await;
        assert_eq!(server.connections.refused(), 0, "{why}");
    }
}

#[tokio::test]
async fn nobody_is_idle_while_a_query_is_in_flight() {
    let server = Server::start(Limits {
        idle: SHORT,
        ..LIMITS
    })
    .await;
    let mut client = server.connect().await;
    send(&mut client, &["slow"]).await;
    let kept = server.take(1).await;
    tokio::time::sleep(SHORT).await;
    tokio::time::sleep(SHORT).await;
    server
        .connections
        .finish(kept[0].0, Some(b"at last".to_vec()));
    expect(&mut client, &["at last"]).await;
    expect_end(&mut client).await;
}

#[tokio::test]
async fn one_client_cannot_take_every_place() {
    let server = Server::start(LIMITS).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = server.connect().await;
        send(&mut client, &["now"]).await;
        expect(&mut client, &["now"]).await;
        clients.push(client);
    }
    expect_end(&mut server.connect().await).await;
    assert_eq!(
        (server.connections.open(), server.connections.refused()),
        (4, 1)
    );
}

#[tokio::test]
async fn stop_finishes_what_is_in_flight_and_no_more() {
    let server = Server::start(Limits {
        grace: GENEROUS * 2,
        ..LIMITS
    })
    .await;
    let (mut busy, mut idle) = (server.connect().await, server.connect().await);
    send(&mut idle, &["now"]).await;
    expect(&mut idle, &["now"]).await;
    send(&mut busy, &["slow"]).await;
    let kept = server.take(1).await;
    server.stop.send(true).unwrap();
    expect_end(&mut idle).await;
    assert!(TcpStream::connect(server.address).await.is_err());
    server
        .connections
        .finish(kept[0].0, Some(b"last words".to_vec()));
    expect(&mut busy, &["last words"]).await;
    expect_end(&mut busy).await;
    timeout(GENEROUS, server.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn stop_waits_no_longer_than_its_grace() {
    let server = Server::start(Limits {
        grace: SHORT,
        ..LIMITS
    })
    .await;
    let mut client = server.connect().await;
    send(&mut client, &["slow"]).await;
    server.take(1).await;
    server.stop.send(true).unwrap();
    timeout(GENEROUS, server.served).await.unwrap().unwrap();
    expect_end(&mut client).await;
}
