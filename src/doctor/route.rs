//! Which way IPv6 packets leave this host, as the kernel lists it for everyone. It changes nothing.

use std::fs;
use std::net::Ipv6Addr;

/// A route of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    network: Ipv6Addr,
    length: u8,
    /// The next hop; unspecified where there is none.
    gateway: Ipv6Addr,
    metric: u32,
    device: String,
}

/// All that packets can take.
pub(super) fn routes() -> Vec<Route> {
    let table = fs::read("/proc/net/ipv6_route").unwrap_or_default();
    read(&String::from_utf8_lossy(&table))
}

/// The route to an address, as `ip` takes it behind a network: `via GATEWAY dev DEVICE`.
pub(super) fn way_to(address: Ipv6Addr, routes: &[Route]) -> Option<String> {
    let fitting = routes.iter().filter(|route| route.leads_to(address));
    let best = fitting.max_by_key(|route| (route.length, u32::MAX - route.metric))?;
    let via = match best.gateway.is_unspecified() {
        true => String::new(),
        false => format!("via {} ", best.gateway),
    };
    Some(format!("{via}dev {}", best.device))
}

/// The network of 64 bits around an address.
pub(super) fn network_of(address: Ipv6Addr) -> String {
    let network = Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
    format!("{network}/64")
}

impl Route {
    fn leads_to(&self, address: Ipv6Addr) -> bool {
        let differing = self.network.to_bits() ^ address.to_bits();
        differing.leading_zeros() >= self.length.into()
    }
}

/// Network, source, next hop, metric, two counters, flags and device, all but the last in hexadecimal.
fn read(table: &str) -> Vec<Route> {
    table.lines().filter_map(read_line).collect()
}

fn read_line(line: &str) -> Option<Route> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [
        network,
        length,
        _,
        from,
        gateway,
        metric,
        _,
        _,
        flags,
        device,
    ] = words.try_into().ok()?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    let address = |text| u128::from_str_radix(text, 16).ok().map(Ipv6Addr::from_bits);
    let flags = number(flags)?;
    let leads_out = flags & UP != 0 && flags & (REJECT | LOCAL | ANYCAST) == 0 && device != "lo";
    Some(Route {
        network: address(network)?,
        length: u8::from_str_radix(length, 16).ok()?,
        gateway: address(gateway)?,
        metric: number(metric)?,
        device: device.to_owned(),
    })
    .filter(|_| leads_out && from == "00")
}

// Flags of include/uapi/linux/route.h and ipv6_route.h.
const UP: u32 = 0x0001;
const REJECT: u32 = 0x0200;
const ANYCAST: u32 = 0x0010_0000;
const LOCAL: u32 = 0x8000_0000;

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
20010db8000a00000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     here
20010db8000d00000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00200200       lo
00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000a00000000000000000001 00000400 00000002 00000000 00000003     here
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000200 00000002 00000000 00000003     eth0
20010db8000a00000000000000000002 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000003 00000000 80200001     here
garbage
";

    #[test]
    fn the_longest_network_and_the_lowest_metric_win() {
        let routes = read(TABLE);
        assert_eq!(routes.len(), 3, "{routes:?}");
        let way = |text: &str| way_to(text.parse().unwrap(), &routes);
        assert_eq!(way("2001:db8:a::9").as_deref(), Some("dev here"));
        assert_eq!(
            way("2001:db8:b::2").as_deref(),
            Some("via fe80::1 dev eth0")
        );
        assert_eq!(way_to(Ipv6Addr::LOCALHOST, &[]), None);
    }

    #[test]
    fn an_address_lies_in_a_network_of_64_bits() {
        let address = "2600:1f18:2148:bc01:8000:1:2:3".parse().unwrap();
        assert_eq!(network_of(address), "2600:1f18:2148:bc01::/64");
    }
}
