//! The configuration file from outside: its messages, its defaults, and every file committed
//! beside it. `BLESS=1 cargo test --test config` rewrites the generated ones.

use proptest::prelude::{any, proptest};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use unsix::config::{Cname, Config, Dnssec, Format, Level, Mode, Rule};

/// The messages for a text that must be refused.
fn problems(text: &str) -> Vec<String> {
    match Config::read(text) {
        Ok(config) => panic!("{text:?} was read: {config:?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn good(text: &str) -> Config {
    Config::read(text).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"))
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn ten_mistakes_have_ten_messages() {
    let text = r#"lsiten: ["127.0.0.1:53"]
upstreams:
  - 192.0.2.53
  - doq://9.9.9.9
routes:
  - zones: [cluster.local]
rules:
  - preset: docker-hub
    negative_ttl: 60
  - hosts: cdn.example.com
    mode: enforced
  - name: no power
    dnssec: break
cache: {size: 64MB, min_ttl: 2h}
access: {allow: [10.0.0.7/8]}
deadline: 1m
max_udp: "1232"
threads: 0
threads: 1
"#;
    let expected = [
        r#"1:1: lsiten: no such option: did you mean "listen"?"#,
        r#"4:5: upstreams[1]: "doq://9.9.9.9" asks for a transport that is not spoken: write an address, as "192.0.2.53", or a server's name behind "tls://", "https://", "quic://" or "h3://""#,
        r#"6:5: routes[0]: has no "upstreams", which it needs"#,
        r#"9:19: rules[0].negative_ttl: "60" has no unit: write "60s" or "60ms""#,
        r#"10:12: rules[1].hosts: "cdn.example.com" is one value where a list belongs: write ["cdn.example.com"]"#,
        r#"11:11: rules[1].mode: "enforced" is not among enforce, report: did you mean "enforce"?"#,
        r#"12:5: rules[2]: names nothing: write "preset", "hosts" or "addresses""#,
        r#"12:11: rules[2].name: "no power" is no rule name: 1 to 64 of A-Z a-z 0-9 . _ -"#,
        r#"14:15: cache.size: "64MB" has an unknown unit: use B, KiB, MiB or GiB, as in "64MiB""#,
        r#"14:30: cache.min_ttl: "2h" is out of range: write 0s to 1h"#,
        r#"15:18: access.allow[0]: "10.0.0.7/8" has bits beyond its /8: write "10.0.0.0/8""#,
        r#"16:11: deadline: "1m" is out of range: write 100ms to 10s"#,
        r#"17:10: max_udp: "1232" is no whole number, written without quotes"#,
        r#"19:1: threads: stands twice, first in line 18"#,
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn each_mistake_says_what_to_write() {
    #[rustfmt::skip]
    let table = [
        ("", "1:1: the file is empty: write `{}` if you want every default"),
        ("# only a comment\n", "1:1: the file is empty: write `{}` if you want every default"),
        ("null", "1:1: the file is empty: write `{}` if you want every default"),
        ("- a\n", "1:1: keys belong here, of listen, tls, proxy_protocol, upstreams, bootstrap, routes, rules, probe, cache, access, deadline, admin, max_udp, threads, log"),
        ("{}\n---\n{}\n", "2:1: a second document begins here: one file, one document"),
        ("rules: [{hosts: [*.docker.io]}]", "1:18: a word that begins with `*` needs quotes: write \"*.example.com\""),
        ("routes: [{zones: [a, A.], upstreams: [192.0.2.1]}]", "1:22: routes[0].zones[1]: stands twice, first in line 1"),
        ("routes: [{zones: [a], upstreams: [192.0.2.1]}, {zones: [a], upstreams: [192.0.2.1]}]", "1:57: routes[1].zones[0]: a stands in routes[0] too"),
        ("rules: [{}]", "1:9: rules[0]: names nothing: write \"preset\", \"hosts\" or \"addresses\""),
        ("rules: [{preset: docker}]", "1:18: rules[0].preset: \"docker\" is not among docker-hub"),
        ("rules: [{preset: dockerhub}]", "1:18: rules[0].preset: \"dockerhub\" is not among docker-hub: did you mean \"docker-hub\"?"),
        ("rules: [{preset: docker-hub}, {preset: docker-hub, mode: report}]", "1:31: rules[1]: is called \"docker-hub\" as rules[0] is: give it a \"name\" of its own"),
        ("rules: [{hosts: [a]}, {name: rule-1, hosts: [b]}]", "1:30: rules[1].name: is called \"rule-1\" as rules[0] is: give it a \"name\" of its own"),
        ("rules: [{addresses: [10.0.0.0/8]}]", "1:22: rules[0].addresses[0]: \"10.0.0.0/8\" is IPv4: rules take away only IPv6 addresses, as \"2600:1f18::/32\""),
        ("rules: [{hosts: [a], require_ipv4: yes}]", "1:36: rules[0].require_ipv4: \"yes\" is neither true nor false: write one of them, without quotes"),
        ("probe: {interval: 2s}", "1:19: probe.interval: 2s is less than timeout, 5s"),
        ("probe: {controls: ['*.quay.io']}", "1:20: probe.controls[0]: \"*.quay.io\" is a pattern: a zone holds all below it, write \"quay.io\""),
        ("rules: [{preset: docker-hub, when: sometimes}]", "1:36: rules[0].when: \"sometimes\" is not among always, broken"),
        ("rules: [{preset: docker-hub, port: 0}]", "1:36: rules[0].port: \"0\" is out of range: write 1 to 65535"),
        ("cache: {min_ttl: 1h, max_ttl: 30m}", "1:31: cache.max_ttl: 30m is less than min_ttl, 1h"),
        ("cache: 64MiB", "1:8: cache: \"64MiB\" is one value: keys belong here, of size, min_ttl, max_ttl, serve_stale, prefetch"),
        ("admin: on", "1:8: admin: \"on\" is neither a section nor the word \"off\""),
        ("admin: {listen: \"127.0.0.1:5300\"}", "1:17: admin.listen: 127.0.0.1:5300 is an address of \"listen\" already"),
        ("admin: {listen: \"tls://127.0.0.1:9353\"}", "1:17: admin.listen: tls://127.0.0.1:9353: the admin page speaks HTTP in clear text: write \"127.0.0.1:9353\""),
        ("log: {level: loud}", "1:14: log.level: \"loud\" is not among off, error, warn, info, debug"),
        ("deadline: [1s]", "1:11: deadline: one value belongs here, not several"),
        ("threads: 1.5", "1:10: threads: \"1.5\" is no whole number, written without quotes"),
        ("<<: {threads: 1}", "1:1: \"<<\": is a YAML merge key, which is not read: write the keys themselves"),
        ("deadline: &a 1s\ncache: {max_ttl: *a}", "2:18: cache.max_ttl: is a YAML alias, which is not read: write the value itself"),
        ("deadline: !!str 1s", "1:11: deadline: has a YAML tag (`!...`), which is not read: take it away"),
        ("[a]: b\n", "1:1: a key must be one plain word"),
    ];
    for (text, expected) in table {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn each_mistake_about_servers_and_listeners_says_so() {
    #[rustfmt::skip]
    let table = [
        ("listen:\n", "1:7: listen: has no value: write one, or take the key away"),
        ("listen: []", "1:9: listen: is an empty list: write at least one, or take the key away"),
        ("listen: [\"[::1]:53\", \"[0::1]:53\"]", "1:22: listen[1]: stands twice, first in line 1"),
        ("listen: [127.0.0.1]", "1:10: listen[0]: \"127.0.0.1\" has no port: write \"127.0.0.1:53\""),
        ("upstreams: [dns.example]", "1:13: upstreams[0]: \"dns.example\" is no address, as \"192.0.2.53\" or \"[2001:db8::1]:53\""),
        #[cfg(feature = "doh")]
        ("upstreams: [\"https://192.0.2.1/q?dns=AAAB\"]", "1:13: upstreams[0]: has an unknown parameter \"dns\": there are name, ca and pin"),
        #[cfg(feature = "doq")]
        ("upstreams: [\"quic://192.0.2.1/dns-query\"]", "1:13: upstreams[0]: \"quic://192.0.2.1/dns-query\" has a path, \"/dns-query\", which only https:// and h3:// take: leave it out"),
        #[cfg(feature = "doh")]
        ("upstreams: [https://dns.example]", "1:13: upstreams[0]: https://dns.example/dns-query has a name for an address, and nobody resolves it: write \"bootstrap\" with plain name servers, as bootstrap: [192.0.2.53]"),
        ("upstreams: [\"tls://192.0.2.1?pin=sha256/AAAA\"]", "1:13: upstreams[0]: \"pin\" is \"sha256/AAAA\", no SHA-256 of a key: write sha256/ and its 44 letters of Base64"),
        ("upstreams: [192.0.2.1, tls://dns.example]", "1:24: upstreams[1]: tls://dns.example has a name for an address, and nobody resolves it: write \"bootstrap\" with plain name servers, as bootstrap: [192.0.2.53]"),
        ("routes: [{zones: [a], upstreams: [tls://dns.example]}]", "1:35: routes[0].upstreams[0]: tls://dns.example has a name for an address, and nobody resolves it: write \"bootstrap\" with plain name servers, as bootstrap: [192.0.2.53]"),
        ("proxy_protocol: [10.0.0.7/8]", "1:18: proxy_protocol[0]: \"10.0.0.7/8\" has bits beyond its /8: write \"10.0.0.0/8\""),
        ("bootstrap: [tls://192.0.2.1]", "1:13: bootstrap[0]: \"tls://192.0.2.1\" is no address, as \"192.0.2.53\" or \"[2001:db8::1]:53\""),
        ("upstreams: [\"127.0.0.1:5300\"]", "1:13: upstreams[0]: 127.0.0.1:5300 is our own listen address 127.0.0.1:5300: a loop"),
        ("listen: [\"0.0.0.0:53\"]\nroutes: [{zones: [a], upstreams: [127.0.0.9]}]", "2:35: routes[0].upstreams[0]: 127.0.0.9 is our own listen address 0.0.0.0:53: a loop"),
        ("listen: [\"127.0.0.1:53\", \"tls://127.0.0.1\"]", "1:26: listen[1]: needs a certificate: write tls: {certificate: cert.pem, key: key.pem}"),
        ("listen: [\"127.0.0.1:853\", \"tls://127.0.0.1\"]\ntls: {certificate: c, key: k}", "1:27: listen[1]: 127.0.0.1:853 is heard over TCP already: take another port"),
        ("listen: [\"tls://127.0.0.1\"]\ntls: {certificate: c, key: k}", "1:9: listen: has no plain address, and by one unsix sees whether it is well: add \"127.0.0.1:5300\""),
        ("listen: [\"127.0.0.1:53\", \"tls://a.example\"]\ntls: {certificate: c, key: k}", "1:26: listen[1]: \"tls://a.example\" is no address behind tls://, as \"tls://0.0.0.0:853\" or \"tls://[::1]\""),
        #[cfg(feature = "doh")]
        ("listen: [\"127.0.0.1:53\", \"tls://127.0.0.1:443\", \"https://127.0.0.1\"]\ntls: {certificate: c, key: k}", "1:49: listen[2]: 127.0.0.1:443 is heard over TCP already: take another port"),
        #[cfg(feature = "doq")]
        ("listen: [\"127.0.0.1:853\", \"quic://127.0.0.1\"]\ntls: {certificate: c, key: k}", "1:27: listen[1]: 127.0.0.1:853 is heard over UDP already: take another port"),
        ("listen: [\"sdns://0.0.0.0:443\"]", "1:10: listen[0]: \"sdns://0.0.0.0:443\" asks for a transport that is not spoken: write an address for UDP and TCP, as \"127.0.0.1:53\", or one with tls://, https:// or quic:// before it"),
        ("tls: {certificate: c}", "1:6: tls: has no \"key\", which it needs"),
        ("tls: {certificate: c, key: k, name: \"192.0.2.1\"}", "1:37: tls.name: \"192.0.2.1\" is an address, and a host name is wanted"),
        ("tls: {certificate: c, key: \"\"}", "1:28: tls.key: is no path of a file, as \"cert.pem\" or \"/etc/unsix/cert.pem\""),
        ("listen: {a: b}", "1:9: listen: a list belongs here: put \"- \" before each item"),
    ];
    for (text, expected) in table {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn every_range_ends_where_it_says() {
    #[rustfmt::skip]
    let table = [
        ("deadline: ", "100ms", "10s", "99ms", "10001ms"),
        ("max_udp: ", "512", "4096", "511", "4097"),
        ("threads: ", "0", "256", "-1", "257"),
        ("cache: {max_ttl: 7d, min_ttl: ", "0s", "1h", "-1s", "3601s"),
        ("cache: {max_ttl: ", "0s", "7d", "-1s", "604801s"),
        (
            "probe: {timeout: 50ms, interval: ",
            "100ms",
            "1h",
            "99ms",
            "3601s",
        ),
        (
            "probe: {interval: 1h, timeout: ",
            "50ms",
            "30s",
            "49ms",
            "30001ms",
        ),
        ("probe: {min_broken: ", "0s", "1d", "-1s", "86401s"),
        ("probe: {managed_ttl: ", "1s", "1h", "999ms", "3601s"),
        ("probe: {fall: ", "1", "100", "0", "101"),
        ("probe: {rise: ", "1", "100", "0", "101"),
        ("probe: {max_per_second: ", "1", "10000", "0", "10001"),
        (
            "rules: [{preset: docker-hub, port: ",
            "1",
            "65535",
            "0",
            "65536",
        ),
        ("cache: {serve_stale: ", "0s", "7d", "-1s", "8d"),
        ("rules: [{hosts: [a], negative_ttl: ", "1s", "1h", "999ms", "61m"),
    ];
    for (before, least, most, below, above) in table {
        let close =
            ["", "}", "}]"][before.matches(['[', '{']).count() - before.matches([']']).count()];
        for value in [least, most] {
            good(&format!("{before}{value}{close}"));
        }
        for value in [below, above] {
            assert_eq!(
                problems(&format!("{before}{value}{close}")).len(),
                1,
                "{before}{value}"
            );
        }
    }
    let rules = |count| format!("rules: [{}]", "{hosts: [a.example]}, ".repeat(count));
    assert_eq!(good(&rules(128)).rules.len(), 128);
    assert_eq!(
        problems(&rules(129)),
        ["1:2825: rules: has 129 items: at most 128 may be"]
    );
}

#[test]
fn no_option_is_the_default_configuration() {
    let config = good("{}");
    assert_eq!(config, Config::default());
    assert_eq!(
        config.listen,
        [
            "127.0.0.1:5300".parse().unwrap(),
            "[::1]:5300".parse().unwrap()
        ]
    );
    assert_eq!(
        (
            config.upstreams,
            config.routes.len(),
            config.max_udp,
            config.threads
        ),
        (None, 0, 1232, 0)
    );
    assert_eq!(config.cache.size, 64 << 20);
    assert_eq!(config.cache.max_ttl, Duration::from_secs(86_400));
    assert_eq!(config.deadline, Duration::from_millis(2500));
    assert_eq!(config.admin, Some("127.0.0.1:9353".parse().unwrap()));
    assert_eq!(
        (config.log.level, config.log.format),
        (Level::Info, Format::Text)
    );
    assert_eq!(config.access.len(), 9);
}

#[test]
fn a_preset_is_a_rule_that_keys_override() {
    let rule = good("{}").rules.remove(0);
    assert_eq!(rule.name, "docker-hub");
    assert_eq!(
        rule.hosts,
        [
            ".docker.io".parse().unwrap(),
            ".docker.com".parse().unwrap()
        ]
    );
    assert_eq!(
        (rule.mode, rule.cname, rule.dnssec),
        (Mode::Enforce, Cname::Follow, Dnssec::Break)
    );
    assert!(
        rule.require_ipv4
            && rule.addresses.is_empty()
            && rule.clients.is_empty()
            && rule.except.is_empty()
    );
    assert_eq!(rule.negative_ttl, Duration::from_secs(60));

    let text = "rules: [{preset: docker-hub, name: hub, hosts: [a.example], cname: keep, dnssec: respect}]";
    let rule = good(text).rules.remove(0);
    assert_eq!(
        (rule.name.as_str(), rule.cname, rule.dnssec),
        ("hub", Cname::Keep, Dnssec::Respect)
    );
    assert_eq!(rule.hosts, ["a.example".parse().unwrap()]);
}

#[test]
fn a_rule_without_hosts_respects_signatures() {
    let rules = good("rules: [{hosts: [a]}, {addresses: ['2600:1f18::/32', '::1']}]").rules;
    let table: Vec<(&str, Dnssec)> = rules
        .iter()
        .map(|rule| (rule.name.as_str(), rule.dnssec))
        .collect();
    assert_eq!(
        table,
        [("rule-1", Dnssec::Break), ("rule-2", Dnssec::Respect)]
    );
    assert_eq!(rules[1].addresses[1].prefix_len(), 128);
    assert!(good("rules: []").rules.is_empty());
}

#[test]
fn off_is_a_word_a_text_or_false() {
    for word in ["off", "'off'", "\"off\"", "false"] {
        let config = good(&format!("admin: {word}\nlog: {word}\n"));
        assert_eq!(
            (config.admin, config.log.level),
            (None, Level::Off),
            "{word}"
        );
    }
    assert_eq!(
        good("log: {level: off, format: json}").log.level,
        Level::Off
    );
}

#[test]
fn generated_files_are_current() {
    let files = [
        ("config/unsix.yaml", Config::sample()),
        ("config/reference.md", Config::reference()),
        ("config/unsix.schema.json", Config::schema()),
    ];
    for (name, expected) in files {
        if std::env::var_os("BLESS").is_some() {
            fs::write(path(name), &expected).unwrap();
        }
        let found = fs::read_to_string(path(name)).unwrap_or_default();
        assert!(
            found == expected,
            "{name} is old: run BLESS=1 cargo test --test config"
        );
    }
}

#[test]
fn the_sample_says_what_the_default_does() {
    let sample = Config::sample();
    assert!(sample.starts_with("# yaml-language-server: $schema=unsix.schema.json\n"));
    assert_eq!(good(&sample), Config::default());

    let config = good(&uncommented(&sample));
    assert_eq!(config.upstreams.map(|servers| servers.len()), Some(2));
    assert_eq!(config.routes[0].zones.len(), 2);
    assert_eq!(
        (config.rules[0].name.as_str(), config.rules[0].hosts.len()),
        ("my-cdn", 3)
    );
}

/// The sample with its examples alive: the lines behind a `#` with no blank, and what is inside them.
fn uncommented(sample: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in sample.lines() {
        let bare = line.trim_start();
        let example = bare
            .strip_prefix('#')
            .filter(|rest| inside || rest.starts_with(char::is_alphabetic));
        inside = example.is_some_and(|rest| rest.ends_with(':') || inside);
        match example {
            Some(rest) => text.push_str(&line.replacen(bare, rest, 1)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_samples_are_short_and_good() {
    for name in ["host", "node", "coredns", "sidecar", "node-cache"] {
        let text = fs::read_to_string(path(&format!("config/{name}.yaml"))).unwrap();
        assert!(text.lines().count() < 25, "{name}");
        assert!(
            text.starts_with("# yaml-language-server: $schema=unsix.schema.json\n"),
            "{name}"
        );
        let config = good(&text);
        let preset = Config::default().rules.remove(0);
        let cname = config.rules.first().map_or(preset.cname, |rule| rule.cname);
        assert_eq!(config.rules, [Rule { cname, ..preset }], "{name}");
    }
}

#[test]
fn ten_thousand_hosts_are_read_fast() {
    let hosts: String = (0..10_000)
        .map(|number| format!("    - \"*.host-{number}.example.com\"\n"))
        .collect();
    let text = format!("rules:\n  - hosts:\n{hosts}");
    #[expect(
        clippy::disallowed_methods,
        reason = "the one test that is about real time"
    )]
    let start = Instant::now();
    let rules = good(&text).rules;
    println!("10,000 hosts: {:?}", start.elapsed());
    assert_eq!(rules[0].hosts.len(), 10_000);
    assert!(start.elapsed() < Duration::from_secs(5));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = Config::read(&text);
    }

    #[test]
    fn any_mixture_of_yaml_is_read_or_refused(
        words in proptest::collection::vec(proptest::sample::select(WORDS.to_vec()), 0..40)
    ) {
        let _ = Config::read(&words.concat());
    }
}

/// Pieces that make texts near enough to YAML to get past its parser.
const WORDS: [&str; 32] = [
    "listen",
    "rules",
    "hosts",
    "cache",
    "admin",
    "preset",
    "docker-hub",
    "off",
    "60s",
    "[",
    "]",
    "{",
    "}",
    ":",
    ": ",
    ",",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    " ",
    "\t",
    "#",
    "\"",
    "'",
    "*a",
    "&a ",
    "!!str ",
    "|\n",
    ">-\n",
    "---\n",
    "? ",
];
