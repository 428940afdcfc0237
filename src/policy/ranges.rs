//! Address ranges, many of them, asked quickly.
//!
//! CIDRs become sorted ranges that do not overlap, so one binary search answers, whether ten or ten
//! thousand were written. IPv4 and IPv6 are kept apart: `::ffff:0:0/96` never means IPv4 here.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A set of IPv4 and IPv6 addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Ranges {
    /// The union of these networks.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Self {
            v4: merged(v4),
            v6: merged(v6),
        }
    }

    /// Holds no address at all.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether the address is inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.contains_v4(address),
            IpAddr::V6(address) => self.contains_v6(address),
        }
    }

    /// Whether the IPv6 address is inside.
    pub fn contains_v6(&self, address: Ipv6Addr) -> bool {
        covers(&self.v6, address.to_bits())
    }

    fn contains_v4(&self, address: Ipv4Addr) -> bool {
        covers(&self.v4, address.to_bits())
    }
}

/// Sorts ranges and joins those that overlap; neighbors may stay apart.
fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut joined: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(former) if first <= former.1 => former.1 = former.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined.into_boxed_slice()
}

fn covers<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after
        .checked_sub(1)
        .and_then(|index| ranges.get(index))
        .is_some_and(|(_, last)| address <= *last)
}

#[cfg(test)]
mod tests {
    use super::Ranges;

    #[test]
    fn an_address_is_found_in_any_of_many_ranges() {
        let ranges = Ranges::new(
            [
                "10.0.0.0/8",
                "10.1.0.0/16",
                "192.0.2.7/32",
                "2600:1f18::/32",
                "::/128",
            ]
            .map(|text| text.parse().unwrap()),
        );
        #[rustfmt::skip]
        let cases = [
            ("first of a range",       "10.0.0.0",         true),
            ("inside both of two",     "10.1.2.3",         true),
            ("past the inner one",     "10.2.0.0",         true),
            ("last of a range",        "10.255.255.255",   true),
            ("one before",             "9.255.255.255",    false),
            ("one after",              "11.0.0.0",         false),
            ("a single host",          "192.0.2.7",        true),
            ("its neighbor",           "192.0.2.8",        false),
            ("IPv6 inside",            "2600:1f18:ffff::", true),
            ("IPv6 outside",           "2600:1f19::",      false),
            ("the zero address",       "::",               true),
            ("mapped IPv4 is IPv6",    "::ffff:10.0.0.1",  false),
        ];
        for (why, address, want) in cases {
            assert_eq!(
                ranges.contains(address.parse().unwrap()),
                want,
                "{why}: {address}"
            );
        }
        assert!(Ranges::default().is_empty());
        assert!(!Ranges::default().contains("10.0.0.1".parse().unwrap()));
    }
}
