//! What clients over HTTPS get.

use super::client::{PATH, Page, Web, asking, get, offering, post};
use crate::balancers::{BALANCER, LINES, header};
use crate::daemon::client::Client;
use crate::daemon::upstream::{Upstream, after, at_once, usual};
use crate::daemon::{now, until, wire};
use crate::serving::{PADDING, with_options};
use crate::{World, from, question};
use hyper::{Method, Version};
use std::io::Write;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Every way to speak: what ALPN offers, and what comes of it.
const WAYS: [(&str, Version); 4] = [
    ("h2", Version::HTTP_2),
    ("h2 http/1.1", Version::HTTP_2),
    ("http/1.1", Version::HTTP_11),
    ("", Version::HTTP_11),
];

#[test]
fn each_request_gets_its_status() {
    let world = World::new(Upstream::plain());
    let good = "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlAAABAAE";
    let query = |text: &str| format!("{PATH}?{text}");
    let large = vec![0; 65_536];
    let message = "application/dns-message";
    #[rustfmt::skip]
    let table = [
        (Method::GET,    query(&format!("dns={good}")),       "",        &[][..],              200, ""),
        (Method::GET,    query(&format!("a=b&dns={good}&c")), "",        &[],                  200, ""),
        (Method::GET,    query(&format!("dns={good}=")),      "",        &[],                  200, ""),
        (Method::HEAD,   query(&format!("dns={good}")),       "",        &[],                  200, ""),
        (Method::POST,   PATH.into(),                         message,   &question(0),         200, ""),
        (Method::POST,   query("dns=ignored"),                message,   &question(0),         200, ""),
        (Method::POST,   PATH.into(), "Application/DNS-Message; charset=x", &question(0),      200, ""),
        (Method::GET,    PATH.into(),                         "",        &[],                  400, "there is no query"),
        (Method::GET,    query("dns="),                       "",        &[],                  400, "there is no query"),
        (Method::GET,    query("DNS=AAAA&xdns=AAAA"),         "",        &[],                  400, "there is no query"),
        (Method::GET,    query("dns=AAA+"),                   "",        &[],                  400, "no base64url"),
        (Method::GET,    query("dns=AAAAA"),                  "",        &[],                  400, "no base64url"),
        (Method::GET,    query("dns=AAAA"),                   "",        &[],                  400, "no DNS query"),
        (Method::POST,   PATH.into(),                         message,   &[],                  400, "no DNS query"),
        (Method::POST,   PATH.into(),                         message,   b"what?",             400, "no DNS query"),
        (Method::POST,   PATH.into(),                         message,   &usual(&question(0)), 400, "no DNS query"),
        (Method::POST,   PATH.into(),                         "",        &question(0),         415, "application/dns-message"),
        (Method::POST,   PATH.into(),                         "application/dns-json", &question(0), 415, "application/dns-message"),
        (Method::POST,   PATH.into(),                         message,   &large,               413, "65535"),
        (Method::GET,    "/".into(),                          "",        &[],                  404, "not at this path"),
        (Method::GET,    format!("{PATH}/?dns={good}"),       "",        &[],                  404, "not at this path"),
        (Method::PUT,    PATH.into(),                         message,   &question(0),         405, "GET, HEAD and POST"),
        (Method::OPTIONS, PATH.into(),                        "",        &[],                  405, "GET, HEAD and POST"),
    ];
    for (alpn, version) in WAYS {
        let mut web = Web::to(&world, alpn);
        for (method, target, kind, body, status, says) in &table {
            let page = web.request(asking(method.clone(), target, kind, body));
            let case = format!("{version:?} {method} {target} {kind}: {page:?}");
            assert_eq!((page.version, page.status), (version, *status), "{case}");
            is_as_its_status(&page, says, &case);
            let length: usize = page.header("content-length").parse().unwrap();
            if *method == Method::HEAD {
                assert!(page.body.is_empty() && length > 30, "{case}");
            } else {
                assert_eq!(page.body.len(), length, "{case}");
            }
        }
    }
    assert_eq!(world.metric("unsix_queries_total{transport=\"tcp\"}"), 0.0);
}

fn is_as_its_status(page: &Page, says: &str, case: &str) {
    let (kind, caching, allowed) = match page.status {
        200 => ("application/dns-message", "max-age=300", ""),
        405 => ("text/plain; charset=utf-8", "no-store", "GET, HEAD, POST"),
        _ => ("text/plain; charset=utf-8", "no-store", ""),
    };
    assert_eq!(page.header("content-type"), kind, "{case}");
    assert_eq!(page.header("cache-control"), caching, "{case}");
    assert_eq!(page.header("allow"), allowed, "{case}");
    assert!(page.header("date").ends_with(" GMT"), "{case}");
    assert!(String::from_utf8_lossy(&page.body).contains(says), "{case}");
}

