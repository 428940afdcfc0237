//! A daemon whose rule holds while a host is broken, and the paths that break it.

use crate::daemon::client::ask;
use crate::daemon::http::get;
use crate::daemon::network::{FAR, FAR6, narrow, on_the_way, server, shell};
use crate::daemon::upstream::{Upstream, at_once};
use crate::daemon::{self, millis, until, wire};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use unsix::daemon::Daemon;

const HOST: &str = "registry.example";
/// More addresses of the server far away.
const OTHERS: [&str; 3] = ["2001:db8:b::3", "2001:db8:b::4", "2001:db8:b::5"];

struct Watched {
    daemon: Daemon,
    _upstream: Upstream,
}

impl Watched {
    /// The host has four IPv6 addresses and one of IPv4.
    fn start() -> Self {
        for address in OTHERS {
            shell(&format!("ip -n far address add {address}/64 dev far nodad"));
        }
        let upstream = Upstream::new(|asked| {
            let ipv4 = FAR.parse::<Ipv4Addr>().unwrap().octets();
            let ipv6 = all().map(|at| wire::record(wire::AAAA, 60, &at.octets()));
            at_once(match asked.kind {
                wire::A => wire::ipv4(&asked.packet, ipv4),
                wire::AAAA => wire::answer(&asked.packet, &ipv6),
                _ => wire::no_data(&asked.packet),
            })
        });
        let daemon = daemon::start(&format!(
            "upstreams: [\"{}\"]\nadmin: {{listen: \"127.0.0.2:0\"}}\n\
             rules: [{{name: hub, hosts: [{HOST}], when: broken, initial: pass}}]\n\
             probe: {{interval: 1500ms, timeout: 800ms, fall: 2, rise: 2, min_broken: 0s, controls: [control.example]}}\n",
            upstream.address
        ));
        Self {
            daemon,
            _upstream: upstream,
        }
    }

    fn server(&self) -> SocketAddr {
        *self.daemon.addresses().first().unwrap()
    }

    fn told(&self) -> Vec<IpAddr> {
        wire::addresses(&ask(self.server(), HOST, wire::AAAA))
    }

    #[track_caller]
    fn until_told(&self, want: &[Ipv6Addr]) {
        let want: Vec<IpAddr> = want.iter().copied().map(IpAddr::from).collect();
        until(&format!("{want:?}"), || (self.told() == want).then_some(()));
    }

    fn page(&self) -> Value {
        let (_, text) = get(self.daemon.admin_address().unwrap(), "/verdicts");
        let page: Value = serde_json::from_str(&text).unwrap();
        page["hosts"][0].clone()
    }

    /// What was decided last.
    fn change(&self) -> Value {
        let (_, text) = get(self.daemon.admin_address().unwrap(), "/verdicts");
        let page: Value = serde_json::from_str(&text).unwrap();
        page["changes"].as_array().unwrap().last().unwrap().clone()
    }

    #[track_caller]
    fn until_page(&self, what: &str, so: impl Fn(&Value) -> bool) {
        until(what, || so(&self.page()).then_some(()));
    }
}

fn all() -> [Ipv6Addr; 4] {
    [FAR6, OTHERS[0], OTHERS[1], OTHERS[2]].map(|text| text.parse().unwrap())
}

pub(crate) fn one_of_four() {
    server();
    on_the_way(&format!(
        "ip6 daddr {} tcp flags & psh == psh drop",
        OTHERS[1]
    ));
    let watched = Watched::start();
    let [first, second, dead, last] = all();
    watched.until_told(&[first, second, last]);
    let page = watched.page();
    assert_eq!(page["addresses"][2]["address"], dead.to_string());
    assert_eq!(page["addresses"][2]["verdict"], "broken");
    shell("ip netns exec router nft delete table inet way");
    watched.until_told(&all());
}

pub(crate) fn black_hole() {
    server();
    let watched = Watched::start();
    watched.until_page("a verdict", |page| {
        page["addresses"][0]["verdict"] == "healthy"
    });
    narrow(false);
    watched.until_told(&[]);
    let broken = &watched.page()["addresses"][0];
    assert_eq!(broken["cause"], "tls_stall");
    assert_eq!(broken["works_with"][0], "mss_1220");
    // The control is behind the same black hole, and its IPv4 works.
    assert_eq!(watched.change()["ipv6_works_elsewhere"], false);
}

/// Nothing is known and nothing is asked for while there is no way at all; it goes on where there is one.
pub(crate) fn no_route() {
    server();
    shell("ip -6 route del default");
    let watched = Watched::start();
    watched.until_page("a round", |page| page["condition"] == "no_route");
    thread::sleep(millis(2000));
    assert_eq!(watched.page()["addresses"], Value::Array(Vec::new()));
    assert_eq!(watched.told().len(), 4, "`initial: pass`");
    shell("ip -6 route add default via 2001:db8:a::1");
    watched.until_page("a verdict", |page| {
        page["addresses"][0]["verdict"] == "healthy"
    });
}
