//! Headers octet by octet.

use super::*;
use proptest::prelude::*;

const V4: &str = "192.0.2.7:4660 198.51.100.1:53";
const V6: &str = "[2001:db8::7]:4660 [2001:db8::1]:853";

/// A header of these two octets, the addresses of both ends, and this behind them.
fn header(command: u8, transport: u8, ends: &str, behind: &[u8]) -> Vec<u8> {
    let ends: Vec<SocketAddr> = ends
        .split_whitespace()
        .map(|end| end.parse().unwrap())
        .collect();
    let mut block = Vec::new();
    for end in &ends {
        match end.ip() {
            IpAddr::V4(ip) => block.extend(ip.octets()),
            IpAddr::V6(ip) => block.extend(ip.octets()),
        }
    }
    block.extend(ends.iter().flat_map(|end| end.port().to_be_bytes()));
    block.extend(behind);
    let mut octets = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a".to_vec();
    octets.extend([command, transport]);
    octets.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    octets.extend(block);
    octets
}

fn client(text: &str) -> Result<Seen, Fault> {
    Ok(Seen::Whole(Header::Client(text.parse().unwrap())))
}

#[test]
fn a_header_is_what_the_specification_says() {
    let local = Ok(Seen::Whole(Header::Balancer));
    let v4 = client("192.0.2.7:4660");
    let tlv = b"\x04\x00\x03abc";
    #[rustfmt::skip]
    let table = [
        ("TCP over IPv4", header(0x21, 0x11, V4, b""), v4),
        ("UDP over IPv4: how the client came to the balancer", header(0x21, 0x12, V4, b""), v4),
        ("TCP over IPv6", header(0x21, 0x21, V6, b""), client("[2001:db8::7]:4660")),
        ("an IPv4-mapped client is IPv4", header(0x21, 0x21, "[::ffff:192.0.2.7]:4660 [::1]:53", b""), v4),
        ("what follows the addresses is passed over", header(0x21, 0x11, V4, tlv), v4),
        ("even if it makes no sense", header(0x21, 0x11, V4, b"\x04\xff"), v4),
        ("a health check", header(0x20, 0x00, "", b""), local),
        ("whose addresses mean nothing", header(0x20, 0x11, V4, b""), local),
        ("nor anything else", header(0x20, 0x99, "", b"\x01"), local),
        ("no address is known", header(0x21, 0x00, "", tlv), local),
        ("the longest", header(0x21, 0x11, V4, &[0; 4096 - 28]), v4),
        ("longer", header(0x21, 0x11, V4, &[0; 4097 - 28]), Err(Fault::Long(4097))),
        ("a stream socket of Unix", header(0x21, 0x31, "", &[0; 216]), Err(Fault::Transport(0x31))),
        ("a transport without a family", header(0x21, 0x01, V4, b""), Err(Fault::Transport(0x01))),
        ("a family without a transport", header(0x21, 0x10, V4, b""), Err(Fault::Transport(0x10))),
        ("IPv6 with addresses of IPv4", header(0x21, 0x21, V4, b""), Err(Fault::Short)),
        ("an octet short", header(0x21, 0x11, "192.0.2.7:1", b"12345"), Err(Fault::Short)),
        ("version 1", b"PROXY TCP4 192.0.2.7 192.0.2.1 5 53\r\n".to_vec(), Err(Fault::Text)),
        ("version 3", header(0x31, 0x11, V4, b""), Err(Fault::Version(3))),
        ("an unknown command", header(0x22, 0x11, V4, b""), Err(Fault::Command(2))),
        ("a query over TCP", b"\x00\x1d\x12\x34\x01\x00\x00\x01".to_vec(), Err(Fault::Absent)),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), Err(Fault::Absent)),
        ("a signature with another end", b"\r\n\r\n\0\r\nQUIT\r".to_vec(), Err(Fault::Absent)),
    ];
    for (what, octets, expected) in table {
        assert_eq!(look(&octets), expected, "{what}");
    }
}

#[tokio::test]
async fn a_header_that_ends_early_is_none() {
    let whole = header(0x21, 0x21, V6, b"\x04\x00\x01x");
    for end in 0..whole.len() {
        let fault = if end == 0 {
            Fault::Nothing
        } else {
            Fault::CutOff
        };
        assert_eq!(read(&whole[..end]).await, Err(fault), "{end}");
    }
}

#[tokio::test]
async fn nothing_behind_a_header_is_taken() {
    for header in [
        header(0x21, 0x11, V4, b"\x04\x00\x01x"),
        header(0x20, 0x00, "", b""),
    ] {
        let mut stream: &[u8] = &[header, b"hello".to_vec()].concat();
        read(&mut stream).await.unwrap();
        assert_eq!(stream, b"hello");
    }
}

#[test]
fn only_those_that_are_named_are_believed() {
    let balancers = Balancers::default();
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert!(!balancers.hold(ip("192.0.2.10")));
    balancers.believe(&["192.0.2.8/29", "2001:db8::/64"].map(|net| net.parse().unwrap()));
    for (peer, expected) in [
        ("192.0.2.10", true),
        ("::ffff:192.0.2.10", true),
        ("192.0.2.16", false),
        ("2001:db8::99", true),
        ("2001:db9::", false),
    ] {
        assert_eq!(balancers.hold(ip(peer)), expected, "{peer}");
    }
    balancers.believe(&[]);
    assert!(!balancers.hold(ip("192.0.2.10")));
}

proptest! {
    #[test]
    fn every_client_comes_through(v6: bool, ip: u128, port: u16, behind in prop::collection::vec(any::<u8>(), 0..600)) {
        let (ip, other, transport) = if v6 {
            (IpAddr::from(ip.to_be_bytes()), "[::1]:53", 0x21)
        } else {
            (IpAddr::from((ip as u32).to_be_bytes()), "127.0.0.1:53", 0x11)
        };
        let peer = SocketAddr::new(ip, port);
        let octets = header(0x21, transport, &format!("{peer} {other}"), &behind);
        for end in 0..octets.len() {
            let Ok(Seen::Part { missing }) = look(&octets[..end]) else {
                return Err(TestCaseError::fail("not whole"));
            };
            prop_assert!((1..=octets.len() - end).contains(&missing));
        }
        let client = SocketAddr::new(ip.to_canonical(), port);
        prop_assert_eq!(look(&octets), Ok(Seen::Whole(Header::Client(client))));
    }

    /// Fixed octets are often right, so that the rest is reached.
    #[test]
    fn whatever_comes_is_judged(signed: bool, command in prop::sample::select(vec![0x20, 0x21, 0x11, 0xff]), rest in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut octets = Vec::new();
        if signed {
            octets.extend(SIGNATURE);
            octets.push(command);
        }
        octets.extend(rest);
        if let Ok(Seen::Part { missing }) = look(&octets) {
            prop_assert!(missing > 0 && octets.len() + missing <= LONGEST);
        }
    }
}