#[test]
fn heads_have_a_bound() {
    let world = World::new(Upstream::plain());
    for (alpn, version) in WAYS {
        let mut web = Web::to(&world, alpn);
        let long = format!("{PATH}?dns={}", "A".repeat(40_000));
        let page = web
            .all(vec![asking(Method::GET, &long, "", &[])])
            .pop()
            .unwrap();
        match page {
            Ok(page) => assert!([414, 431].contains(&page.status), "{version:?} {page:?}"),
            Err(error) => panic!("{version:?} {error}"),
        }
    }
}

#[test]
fn over_https_it_says_the_same() {
    let world = World::new(Upstream::new(|asked| {
        at_once(match asked.name.as_str() {
            "gone.example." => wire::failure(&asked.packet, 3),
            "broken.example." => wire::failure(&asked.packet, wire::SERVFAIL),
            _ => usual(&asked.packet),
        })
    }));
    let client = Client::of(world.daemon.addresses()[0]);
    for (alpn, _) in WAYS {
        let mut web = Web::to(&world, alpn);
        for (id, name, kind) in [
            (0, "www.example", wire::A),
            (0xffff, "www.example", wire::AAAA),
            (7, "hub.example", wire::AAAA),
            (8, "localhost", wire::A),
            (9, "www.example", wire::TXT),
            (10, "gone.example", wire::A),
            (11, "broken.example", wire::A),
        ] {
            for options in [None, Some(&[][..])] {
                let plain = wire::query(id, name, kind);
                let query = match options {
                    Some(options) => with_options(plain, options),
                    None => plain,
                };
                client.ask(&query);
                // TTLs run: within one second they are the same.
                let same = until("three in the same second", || {
                    let over = [get(&query), post(&query)].map(|request| {
                        let page = web.request(request);
                        assert_eq!(
                            (page.status, wire::id_of(&page.body)),
                            (200, id),
                            "{page:?}"
                        );
                        page.body
                    });
                    let udp = client.ask(&query);
                    over.iter().all(|one| *one == udp).then_some(udp)
                });
                assert_eq!(wire::id_of(&same), id);
            }
        }
    }
    assert!(world.metric("unsix_queries_total{transport=\"doh\"}") >= 112.0);
}

#[test]
fn caches_are_told_how_long() {
    let world = World::new(Upstream::new(|asked| {
        let ttls: &[u32] = match asked.name.as_str() {
            "three.example." => &[300, 77, 200],
            "none.example." => return at_once(wire::no_data(&asked.packet)),
            _ => return at_once(wire::failure(&asked.packet, wire::SERVFAIL)),
        };
        let records: Vec<_> = (1..)
            .zip(ttls)
            .map(|(last, ttl)| wire::record(wire::A, *ttl, &[192, 0, 2, last]))
            .collect();
        at_once(wire::answer(&asked.packet, &records))
    }));
    let mut web = Web::to(&world, "h2");
    let mut said = |name: &str| {
        let page = web.ask(&wire::query(0, name, wire::A));
        assert_eq!(page.status, 200);
        page.header("cache-control").to_owned()
    };
    assert_eq!(said("three.example"), "max-age=77");
    let negative = said("none.example");
    let seconds: u32 = negative.strip_prefix("max-age=").unwrap().parse().unwrap();
    let reply =
        Client::of(world.daemon.addresses()[0]).ask(&wire::query(0, "none.example", wire::A));
    let minimum = u32::from_be_bytes(*reply.last_chunk().unwrap());
    assert!(
        (minimum.saturating_sub(2)..=minimum + 2).contains(&seconds),
        "{negative} {minimum}"
    );
    assert_eq!(said("broken.example"), "no-store");
    until("its TTL runs down", || {
        (said("three.example") == "max-age=75").then_some(())
    });
}

