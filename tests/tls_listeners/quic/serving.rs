//! What clients over QUIC get.

use super::client::{self, Client, ask, begin, endpoint, framed, quic, wait};
use crate::daemon::authority::Authority;
use crate::daemon::files::Folder;
use crate::daemon::program::Program;
use crate::daemon::upstream::{Upstream, after, usual};
use crate::daemon::{millis, now, until, wire};
use crate::{NAME, World, alone, question, write_pair};
use quinn::VarInt;
use rustls::pki_types::CertificateDer;
use rustls::version::TLS13;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;
use tokio::task::JoinSet;

/// An OPT with options, at the end of a query.
fn with_options(mut query: Vec<u8>, options: &[u8]) -> Vec<u8> {
    query[11] = 1;
    query.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0]);
    query.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
    query.extend(options);
    query
}

const PADDING: &[u8] = &[0, 12, 0, 2, 0, 0];

#[test]
fn over_quic_it_says_the_same() {
    let world = World::new(Upstream::plain());
    let (udp, quic) = (
        crate::daemon::client::Client::of(world.daemon.addresses()[0]),
        world.connect_quic(),
    );
    let questions = [
        ("www.example", wire::A),
        ("hub.example", wire::AAAA),
        ("hub.example", wire::A),
        ("localhost", wire::A),
        ("www.example", wire::TXT),
    ];
    let mut asked = 0.0;
    for (name, kind) in questions {
        let plain = wire::query(0, name, kind);
        for query in [with_options(plain.clone(), &[]), plain] {
            // Once its zone's SOA and the answer are in the cache.
            until("both say the same, octet by octet", || {
                asked += 1.0;
                (udp.ask(&query) == quic.ask(query.clone())).then_some(())
            });
        }
    }
    let mut broken = question(0);
    broken[5] = 2;
    assert_eq!(wire::rcode_of(&quic.ask(broken)), wire::FORMERR);
    assert_eq!(
        (world.queries(), world.handshakes("success")),
        (asked + 1.0, 1.0)
    );
}

#[test]
fn ten_thousand_queries_on_one_connection() {
    let world = World::new(Upstream::plain());
    let client = world.connect_quic();
    wait(async {
        let mut asking = JoinSet::new();
        for number in 0..10_000 {
            if asking.len() >= 100 {
                asking.join_next().await.unwrap().unwrap();
            }
            let connection = client.connection.clone();
            let name = format!("n{}.example", number % 500);
            asking.spawn(async move {
                let reply = ask(connection, wire::query(0, &name, wire::A)).await;
                assert_eq!(wire::addresses(&reply).len(), 1);
                assert_eq!(
                    (wire::id_of(&reply), wire::name_of(&reply)),
                    (0, format!("{name}."))
                );
            });
        }
        asking.join_all().await;
    });
    assert_eq!(
        (world.queries(), world.metric("unsix_stream_connections")),
        (10_000.0, 1.0)
    );
}

#[test]
fn who_has_no_stream_left_waits_for_one() {
    let upstream = Upstream::new(|asked| {
        let late = asked.name.starts_with("slow");
        after(if late { 1000 } else { 0 }, usual(&asked.packet))
    });
    let world = World::new(upstream);
    let client = world.connect_quic();
    let start = now();
    let late = wait(async {
        let mut asking = JoinSet::new();
        let say = |name: String| ask(client.connection.clone(), wire::query(0, &name, wire::A));
        for number in 0..127 {
            asking.spawn(say(format!("slow{number}.example")));
        }
        // One is left: whoever asks by it does not wait for the others.
        let reply = say("www.example".to_owned()).await;
        assert_eq!(wire::addresses(&reply).len(), 1);
        assert!(start.elapsed() < millis(900), "a slow one holds nobody up");
        asking.spawn(say("slow127.example".to_owned()));
        while client.connection.stats().frame_tx.stream < 129 {
            tokio::time::sleep(millis(5)).await;
        }
        say("last.example".to_owned()).await;
        let late = start.elapsed();
        assert_eq!(asking.join_all().await.len(), 128);
        late
    });
    assert!(late > millis(950), "it had none for {late:?}");
    assert_eq!(world.queries(), 130.0);
}

