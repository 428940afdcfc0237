//! Who we are: what clients make of it, and how it changes.

use crate::daemon::authority::Authority;
use crate::daemon::client::{Client, Connection};
use crate::daemon::files::Folder;
use crate::daemon::program::run;
use crate::daemon::upstream::Upstream;
use crate::daemon::{until, wire};
#[cfg(feature = "doh")]
use crate::https::{Web, offering};
use crate::{NAME, RULES, World, alone, config, question, write_pair};
use rustls::version::TLS13;
use std::fmt::Write as _;
#[cfg(feature = "doh")]
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use unsix::daemon::Reloaded;

#[test]
fn who_does_not_trust_us_does_not_ask() {
    let world = World::new(Upstream::plain());
    let stranger = Arc::new(Authority::new().trusted_by(&[&TLS13]));
    let refused = |name, config| {
        let error = Connection::secured(world.tls(), name, config).err();
        error.unwrap().to_string()
    };
    let unknown = refused(NAME, &stranger);
    assert!(unknown.contains("UnknownIssuer"), "{unknown}");
    let other = refused("dns.other.example", &world.client);
    assert!(other.contains("not valid for name"), "{other}");
    world.connect().ask(question(1));
    until("both are counted", || {
        (world.metric("unsix_tls_handshakes_total{result=\"failure\"}") == 2.0).then_some(())
    });
}

