//! HTTP/2 frame by frame (RFC 9113), as no well-behaved library would send them. Fields are never compressed.

use super::client::{PATH, offering};
use crate::daemon::client::Connection;
use crate::daemon::millis;
use crate::daemon::tls::Secured;
use crate::{NAME, from};
use data_encoding::BASE64URL_NOPAD;
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;

/// Errors (RFC 9113 §7).
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The error that RST_STREAM and GOAWAY end with.
    pub(super) fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(*self.payload[at..].first_chunk().unwrap())
    }
}

/// A connection whose client may do as it likes.
pub(super) struct Frames {
    pub(super) connection: Connection<Secured>,
}

impl Frames {
    /// Connects with these settings.
    pub(super) fn to(
        server: SocketAddr,
        client: &Arc<ClientConfig>,
        settings: &[(u16, u32)],
    ) -> Self {
        let stream = from(Ipv4Addr::LOCALHOST, server);
        let patience = Some(millis(20_000));
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(patience).unwrap();
        stream.set_write_timeout(patience).unwrap();
        let connection = Connection::over(stream, NAME, &offering(client, "h2")).unwrap();
        let mut this = Self { connection };
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        let settings = frame(SETTINGS, 0, 0, &payload);
        this.send(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings].concat())
            .unwrap();
        this
    }

    pub(super) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.connection.stream.write_all(octets)?;
        self.connection.stream.flush()
    }

    /// The next frame; none when the server has closed.
    pub(super) fn receive(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.connection.stream.read_exact(&mut head).ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.connection.stream.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes(stream);
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }

    /// Reads until something is so, and gives that frame.
    #[track_caller]
    pub(super) fn until(&mut self, what: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.receive().expect("the server closes before");
            if what(&frame) {
                return frame;
            }
        }
    }

    /// Sends what is made, over and over, until the server does not take it any more, and says how often it did and
    /// with what error it ended.
    pub(super) fn flood(
        &mut self,
        count: u32,
        mut octets: impl FnMut(u32) -> Vec<u8>,
    ) -> (u32, Option<u32>) {
        let sent = (0..count).find(|number| self.send(&octets(*number)).is_err());
        let (tls, said) = (&mut self.connection.stream, &mut Vec::new());
        while tls.conn.read_tls(&mut tls.sock).is_ok_and(|read| read > 0) {
            if tls.conn.process_new_packets().is_err() {
                break;
            }
            // The end is no error here.
            let _ = tls.conn.reader().read_to_end(said);
        }
        let mut rest = &said[..];
        let mut error = None;
        while let Some(head) = rest.first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            if head[3] == GOAWAY {
                error = Some(u32::from_be_bytes(*rest[13..].first_chunk().unwrap()));
            }
            rest = rest.get(9 + length..).unwrap_or_default();
        }
        (sent.unwrap_or(count), error)
    }

    /// How each of these streams ended: with a message, or an error.
    pub(super) fn ends(&mut self, mut count: usize) -> BTreeMap<u32, Result<Vec<u8>, u32>> {
        let mut ends: BTreeMap<u32, Result<Vec<u8>, u32>> = BTreeMap::new();
        while count > 0 {
            let frame = self.receive().expect("the server closes before");
            if frame.kind == RST_STREAM {
                ends.insert(frame.stream, Err(frame.error()));
                count -= 1;
            } else if frame.kind == DATA {
                let end = ends.entry(frame.stream).or_insert(Ok(Vec::new()));
                end.as_mut().unwrap().extend(frame.payload);
                count -= usize::from(frame.flags & END_STREAM);
            }
        }
        ends
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut octets = length.to_vec();
    octets.extend([kind, flags]);
    octets.extend(stream.to_be_bytes());
    octets.extend(payload);
    octets
}

/// The request of a query by GET, in one frame.
pub(super) fn get(stream: u32, query: &[u8]) -> Vec<u8> {
    let path = format!("{PATH}?dns={}", BASE64URL_NOPAD.encode(query));
    // :method GET and :scheme https are in the static table (RFC 7541 appendix A).
    let fields = [&[0x82, 0x87][..], &field(1, NAME), &field(4, &path)].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields)
}

pub(super) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// A field whose name is in the static table, without indexing (RFC 7541 §6.2.2).
pub(super) fn field(name: u8, value: &str) -> Vec<u8> {
    let length = value.len();
    assert!(length < 127 + 128);
    let mut octets = vec![name];
    if length < 127 {
        octets.push(u8::try_from(length).unwrap());
    } else {
        octets.extend([127, u8::try_from(length - 127).unwrap()]);
    }
    octets.extend(value.as_bytes());
    octets
}