#[test]
fn who_may_not_ask_is_refused_in_dns() {
    let world = World::with(Upstream::plain(), "access: {allow: [127.0.0.1]}\n");
    let client = offering(&world.client, "h2");
    let mut web = Web::from(Ipv4Addr::new(127, 0, 0, 9), world.https(), &client).unwrap();
    let page = web.ask(&question(3));
    assert_eq!(
        (page.status, wire::rcode_of(&page.body)),
        (200, wire::REFUSED)
    );
    assert_eq!(page.header("cache-control"), "no-store");
    // Nor by saying to be somebody else.
    let mut request = get(&question(3));
    request
        .headers_mut()
        .insert("x-forwarded-for", "127.0.0.1".parse().unwrap());
    assert_eq!(wire::rcode_of(&web.request(request).body), wire::REFUSED);
}

#[test]
fn a_balancer_brings_clients_over_https() {
    let world = World::with(Upstream::plain(), LINES);
    for (client, addresses) in [("10.9.0.1", 0), ("10.8.0.1", 1)] {
        let mut stream = from(BALANCER, world.https());
        stream.write_all(&header(client)).unwrap();
        let mut web = Web::over(stream, &offering(&world.client, "h2")).unwrap();
        let page = web.ask(&wire::query(1, "hub.example", wire::AAAA));
        assert_eq!(wire::addresses(&page.body).len(), addresses, "{client}");
    }
    let without = from(BALANCER, world.https());
    assert!(Web::over(without, &offering(&world.client, "h2")).is_err());
}

#[test]
fn replies_over_https_are_padded() {
    let world = World::new(Upstream::plain());
    let mut web = Web::to(&world, "h2");
    for name in ["www.example", "a-much-longer-name.www.example"] {
        let query = wire::query(1, name, wire::A);
        let padded = with_options(query.clone(), PADDING);
        assert_eq!(web.ask(&padded).body.len(), 468, "RFC 8467");
        assert_eq!(web.request(post(&padded)).body.len(), 468);
        assert!(
            web.ask(&with_options(query, &[])).body.len() < 200,
            "not unless it pads"
        );
    }
}

#[test]
fn ten_thousand_requests_on_one_connection() {
    let world = World::new(Upstream::plain());
    for alpn in ["h2", "http/1.1"] {
        let mut web = Web::to(&world, alpn);
        for batch in 0..100_u16 {
            let ids = batch * 100..(batch + 1) * 100;
            let pages = web.all(ids.clone().map(|id| get(&question(id))).collect());
            for (id, page) in ids.zip(pages) {
                let page = page.unwrap();
                assert_eq!((page.status, wire::id_of(&page.body)), (200, id));
                assert_eq!(wire::addresses(&page.body).len(), 1);
            }
        }
        assert!(web.is_open());
        assert_eq!(world.metric("unsix_stream_connections"), 1.0);
        drop(web);
        until("it is closed", || {
            (world.metric("unsix_stream_connections") == 0.0).then_some(())
        });
    }
}

#[test]
fn a_slow_answer_keeps_no_other_waiting() {
    let world = World::new(Upstream::new(|asked| {
        let late = asked.name.starts_with("slow");
        after(if late { 1000 } else { 0 }, usual(&asked.packet))
    }));
    let mut web = Web::to(&world, "h2");
    let slow = get(&wire::query(1, "slow.example", wire::A));
    let start = now();
    let mut asking = vec![slow];
    asking.extend((2..50).map(|id| get(&question(id))));
    let pages = web.all(asking);
    assert!(
        pages
            .iter()
            .all(|page| page.as_ref().unwrap().status == 200)
    );
    assert!(start.elapsed() < Duration::from_secs(3));
    let said = world.page("/metrics");
    assert!(
        said.contains("unsix_queries_total{transport=\"doh\"} 49"),
        "{said}"
    );
}

#[test]
fn a_stop_lets_requests_finish() {
    for alpn in ["h2", "http/1.1"] {
        let world = World::new(Upstream::new(|asked| after(700, usual(&asked.packet))));
        let (mut quiet, mut web) = (Web::to(&world, alpn), Web::to(&world, alpn));
        let _untouched = Web::to(&world, alpn);
        quiet.ask(&question(1));
        let asking = std::thread::spawn(move || {
            let page = web.ask(&wire::query(5, "late.example", wire::A));
            (web, page)
        });
        until("it is asked", || {
            (!world.upstream.asked("late.example.").is_empty()).then_some(())
        });
        let start = now();
        world.daemon.stop();
        let took = start.elapsed();
        assert!(
            took < Duration::from_millis(2500),
            "nobody who is quiet is waited for: {took:?}"
        );
        let (web, page) = asking.join().unwrap();
        assert_eq!((page.status, wire::id_of(&page.body)), (200, 5));
        assert!(!web.is_open() && !quiet.is_open());
    }
}
