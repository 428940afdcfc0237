//! `unsix explain`: what would a client be told, and why?
//!
//! Starts a daemon without rules on a port of its own, has the questions asked through it, so that the
//! cache holds what upstreams say unfiltered, then puts the rules in force and lets the pipeline tell its
//! steps and write the very reply.

use super::health::runtime;
use super::{Explain, Failure, admin, complain, counted, print, read};
use crate::config::{Config, When};
use crate::daemon::Daemon;
use crate::message::{Ask, Kind, Name, Rcode, Transport, write_query};
use crate::pipeline::{Client, Outcome};
use hickory_proto::op::Message;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Explains.
pub(super) fn explain(wanted: &Explain) -> Result<(), Failure> {
    let config = read(wanted.config.as_deref())?;
    let usage = |text: String| {
        complain(text);
        Failure::Usage
    };
    let name = Name::parse(&wanted.name)
        .map_err(|error| usage(format!("`{}` is no name: {error}", wanted.name)))?;
    let kind: Kind = wanted
        .kind
        .parse()
        .map_err(|error| usage(format!("`{}`: {error}", wanted.kind)))?;
    let daemon = Daemon::start(&for_asking(&config), None).map_err(|error| {
        complain(error);
        Failure::Unavailable
    })?;
    let kinds = if kind == Kind::AAAA || kind == Kind::ANY {
        vec![Kind::A, kind]
    } else {
        vec![kind]
    };
    let heard = ask(&daemon, name, &kinds, config.deadline).unwrap_or_else(|error| {
        complain(format_args!("{name}: {error}"));
        Vec::new()
    });
    let pipeline = daemon.pipeline();
    let upstreams = pipeline.settings().defaults();
    pipeline.apply(&config, &upstreams);
    if config.rules.iter().any(|rule| rule.when == When::Broken) {
        match runtime()?.block_on(admin::verdicts(&config)) {
            Ok(page) => {
                pipeline.judge(Arc::new(page.verdicts()));
            }
            Err(why) => complain(format_args!(
                "the verdicts of the daemon cannot be had, so `initial` holds below: {why}"
            )),
        }
    }
    let client = Client {
        address: wanted.client.to_canonical(),
        transport: Transport::Stream,
        is_encrypted: false,
    };
    let told = tell(&daemon, &heard, &query(name, kind, 1), client);
    daemon.stop();
    if heard.iter().all(|(_, rcode)| *rcode == Rcode::SERV_FAIL) {
        complain(format_args!(
            "no upstream answered: {}",
            upstreams
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ));
        return Err(Failure::Unavailable);
    }
    told
}

fn tell(
    daemon: &Daemon,
    heard: &[(Kind, Rcode)],
    query: &[u8],
    client: Client,
) -> Result<(), Failure> {
    let (pipeline, now) = (daemon.pipeline(), daemon.now());
    let mut lines = pipeline
        .explain(query, client, now)
        .ok_or(Failure::Bug)?
        .steps;
    let said = heard.iter().map(|(kind, rcode)| format!("{kind} {rcode}"));
    let said = said.collect::<Vec<_>>().join(", ");
    lines.insert(
        1,
        (
            "asked",
            if said.is_empty() {
                "nobody answered".to_owned()
            } else {
                said
            },
        ),
    );
    let mut reply = Vec::new();
    match pipeline.answer_now(&pipeline.settings(), query, client, now, &mut reply) {
        Outcome::Reply { .. } => lines.extend(read_reply(&reply)),
        Outcome::Drop | Outcome::Fetch => {
            let text = "would be asked for anew: nothing is kept of it";
            lines.push(("reply", text.to_owned()));
        }
    }
    let lines = lines
        .iter()
        .map(|(what, text)| format!("{what:<10} {text}\n"));
    print(&lines.collect::<String>())
}

/// The reply as a client would read it.
fn read_reply(reply: &[u8]) -> Vec<(&'static str, String)> {
    let Ok(message) = Message::from_vec(reply) else {
        let length = reply.len();
        let text = format!("{length} octets, with a record that cannot be shown as text");
        return vec![("reply", text)];
    };
    let count = counted(message.answers.len(), "record");
    let rcode = message.metadata.response_code;
    let records = message
        .answers
        .iter()
        .chain(&message.authorities)
        .chain(&message.additionals);
    let mut lines = vec![("reply", format!("{rcode}, {count} in ANSWER"))];
    lines.extend(records.map(|record| ("", record.to_string())));
    lines
}

/// The same upstreams and routes, no rules, a port of its own, nothing else.
fn for_asking(config: &Config) -> Config {
    Config {
        listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        rules: Vec::new(),
        access: vec![IpAddr::from(Ipv4Addr::LOCALHOST).into()],
        admin: None,
        threads: 1,
        ..config.clone()
    }
}

fn query(name: Name, kind: Kind, id: u16) -> Vec<u8> {
    let mut query = Vec::new();
    // Ids need no luck here: the socket is connected to ourselves.
    write_query(&Ask::plain(name, kind), id, true, &mut query);
    query
}

/// Asks all at once, as a client does: were it one after the other, the first failure would be forgotten
/// before the last is there. Gives what was said to each.
fn ask(
    daemon: &Daemon,
    name: Name,
    kinds: &[Kind],
    deadline: Duration,
) -> std::io::Result<Vec<(Kind, Rcode)>> {
    let listener = daemon.addresses().first().copied();
    let listener = listener.ok_or_else(|| std::io::Error::other("no listener"))?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(listener)?;
    socket.set_read_timeout(Some(deadline + Duration::from_secs(1)))?;
    for (id, kind) in (0..).zip(kinds) {
        socket.send(&query(name, *kind, id))?;
    }
    let mut heard = Vec::new();
    for _ in kinds {
        let mut reply = [0; 4096];
        socket.recv(&mut reply)?;
        // The id, and the lower four bits of the flags (RFC 1035 §4.1.1).
        let id = u16::from_be_bytes([reply[0], reply[1]]);
        let rcode = Rcode(u16::from(reply[3] & 0xf));
        heard.extend(kinds.get(usize::from(id)).map(|kind| (*kind, rcode)));
    }
    heard.sort_by_key(|(kind, _)| *kind);
    Ok(heard)
}