#[test]
fn a_certificate_is_changed_under_load_and_no_query_is_lost() {
    let _turn = alone();
    let mut world = World::new(Upstream::plain());
    let (server, client, stop) = (
        world.tls(),
        world.client.clone(),
        Arc::new(AtomicBool::new(false)),
    );
    let answered = Arc::new(AtomicU64::new(0));
    // Two that stay, and two that connect anew for each query; and one of each over HTTPS.
    #[cfg_attr(
        not(feature = "doh"),
        expect(unused_mut, reason = "nobody asks over HTTPS")
    )]
    let mut load: Vec<_> = (0..4_u16)
        .map(|number| {
            let (client, stop, answered) = (client.clone(), stop.clone(), answered.clone());
            thread::spawn(move || {
                let mut connection = Connection::secured(server, NAME, &client).unwrap();
                while !stop.load(Relaxed) {
                    if number % 2 == 0 {
                        connection = Connection::secured(server, NAME, &client).unwrap();
                    }
                    let reply = connection.ask(question(number));
                    assert_eq!(wire::addresses(&reply).len(), 1);
                    answered.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    #[cfg(feature = "doh")]
    load.extend([true, false].map(|anew| over_https(&world, anew, &stop, &answered)));
    world.change_certificates(|fresh| {
        let connection = Connection::secured(server, NAME, &fresh).unwrap();
        connection.stream.conn.peer_certificates().unwrap()[0].clone()
    });
    stop.store(true, Relaxed);
    for client in load {
        client.join().unwrap();
    }
    println!("{} queries over 20 certificates", answered.load(Relaxed));
    assert_eq!(
        world.metric("unsix_tls_handshakes_total{result=\"failure\"}"),
        0.0
    );
    let reloads = "unsix_tls_certificate_reloads_total{result=\"success\"}";
    assert_eq!(world.metric(reloads), 20.0);
}

/// Asks over HTTPS, `anew` by a connection for each query.
#[cfg(feature = "doh")]
fn over_https(
    world: &World,
    anew: bool,
    stop: &Arc<AtomicBool>,
    answered: &Arc<AtomicU64>,
) -> thread::JoinHandle<()> {
    let (client, server) = (offering(&world.client, "h2"), world.https());
    let (stop, answered) = (stop.clone(), answered.clone());
    thread::spawn(move || {
        let connect = || Web::from(Ipv4Addr::LOCALHOST, server, &client).unwrap();
        let mut web = connect();
        while !stop.load(Relaxed) {
            if anew {
                web = connect();
            }
            let page = web.ask(&question(1));
            assert_eq!(wire::addresses(&page.body).len(), 1);
            answered.fetch_add(1, Relaxed);
        }
    })
}

#[test]
fn a_pair_that_does_not_fit_keeps_the_old_one() {
    let mut world = World::new(Upstream::plain());
    let state = "unsix_tls_certificate_last_reload_successful";
    let failures = "unsix_tls_certificate_reloads_total{result=\"failure\"}";
    let good = world.authority.issue(&[NAME]);
    let other = world.authority.issue(&[NAME]);
    world.folder.write("cert.pem", &good.0);
    for _ in 0..5 {
        world.watch.poll();
        world.connect().ask(question(1));
    }
    assert_eq!(
        (world.metric(state), world.metric(failures)),
        (0.0, 1.0),
        "said once"
    );
    let said = world.page("/ready");
    assert!(said.starts_with("ready"), "{said}");
    assert!(
        said.contains("the certificate was not reloaded: "),
        "{said}"
    );
    assert!(said.contains("the key is not the certificate's"), "{said}");
    world.folder.write("key.pem", other.1);
    world.watch.reload();
    assert_eq!(world.metric(failures), 2.0);
    std::fs::remove_file(world.folder.path("key.pem")).unwrap();
    for _ in 0..3 {
        world.watch.poll();
    }
    assert!(world.page("/ready").contains("key.pem: cannot be read"));
    world.connect().ask(question(1));
    world.folder.write("key.pem", good.1);
    for _ in 0..2 {
        world.watch.poll();
    }
    assert_eq!(world.metric(state), 1.0);
    assert!(!world.page("/ready").contains("certificate"));
    world.connect().ask(question(1));
}

#[test]
fn a_start_without_a_good_pair_says_so() {
    let (upstream, authority, folder) = (Upstream::plain(), Authority::new(), Folder::new());
    let file = folder.write("unsix.yaml", config(&upstream, RULES));
    let file = file.to_str().unwrap();
    let (good, other) = (authority.issue(&[NAME]), authority.issue(&[NAME]));
    let missing = run(&["run", "--config", file]);
    assert_eq!(missing.code, 78, "{}", missing.err);
    assert!(missing.err.contains("tls.certificate: "), "{}", missing.err);
    assert!(
        missing.err.contains("cert.pem: cannot be read: "),
        "{}",
        missing.err
    );
    write_pair(&folder, (good.0, other.1));
    let strange = run(&["run", "--config", file]);
    assert_eq!(strange.code, 78, "{}", strange.err);
    let mut last = String::new();
    writeln!(
        last,
        "tls: {} and {} are no pair: the key is not the certificate's: the first certificate in its file must be \
         the one made with this key",
        folder.path("cert.pem").display(),
        folder.path("key.pem").display()
    )
    .unwrap();
    assert!(strange.err.ends_with(&last), "{}", strange.err);
}

/// What clients are told of encrypted listeners.
fn told(world: &World) -> Vec<String> {
    const SVCB: u16 = 64;
    let query = wire::query(7, "_dns.resolver.arpa", SVCB);
    let reply = Client::of(world.daemon.addresses()[0]).ask(&query);
    let reply = wire::read(&reply);
    reply
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect()
}

#[test]
fn listeners_are_told_by_a_name_that_the_certificate_holds() {
    let mut world = World::new(Upstream::plain());
    assert!(told(&world).is_empty());
    let named = |name: &str| {
        let name = format!("key: key.pem, name: {name}");
        config(&world.upstream, RULES).replace("key: key.pem", &name)
    };
    let (good, other) = (named(NAME), named("other.example"));
    // A listener that a reload brings is heard after a restart only.
    let good = good.replace("listen: [", "listen: [\"tls://127.0.0.9:8853\", ");
    world.folder.write("unsix.yaml", good);
    assert_eq!(world.watch.reload(), Reloaded::Applied);
    let port = world.tls().port();
    let expected = format!("1 dns.example. alpn=dot, port={port} ipv4hint=127.0.0.1,");
    let told = told(&world);
    assert_eq!(told.len(), world.daemon.encrypted().len(), "{told:?}");
    assert_eq!(told[0], expected);
    assert!(!world.page("/ready").contains("certificate"));
    world.folder.write("unsix.yaml", other);
    assert_eq!(world.watch.reload(), Reloaded::Applied);
    let ready = world.page("/ready");
    assert!(
        ready.contains("cert.pem is not for other.example"),
        "{ready}"
    );
    // It would not start so.
    let file = world.folder.path("unsix.yaml");
    let ended = run(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(ended.code, 78, "{}", ended.err);
    assert!(ended.err.contains("tls.name: "), "{}", ended.err);
}
