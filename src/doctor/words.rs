//! The verdict on a host as a sentence. No IO.

use super::seen::Seen;
use super::verdict::{Control, Family, Fault, Verdict};
use crate::probe::Outcome;

/// The sentence for a verdict on a host; `named` is the host that `control` speaks of.
pub(super) fn sentence(
    seen: &Seen,
    verdict: Verdict,
    behind: Option<Verdict>,
    (control, named): (Control, Option<&str>),
) -> String {
    let other = named.unwrap_or("other hosts");
    let while_others = match control {
        Control::Works => format!(", while IPv6 to {other} works"),
        Control::Fails => format!(", and IPv6 to {other} fails too"),
        Control::Missing => format!("; {NO_CONTROL}"),
    };
    match verdict {
        Verdict::Healthy => "IPv4 and IPv6 both answer: nothing needs to be done".to_owned(),
        Verdict::NothingToStrip => nothing_to_strip(seen, behind),
        Verdict::Ipv6Only => match seen.six().answers() {
            true => "it has IPv6 alone, and that answers: never take it away".to_owned(),
            false => format!(
                "it has IPv6 alone, and that fails ({}): to take it away would help nobody{while_others}",
                how(seen.six())
            ),
        },
        Verdict::NoIpv6Route => format!(
            "IPv6 leads nowhere from here ({}){while_others}; most programs notice at once and take IPv4: give this host working IPv6, or none",
            how(seen.six())
        ),
        Verdict::Ipv6Dropped => format!(
            "its IPv6 addresses do not answer the TCP handshake{while_others}: Go loses 300 ms with each connection, other programs seconds or minutes"
        ),
        Verdict::PmtuBlackHole => format!(
            "TCP over IPv6 connects and TLS {}, yet with segments of 1,220 octets it answers: larger packets are lost on the way, and nobody tells the sender (a path MTU black hole)",
            hangs(seen)
        ),
        Verdict::BigHello => format!(
            "TCP over IPv6 connects and TLS {}, yet a ClientHello of one small packet is answered: something on the way drops the larger ones that today's programs send",
            hangs(seen)
        ),
        Verdict::TlsStall => format!(
            "TCP over IPv6 connects and TLS {}, whatever the size of packets{while_others}: programs do not try IPv4 any more once TCP has connected",
            hangs(seen)
        ),
        Verdict::Ipv6Broken if control == Control::Fails => format!(
            "IPv6 fails ({}){while_others}: IPv6 of this network is broken, not this host's alone",
            how(seen.six())
        ),
        Verdict::Ipv6Broken => format!("it refuses connections over IPv6{while_others}"),
        Verdict::Ipv4Broken => format!(
            "IPv4 fails ({}) and IPv6 works: never take its IPv6 away",
            how(seen.four())
        ),
        Verdict::Down => down(seen),
        Verdict::CannotTell => cannot_tell(seen),
    }
}

const NO_CONTROL: &str = "no other host answered here over both families, so whether IPv6 works elsewhere cannot be said (name one with --control)";

fn nothing_to_strip(seen: &Seen, behind: Option<Verdict>) -> String {
    let Some((said, rule)) = seen.stripped_by() else {
        return "it has no IPv6 address: there is nothing to take away".to_owned();
    };
    let rule = rule.map_or_else(String::new, |rule| format!(", rule {rule}"));
    let behind = match behind {
        Some(Verdict::Healthy) => {
            "; behind it IPv6 works, so the rule is not needed now".to_owned()
        }
        Some(verdict) => format!("; behind it: {}", verdict.label()),
        None => String::new(),
    };
    format!(
        "unsix at {} already keeps its IPv6 addresses from programs here{rule}{behind}",
        said.shown()
    )
}

fn down(seen: &Seen) -> String {
    let connects = |family: Family| family.fault().is_some_and(|fault| fault >= Fault::Stall);
    if connects(seen.four()) && (connects(seen.six()) || seen.six() == Family::Absent) {
        return format!(
            "TCP connects and TLS hangs over every family it has: the server or a proxy before it{}; this is no matter of IPv6",
            match seen.port {
                super::report::HTTPS => "",
                _ => ", or a port that speaks no TLS",
            }
        );
    }
    let six = match seen.six() {
        Family::Absent => "it has no IPv6".to_owned(),
        six => format!("IPv6: {}", how(six)),
    };
    format!(
        "nothing answers (IPv4: {}; {six}): the host, a firewall or a proxy; this is no matter of IPv6",
        how(seen.four())
    )
}

fn cannot_tell(seen: &Seen) -> String {
    if seen.said.is_empty() {
        return "/etc/resolv.conf names no name server: there is nobody to ask for it".to_owned();
    }
    let error = seen.probes.iter().find_map(|one| one.error.as_ref());
    if let Some(error) = error {
        return format!("its addresses could not be probed: {error}");
    }
    let each = |what: &str| {
        let all = seen.said.iter();
        let told = all.map(|one| {
            let answered = match what {
                "A" => &one.a,
                _ => &one.aaaa,
            };
            format!("{} {}", one.shown(), answered.status)
        });
        told.collect::<Vec<_>>().join(", ")
    };
    match (seen.four(), seen.six()) {
        (Family::Unknown, Family::Unknown) => {
            format!("no name server says what addresses it has: {}", each("A"))
        }
        (Family::Unknown, _) => {
            format!("no name server says whether it has IPv4: {}", each("A"))
        }
        (_, Family::Unknown) => {
            format!("no name server says whether it has IPv6: {}", each("AAAA"))
        }
        _ => format!(
            "it has no address at all: {}: {}",
            each("A"),
            match seen.host.trim_end_matches('.').contains('.') {
                true => "is the name right?",
                false => "write its full name, for no search domain is added here",
            }
        ),
    }
}

/// How TLS over IPv6 ends.
fn hangs(seen: &Seen) -> &'static str {
    let six = seen.probes.iter().filter(|one| one.address.is_ipv6());
    let mut outcomes = six.filter_map(super::report::Probed::found);
    match outcomes.find(|one| !matches!(one, Outcome::Reachable)) {
        Some(Outcome::TlsCut { .. }) => "is cut off",
        Some(Outcome::NotTls) => "is answered with something else",
        _ => "hangs",
    }
}

/// How a family fails.
fn how(family: Family) -> &'static str {
    match family {
        Family::Fails(Fault::Unreachable) => "there is no way to it",
        Family::Fails(Fault::Refused) => "it refuses connections",
        Family::Fails(Fault::Timeout) => "no answer to the TCP handshake",
        Family::Fails(Fault::Stall) => "TCP connects and TLS hangs",
        Family::Fails(Fault::BigHello) => "TCP connects and large ClientHellos get no answer",
        Family::Fails(Fault::BlackHole) => "TCP connects and large packets are lost",
        Family::Plain => "what answers there speaks no TLS",
        Family::Absent => "it has none",
        Family::Works => "it answers",
        Family::Unknown => "unknown",
    }
}