#[test]
fn who_asks_on_before_anything_is_answered_gets_all_of_it() {
    let world = World::new(Upstream::new(|asked| after(500, usual(&asked.packet))));
    for packets in 5..40 {
        let client = world.connect_quic();
        let start = now();
        wait(async {
            let mut asking = JoinSet::new();
            for number in 0..packets {
                let name = format!("n{number}.of{packets}.example");
                let query = wire::query(0, &name, wire::A);
                asking.spawn(ask(client.connection.clone(), query));
                // Each has a packet of its own, and what says that it came must not use up what may be on its way.
                tokio::time::sleep(millis(1)).await;
            }
            asking.join_all().await;
        });
        assert!(
            start.elapsed() < Duration::from_secs(4),
            "{packets}: {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn replies_are_padded_for_who_pads() {
    let world = World::new(Upstream::plain());
    let client = world.connect_quic();
    for name in ["www.example", "a-much-longer-name.www.example", "localhost"] {
        let padded = with_options(wire::query(0, name, wire::A), PADDING);
        assert_eq!(client.ask(padded).len(), 468, "RFC 8467");
        let plain = with_options(wire::query(0, name, wire::A), &[]);
        assert!(client.ask(plain).len() < 200, "not unless the client pads");
    }
}

#[test]
fn a_certificate_is_changed_under_load_and_no_query_is_lost() {
    let _turn = alone();
    let mut world = World::new(Upstream::plain());
    let (server, stop) = (world.quic(), Arc::new(AtomicBool::new(false)));
    let answered = Arc::new(AtomicU64::new(0));
    // Two that stay, and two that connect anew for each query.
    let load: Vec<_> = (0..4_u16)
        .map(|number| {
            let (tls, stop, answered) = (world.client.clone(), stop.clone(), answered.clone());
            thread::spawn(move || {
                let mut client = Client::to(server, &tls).unwrap();
                while !stop.load(Relaxed) {
                    if number % 2 == 0 {
                        client = Client::to(server, &tls).unwrap();
                    }
                    assert_eq!(wire::addresses(&client.ask(question(0))).len(), 1);
                    answered.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    world.change_certificates(|fresh| {
        let fresh = Client::to(server, &fresh).unwrap();
        let identity = fresh.connection.peer_identity().unwrap();
        let chain = identity.downcast::<Vec<CertificateDer<'static>>>();
        chain.unwrap()[0].clone()
    });
    stop.store(true, Relaxed);
    for client in load {
        client.join().unwrap();
    }
    println!("{} queries over 20 certificates", answered.load(Relaxed));
    assert_eq!(world.handshakes("failure"), 0.0);
}

#[test]
fn sessions_are_resumed_and_nothing_is_said_early() {
    let world = World::new(Upstream::plain());
    let mut tls = world.authority.trusted_by(&[&TLS13]);
    tls.enable_early_data = true;
    let config = quic(&tls, &[b"doq"]);
    let at = endpoint("127.0.0.1", None);
    for _ in 0..3 {
        let connecting = begin(&at, world.quic(), config.clone());
        // It has no key for it: no ticket allows early data.
        let connecting = connecting.into_0rtt().map(drop).unwrap_err();
        let connection = wait(connecting).unwrap();
        let reply = wait(ask(connection, question(0)));
        assert_eq!(wire::addresses(&reply).len(), 1);
    }
}

#[test]
fn a_client_may_move_to_another_address() {
    let world = World::new(Upstream::plain());
    let client = world.connect_quic();
    client.ask(question(0));
    for _ in 0..3 {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let _runtime = client::driver().enter();
        client.endpoint.rebind(other).unwrap();
        assert_eq!(wire::addresses(&client.ask(question(0))).len(), 1);
    }
    assert_eq!(world.handshakes("success"), 1.0);
}

#[test]
fn every_address_of_this_host_answers_for_itself() {
    let (upstream, authority, folder) = (Upstream::plain(), Authority::new(), Folder::new());
    let [certificate, key] = write_pair(&folder, authority.issue(&[NAME]));
    let daemon = crate::daemon::start(&format!(
        "listen: [\"127.0.0.1:0\", \"quic://0.0.0.0:0\"]\nupstreams: [\"{}\"]\n\
         tls: {{certificate: {}, key: {}}}",
        upstream.address,
        certificate.display(),
        key.display()
    ));
    let (port, tls) = (
        daemon.encrypted()[0].address.port(),
        authority.trusted_by(&[&TLS13]),
    );
    for host in [1, 5, 250] {
        let server = SocketAddr::new(IpAddr::from([127, 0, 0, host]), port);
        // The client takes no packet of another address for the server's.
        let client = Client::to(server, &tls).unwrap();
        assert_eq!(wire::addresses(&client.ask(question(0))).len(), 1);
    }
}

#[test]
fn a_stop_lets_what_is_in_flight_finish() {
    let _turn = alone();
    let world = World::new(Upstream::new(|asked| after(500, usual(&asked.packet))));
    let (client, idle) = (world.connect_quic(), world.connect_quic());
    let (_, mut recv) = client.say(&framed(&question(0)), true);
    until("it is asked", || {
        (!world.upstream.asked("www.example.").is_empty()).then_some(())
    });
    let start = now();
    world.daemon.stop();
    let said = wait(recv.read_to_end(1000)).unwrap();
    assert_eq!(wire::addresses(&said[2..]).len(), 1);
    assert_eq!(client.end(), (0, "the server stops".to_owned()));
    assert_eq!(idle.end().0, 0);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn who_says_nothing_for_long_is_told() {
    let world = World::new(Upstream::plain());
    let mut config = quic(&world.client, &[b"doq"]);
    let mut transport = quinn::TransportConfig::default();
    // It shows that it is there, and asks nothing.
    transport.keep_alive_interval(Some(Duration::from_secs(1)));
    config.transport_config(Arc::new(transport));
    let client = Client::with(endpoint("127.0.0.1", None), world.quic(), config).unwrap();
    client.ask(question(0));
    let start = now();
    let told = client::driver().block_on(client.connection.closed());
    let took = start.elapsed();
    assert!(told.to_string().contains("idle for too long"), "{told}");
    assert!(
        (Duration::from_secs(29)..Duration::from_secs(36)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn a_client_has_64_connections() {
    let world = World::new(Upstream::plain());
    let mut open: Vec<_> = (0..64).map(|_| world.connect_quic()).collect();
    let refused = Client::to(world.quic(), &world.client).err().unwrap();
    assert!(refused.to_string().contains("refused"), "{refused}");
    let elsewhere = Client::with(
        endpoint("127.0.0.9", None),
        world.quic(),
        quic(&world.client, &[b"doq"]),
    );
    elsewhere.unwrap().ask(question(0));
    let gone = open.pop().unwrap();
    gone.connection.close(VarInt::from_u32(0), b"");
    until("its place is free", || {
        (world.metric("unsix_stream_connections") < 64.0).then_some(())
    });
    world.connect_quic().ask(question(0));
}

#[test]
fn a_socket_that_is_passed_is_heard_over_quic() {
    let (upstream, authority, folder) = (Upstream::plain(), Authority::new(), Folder::new());
    // An address of its own: its port must be free for TCP, too.
    let plain = UdpSocket::bind("127.0.0.78:0").unwrap();
    let quic = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (address, encrypted) = (plain.local_addr().unwrap(), quic.local_addr().unwrap());
    let text = format!(
        "listen: [\"{address}\", \"quic://{encrypted}\"]\ntls: {{certificate: cert.pem, key: key.pem}}\nadmin: off\n\
         upstreams: [\"{}\"]\n",
        upstream.address
    );
    let file = folder.write("unsix.yaml", text);
    write_pair(&folder, authority.issue(&[NAME]));
    let mut program =
        Program::start_with(&file, plain.try_clone().unwrap(), quic.try_clone().unwrap());
    program.says("ready");
    let tls = authority.trusted_by(&[&TLS13]);
    let client = Client::to(encrypted, &tls).unwrap();
    client.ask(question(0));
    assert_eq!(
        program.count(&format!("{encrypted} of `listen` is not passed")),
        0
    );
    // Who comes while it stops is answered by the next one.
    program.signal(rustix::process::Signal::TERM);
    assert_eq!(client.end().0, 0);
    let coming =
        thread::spawn(move || Client::to(encrypted, &tls).map(|client| client.ask(question(0))));
    program.ends();
    let next = Program::start_with(&file, plain, quic);
    next.says("ready");
    assert_eq!(wire::addresses(&coming.join().unwrap().unwrap()).len(), 1);
}
