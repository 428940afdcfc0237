//! What HTTP says besides the answer.

use super::authority::Authority;
use super::daemon::client::ask;
use super::daemon::files::Folder;
use super::daemon::upstream::usual;
use super::daemon::{http, start, wire};
use super::server::Dot;
use super::streams::{Over, Say, Server};
use super::{NAME, by, run};
use rustls::ServerConfig;
use std::sync::Arc;

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a_status_is_no_answer_and_is_told", statuses),
    ("a_body_of_another_kind_is_no_answer", bodies),
    ("ttls_run_while_a_cache_keeps_an_answer", aged),
    ("a_server_without_http_2_is_told_apart", http_1),
    ("another_protocol_over_quic_is_told_apart", other_protocol),
    ("a_path_of_its_own_is_asked", path),
];

const TYPE: (&str, &str) = ("content-type", "application/dns-message");
const BOTH: [Over; 2] = [Over::Https, Over::Http3];

/// It is down for that reason, and in these words; in the log once, on `/ready` and in the metrics.
fn is_down(upstream: &str, reason: &str, words: &str) {
    let folder = Folder::new();
    let program = run(&folder, &[upstream.to_owned()], "");
    let reply = ask(program.address(), "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL, "{words}");
    let line = program.says("upstream is down");
    assert!(line.contains(&format!("reason={reason}")), "{line}");
    assert!(line.contains(words), "{words}: {line}");
    let (_, ready) = http::get(program.admin(), "/ready");
    assert!(ready.contains(words), "{words}: {ready}");
    let (_, page) = http::get(program.admin(), "/metrics");
    assert!(page.contains(&format!("reason=\"{reason}\"")), "{page}");
}

fn statuses() {
    let authority = Authority::new();
    let cases = [
        (404, "HTTP 404 Not Found: is its path right?"),
        (403, "HTTP 403 Forbidden: it does not serve us"),
        (429, "HTTP 429 Too Many Requests: we ask it too much"),
        (503, "HTTP 503 Service Unavailable: it is in trouble itself"),
        (302, "HTTP 302 Found: it wants to be asked elsewhere"),
        (204, "HTTP 204 No Content: that is no answer"),
    ];
    for over in BOTH {
        for (status, words) in cases {
            let signed = authority.sign(NAME);
            let server = Server::on("127.0.0.1:0", over, &signed, move |asked| {
                Say::Response(status, vec![TYPE], usual(&asked.query))
            });
            is_down(
                &by(over.scheme(), server.address, &authority),
                "http",
                words,
            );
        }
    }
}

fn bodies() {
    let authority = Authority::new();
    for over in BOTH {
        let signed = authority.sign(NAME);
        let server = Server::on("127.0.0.1:0", over, &signed, |asked| {
            let name = wire::name_of(&asked.query);
            let octets = usual(&asked.query);
            match name.split('.').next().unwrap() {
                "html" => Say::Response(200, vec![("content-type", "text/html")], octets),
                "none" => Say::Response(200, vec![], octets),
                "empty" => Say::Response(200, vec![TYPE], Vec::new()),
                "long" => Say::Response(200, vec![TYPE], [octets, vec![0; 65_536]].concat()),
                "part" => Say::Response(200, vec![TYPE], octets[..9].to_vec()),
                "parameters" => {
                    let media = ("content-type", "Application/DNS-message; charset=x");
                    Say::Response(200, vec![media], octets)
                }
                _ => Say::Answer(octets),
            }
        });
        let upstream = by(over.scheme(), server.address, &authority);
        let daemon = start(&format!("upstreams: [\"{upstream}\"]\n"));
        let rcode = |name: &str| {
            let reply = ask(daemon.addresses()[0], &format!("{name}.example"), wire::A);
            wire::rcode_of(&reply)
        };
        for name in ["html", "none", "empty", "long", "part"] {
            assert_eq!(rcode(name), wire::SERVFAIL, "{name}");
            assert_eq!(rcode(&format!("good.{name}")), wire::NOERROR, "{name}");
        }
        assert_eq!(rcode("parameters"), wire::NOERROR);
    }
}

fn aged() {
    let authority = Authority::new();
    for over in BOTH {
        let signed = authority.sign(NAME);
        let server = Server::on("127.0.0.1:0", over, &signed, |asked| {
            Say::Response(200, vec![TYPE, ("age", "250")], usual(&asked.query))
        });
        let upstream = by(over.scheme(), server.address, &authority);
        let daemon = start(&format!("upstreams: [\"{upstream}\"]\n"));
        let reply = ask(daemon.addresses()[0], "a.example", wire::A);
        let ttl = wire::read(&reply).answers[0].ttl;
        assert!(
            (45..=50).contains(&ttl),
            "RFC 8484 §5.1: 300 - 250, not {ttl}"
        );
    }
}

fn http_1() {
    let authority = Authority::new();
    let signed = authority.sign(NAME);
    // By ALPN it has another one, or none at all.
    for (protocols, words) in [
        (vec![b"http/1.1".to_vec()], "not this protocol"),
        (vec![], "speaks no HTTP/2"),
    ] {
        let mut config = ServerConfig::clone(&signed.config);
        config.alpn_protocols = protocols;
        let server = Dot::plain(&Arc::new(config));
        is_down(&by("https", server.address, &authority), "tls", words);
        assert!(server.queries(".").is_empty());
    }
}

fn other_protocol() {
    let authority = Authority::new();
    let server = Server::plain(Over::Http3, &authority.sign(NAME));
    let words = "not this protocol: is its port right, and its scheme?";
    is_down(&by("quic", server.address, &authority), "tls", words);
}

fn path() {
    let authority = Authority::new();
    for over in BOTH {
        let server = Server::plain(over, &authority.sign(NAME));
        let upstream = format!(
            "{}://{}/~me/q{{?dns}}?name={NAME}&ca={}",
            over.scheme(),
            server.address,
            authority.file.display()
        );
        let daemon = start(&format!("upstreams: [\"{upstream}\"]\n"));
        let reply = ask(daemon.addresses()[0], "a.example", wire::A);
        assert_eq!(wire::rcode_of(&reply), wire::NOERROR);
        for request in server.requests() {
            assert_eq!(request.uri.path_and_query().unwrap(), "/~me/q");
        }
    }
}
