//! The book, played in time: who is due when, and how soon a break and a healing are known.

use super::*;
use crate::config::Config;
use crate::message::Name;
use crate::policy::Policy;
use crate::probe::Outcome;
use crate::time::Moment;
use std::net::Ipv6Addr;
use std::time::Duration;

const STALL: Outcome = Outcome::TlsStall {
    mss_1220: true,
    small_hello: false,
};
const ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

fn book(text: &str) -> Book {
    let config = Config::read(text).unwrap();
    Book::new(&Policy::new(&config.rules), &config.probe, Moment::ZERO)
}

fn at(milliseconds: u64) -> Moment {
    Moment::ZERO + Duration::from_millis(milliseconds)
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn seen(outcome: Outcome) -> Report {
    Report {
        condition: Condition::Probed,
        ipv6: vec![(ADDRESS, outcome)],
        ipv4_works: Some(true),
        elsewhere: None,
    }
}

/// What a probe takes that is answered, in milliseconds; a verdict falls at its end.
const ONE_PROBE: u64 = 200;

/// Plays one host that works, hangs from `breaks` on and works again from `heals` on; gives when each was known. Looked at
/// each 100 ms, as the prober does; a stall takes its 6.5 s.
fn play(breaks: u64, heals: u64, jitter: impl Fn(u64) -> f64) -> (u64, u64) {
    let mut book = book("rules: [{hosts: [a.example], when: broken}]");
    let (mut broken, mut healed) = (None, None);
    let mut running: Option<(u64, Endpoint, Outcome)> = None;
    for tick in 0.. {
        let now = tick * 100;
        if let Some((_, endpoint, outcome)) = running.take_if(|(until, ..)| *until <= now) {
            let times = (at(now), Duration::from_millis(now));
            for change in book.report(endpoint, &seen(outcome), times, jitter(tick)) {
                match change.verdict {
                    Verdict::Broken => broken = Some(now),
                    Verdict::Healthy if broken.is_some() => healed = Some(now),
                    _ => {}
                }
            }
        }
        if let (Some(broken), Some(healed)) = (broken, healed) {
            return (broken, healed);
        }
        if running.is_none()
            && let Some(endpoint) = book.take_due(at(now), 1).pop()
        {
            let works = now < breaks || now >= heals;
            let (outcome, takes) = if works {
                (Outcome::Reachable, ONE_PROBE)
            } else {
                (STALL, 6_700)
            };
            running = Some((now + takes, endpoint, outcome));
        }
    }
    unreachable!("it ends with a verdict");
}

#[test]
fn a_break_and_a_healing_are_known_within_the_time_that_is_promised() {
    for offset in 0..60 {
        let breaks = 200_000 + offset * 250;
        // Heals long after the least time broken, and long before it is over.
        for lasts in [600_000, 60_000] {
            let heals = breaks + lasts;
            let (broken, healed) = play(breaks, heals, |tick| (tick % 11) as f64 / 11.0);
            assert!(
                broken - breaks <= 45_000,
                "fall x interval: {} ms",
                broken - breaks
            );
            let promised = 300_000_u64.saturating_sub(heals - broken).max(75_000);
            assert!(
                healed - heals <= promised + ONE_PROBE,
                "{} ms, and {promised} were promised",
                healed - heals
            );
        }
    }
}

#[test]
fn a_rule_watches_a_thousand_names_of_a_pattern_the_last_asked_for() {
    let mut book =
        book("rules: [{hosts: [.a.example, b.example], when: broken}, {hosts: [.c.example]}]");
    for number in 0..1_500 {
        assert!(book.sight(&name(&format!("n{number}.a.example")), 443, at(number)));
    }
    assert!(
        !book.sight(&name("n1499.a.example"), 443, at(2_000)),
        "it is known"
    );
    assert!(
        !book.sight(&name("b.example"), 443, at(2_000)),
        "it is listed"
    );
    assert!(
        !book.sight(&name("x.c.example"), 443, at(2_000)),
        "that rule holds always"
    );
    let page = book.page();
    assert_eq!(page.hosts.len(), 1_001);
    let watched = |host: &str| page.hosts.iter().any(|one| one.host == host);
    assert!(watched("b.example.") && watched("n500.a.example.") && !watched("n499.a.example."));
}

#[test]
fn rounds_are_stretched_where_the_probes_do_not_suffice() {
    let mut book =
        book("rules: [{hosts: [.a.example], when: broken}]\nprobe: {max_per_second: 10}");
    for number in 0..300 {
        book.sight(&name(&format!("n{number}.a.example")), 443, at(number));
    }
    assert!(!book.page().stretched);
    for endpoint in book.take_due(at(1_000), usize::MAX) {
        book.report(
            endpoint,
            &seen(Outcome::Reachable),
            (at(1_000), Duration::ZERO),
            0.5,
        );
    }
    let page = book.page();
    assert!(page.stretched);
    assert_eq!(
        page.round, 60.0,
        "300 hosts, an IPv6 and an IPv4 probe each, 10 in a second"
    );
}

#[test]
fn verdicts_pass_through_text() {
    let rules = "rules: [{hosts: [a.example, .b.example], when: broken}]";
    let mut book = book(rules);
    book.sight(&name("x.b.example"), 443, at(0));
    for second in [0, 15, 30] {
        let times = (at(second * 1_000), Duration::from_secs(1_000_000 + second));
        for endpoint in book.take_due(times.0, usize::MAX) {
            book.report(endpoint, &seen(STALL), times, 0.9);
        }
    }
    let text = book.remember();
    let mut other = self::book(rules);
    let wall = Duration::from_secs(1_000_100);
    assert_eq!(other.recall_all(&text, (at(0), wall)), Ok(2));
    assert_eq!(other.remember(), text);
    let page = book.page();
    let read = Page::read(&page.text()).unwrap();
    assert_eq!(read.text(), page.text());
    // 100 s of the 300 that it stays broken are over, less the half minute before.
    let verdicts = other.verdicts();
    let host = verdicts.host(443, &name("a.example")).unwrap();
    assert_eq!(host.addresses.get(&ADDRESS), Some(&true));
    assert_eq!(
        &*host.why,
        "TLS over IPv6 stalls since 1970-01-12T13:47:10Z"
    );

    for (text, why) in [
        ("", "EOF"),
        ("{\"version\":2,\"verdicts\":[]}", "its version is 2, not 1"),
        ("[]", "invalid"),
    ] {
        let error = other.recall_all(text, (at(0), wall)).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    let strange = r#"{"version":1,"verdicts":[
        {"host":"..","port":443,"address":"2001:db8::1","broken":true,"since":1},
        {"host":"elsewhere.example.","port":443,"address":"2001:db8::1","broken":true,"since":1},
        {"host":"a.example.","port":443,"address":"2001:db8::9","broken":true,"since":18446744073709551615,"cause":"?"}]}"#;
    assert_eq!(other.recall_all(strange, (at(0), wall)), Ok(1));
}
