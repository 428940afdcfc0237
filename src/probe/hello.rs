//! A ClientHello as clients of today send it (RFC 8446 §4.1.2), and one as those of yesterday. No IO.
//!
//! Nobody will finish the handshake, so keys are random octets. A server looks at them all the same: the ML-KEM key is
//! one that passes its check of the modulus (FIPS 203 §7.2), any X25519 key is a good one.

use rand::{Rng, RngExt};
use std::net::IpAddr;

/// With a post-quantum key share, never smaller than [`LARGE`].
pub(super) fn large(host: &str) -> Vec<u8> {
    let mut random = rand::rng();
    let shares = [
        share(
            X25519MLKEM768,
            &[ml_kem_768(&mut random), octets(&mut random, 32)].concat(),
        ),
        share(X25519, &octets(&mut random, 32)),
    ];
    let mut extensions = extensions(host, &[X25519MLKEM768, X25519, SECP256R1], &shares.concat());
    let length = record(&mut random, &extensions).len();
    if length < LARGE {
        // RFC 7685: a header of four octets, and zeros.
        let zeros = vec![0; (LARGE - length).saturating_sub(4)];
        extensions.extend(extension(PADDING, &zeros));
    }
    record(&mut random, &extensions)
}

/// With an X25519 key share alone: under 300 octets for names of up to 90.
pub(super) fn small(host: &str) -> Vec<u8> {
    let mut random = rand::rng();
    let share = share(X25519, &octets(&mut random, 32));
    let extensions = extensions(host, &[X25519, SECP256R1], &share);
    record(&mut random, &extensions)
}

/// What Go sends since its version 1.23, and more than a segment of an Ethernet carries.
const LARGE: usize = 1542;

fn record(random: &mut impl Rng, extensions: &[u8]) -> Vec<u8> {
    let body = [
        &words(&[TLS_1_2])[..],
        &octets(random, 32),
        &short(&octets(random, 32)), // the session id that TLS 1.3 clients make up for middleboxes
        &long(&words(&CIPHER_SUITES)),
        &short(&[0]), // no compression
        &long(extensions),
    ]
    .concat();
    let handshake = [&[CLIENT_HELLO, 0][..], &long(&body)].concat();
    [&[HANDSHAKE][..], &words(&[TLS_1_0]), &long(&handshake)].concat()
}

fn extensions(host: &str, groups: &[u16], shares: &[u8]) -> Vec<u8> {
    let mut all = server_name(host).unwrap_or_default();
    for (kind, body) in [
        (EXTENDED_MASTER_SECRET, Vec::new()),
        (GROUPS, long(&words(groups))),
        (SIGNATURES, long(&words(&SCHEMES))),
        (ALPN, long(&[short(b"h2"), short(b"http/1.1")].concat())),
        (VERSIONS, short(&words(&[TLS_1_3, TLS_1_2]))),
        (KEY_SHARE, long(shares)),
    ] {
        all.extend(extension(kind, &body));
    }
    all
}

/// RFC 6066 §3: names only, without their final dot.
fn server_name(host: &str) -> Option<Vec<u8>> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_name = (1..=253).contains(&name.len()) && name.parse::<IpAddr>().is_err();
    is_name.then(|| {
        let entry = [&[0][..], &long(name.as_bytes())].concat();
        extension(SERVER_NAME, &long(&entry))
    })
}

/// 768 coefficients below the modulus, two of them in three octets (FIPS 203, algorithm 5), and the seed.
fn ml_kem_768(random: &mut impl Rng) -> Vec<u8> {
    let mut key = Vec::with_capacity(1184);
    for _ in 0..768 / 2 {
        let two = [
            random.random_range(0..MODULUS),
            random.random_range(0..MODULUS),
        ];
        let [one, other] = two;
        let [low, middle, high, _] = (one | other << 12).to_le_bytes();
        key.extend([low, middle, high]);
    }
    key.extend(octets(random, 32));
    key
}

const MODULUS: u32 = 3329;

fn share(group: u16, key: &[u8]) -> Vec<u8> {
    [&words(&[group])[..], &long(key)].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&words(&[kind])[..], &long(body)].concat()
}

fn octets(random: &mut impl Rng, count: usize) -> Vec<u8> {
    let mut octets = vec![0; count];
    random.fill_bytes(&mut octets);
    octets
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// After one octet of length. Nothing here is longer than that can say.
fn short(body: &[u8]) -> Vec<u8> {
    [&[body.len() as u8][..], body].concat()
}

/// After two octets of length. The same.
fn long(body: &[u8]) -> Vec<u8> {
    [&words(&[body.len() as u16])[..], body].concat()
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

const TLS_1_0: u16 = 0x0301; // in the record's header, as all clients write it
const TLS_1_2: u16 = 0x0303;
const TLS_1_3: u16 = 0x0304;

/// All of TLS 1.3, and of 1.2 ECDHE with AES-GCM.
const CIPHER_SUITES: [u16; 7] = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030];

const X25519MLKEM768: u16 = 0x11ec;
const X25519: u16 = 0x001d;
const SECP256R1: u16 = 0x0017;

/// ECDSA with P-256 and P-384, RSA-PSS, Ed25519, and RSA with PKCS #1.
const SCHEMES: [u16; 6] = [0x0403, 0x0503, 0x0804, 0x0805, 0x0807, 0x0401];

const SERVER_NAME: u16 = 0;
const GROUPS: u16 = 10;
const SIGNATURES: u16 = 13;
const ALPN: u16 = 16;
const PADDING: u16 = 21;
const EXTENDED_MASTER_SECRET: u16 = 23;
const VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;
