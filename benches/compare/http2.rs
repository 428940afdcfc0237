//! Just enough HTTP/2 (RFC 9113) to ask a server that speaks it well: one POST for each query, its headers the same each
//! time (RFC 7541, none of them kept in a table), replies read by their frames. What the headers of a reply say is
//! looked at no further than their code.

use std::collections::HashMap;
use std::io;

/// Where a connection stands.
pub(crate) struct Http2 {
    next_stream: u32,
    /// Bodies of which a part is still to come.
    unfinished: HashMap<u32, Vec<u8>>,
    /// Streams whose code is not 200; a body there is no DNS.
    failed: Vec<u32>,
}

impl Http2 {
    /// Writes what a connection begins with.
    pub(crate) fn start(unsent: &mut Vec<u8>) -> Self {
        unsent.extend(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        // No header of ours is to be kept, none of theirs either.
        frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0], unsent);
        // As much as they like: no reply ever waits for us.
        frame(
            WINDOW_UPDATE,
            0,
            0,
            &(0x7fff_ffff_u32 - 65_535).to_be_bytes(),
            unsent,
        );
        Self {
            next_stream: 1,
            unfinished: HashMap::new(),
            failed: Vec::new(),
        }
    }

    /// Writes all of a request but its body, which is so long.
    pub(crate) fn begin(&mut self, length: usize, unsent: &mut Vec<u8>) {
        let mut headers = Vec::with_capacity(128);
        headers.extend([POST, HTTPS]);
        for (name, value) in HEADERS {
            write_header(name, value.as_bytes(), &mut headers);
        }
        write_header(&CONTENT_LENGTH, length.to_string().as_bytes(), &mut headers);
        frame(
            HEADERS_FRAME,
            END_HEADERS,
            self.next_stream,
            &headers,
            unsent,
        );
        begin_frame(DATA, END_STREAM, self.next_stream, length, unsent);
        self.next_stream += 2;
    }

    /// Hands over each whole body; gives how many octets were read. What has to be said to that goes into `unsent`.
    pub(crate) fn read(
        &mut self,
        unread: &[u8],
        unsent: &mut Vec<u8>,
        mut count: impl FnMut(&[u8]),
    ) -> io::Result<usize> {
        let mut rest = unread;
        while let Some((head, behind)) = rest.split_first_chunk::<9>() {
            let [high, middle, low, kind, flags, stream @ ..] = *head;
            let length = u32::from_be_bytes([0, high, middle, low]) as usize;
            let Some((payload, behind)) = behind.split_at_checked(length) else {
                break;
            };
            rest = behind;
            let stream = u32::from_be_bytes(stream);
            match kind {
                DATA => self.take_body(stream, flags, payload, &mut count),
                HEADERS_FRAME if !is_ok(payload) => self.failed.push(stream),
                // The reply that will never come, counted as a wrong one.
                RST_STREAM => count(&[]),
                SETTINGS if flags & ACK == 0 => frame(SETTINGS, ACK, 0, &[], unsent),
                PING if flags & ACK == 0 => frame(PING, ACK, 0, payload, unsent),
                GOAWAY => return Err(io::ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
        }
        Ok(unread.len() - rest.len())
    }

    fn take_body(&mut self, stream: u32, flags: u8, payload: &[u8], count: &mut impl FnMut(&[u8])) {
        let is_last = flags & END_STREAM != 0;
        if let Some(place) = self.failed.iter().position(|failed| *failed == stream) {
            if is_last {
                self.failed.swap_remove(place);
                count(&[]);
            }
            return;
        }
        match self.unfinished.remove(&stream) {
            None if is_last => count(payload),
            first => {
                let mut body = first.unwrap_or_default();
                body.extend(payload);
                if is_last {
                    count(&body);
                } else {
                    self.unfinished.insert(stream, body);
                }
            }
        }
    }
}

/// Behind a word or two on the table that is not kept (RFC 7541 §6.3).
fn is_ok(headers: &[u8]) -> bool {
    let mut headers = headers.iter().skip_while(|octet| **octet == NO_TABLE);
    headers.next() == Some(&OK)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], unsent: &mut Vec<u8>) {
    begin_frame(kind, flags, stream, payload.len(), unsent);
    unsent.extend(payload);
}

fn begin_frame(kind: u8, flags: u8, stream: u32, length: usize, unsent: &mut Vec<u8>) {
    let length = u32::try_from(length).expect("a frame of ours is short");
    unsent.extend(length.to_be_bytes().iter().skip(1));
    unsent.extend([kind, flags]);
    unsent.extend(stream.to_be_bytes());
}

/// Neither packed nor kept (RFC 7541 §6.2.2).
fn write_header(name: &[u8], value: &[u8], headers: &mut Vec<u8>) {
    headers.extend(name);
    headers.push(u8::try_from(value.len()).expect("a value of ours is short"));
    headers.extend(value);
}

/// `:method: POST` and `:scheme: https` in the static table (RFC 7541 appendix A).
const POST: u8 = 0x83;
const HTTPS: u8 = 0x87;
/// Names in that table, each with its value.
const HEADERS: [(&[u8], &str); 4] = [
    (&[1], "dns.bench.test"),
    (&[4], "/dns-query"),
    (&[15, 4], "application/dns-message"),
    (&[15, 16], "application/dns-message"),
];
const CONTENT_LENGTH: [u8; 2] = [15, 13];
/// The table has room for nothing.
const NO_TABLE: u8 = 0x20;
/// `:status: 200`, as every server begins.
const OK: u8 = 0x88;

const DATA: u8 = 0;
const HEADERS_FRAME: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
