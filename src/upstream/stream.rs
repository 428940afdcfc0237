//! One exchange with an upstream over TCP, for answers that fit no datagram.
//!
//! Every exchange has its own connection. A message that is not the awaited one never ends the
//! wait; only time, the peer's leaving, or a flood of such messages does. It knows nothing of DNS
//! but the two octets of length before each message (RFC 1035 §4.2.2).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why one exchange with one upstream gave no usable answer. Another upstream may do better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeError {
    /// No acceptable answer within the limit.
    Timeout,
    /// No connection could be made.
    Unreachable,
    /// The peer ended the connection without an answer.
    Closed,
    /// The peer's certificate or key is not that of the server we mean.
    Certificate,
    /// The TLS handshake failed otherwise.
    Tls,
    /// It said by HTTP that it has no answer.
    Http,
    /// Too many queries wait for that server already.
    Busy,
    /// Messages came, and none of them was an acceptable answer; or the query fits no message.
    Garbled,
}

impl ExchangeError {
    /// The value of the `reason` label and of the log's field.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Closed => "closed",
            Self::Certificate => "certificate",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Busy => "busy",
            Self::Garbled => "garbled",
        }
    }
}

/// Asks `server` and gives the first message that `accept` says yes to, within `limit` in all.
pub async fn exchange(
    server: SocketAddr,
    query: &[u8],
    limit: Duration,
    accept: impl FnMut(&[u8]) -> bool + Send,
) -> Result<Vec<u8>, ExchangeError> {
    let answer = async {
        let mut stream = connect(server)
            .await
            .map_err(|_| ExchangeError::Unreachable)?;
        send(&mut stream, query).await?;
        receive(&mut stream, accept).await
    };
    timeout(limit, answer)
        .await
        .unwrap_or(Err(ExchangeError::Timeout))
}

/// A connection that sends what it has at once.
pub(super) async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn send(stream: &mut TcpStream, query: &[u8]) -> Result<(), ExchangeError> {
    let length = u16::try_from(query.len()).map_err(|_| ExchangeError::Garbled)?;
    // RFC 7766 §8: length and message leave together; some servers expect them in one segment.
    let frame = [&length.to_be_bytes(), query].concat();
    stream
        .write_all(&frame)
        .await
        .map_err(|_| ExchangeError::Closed)
}

/// Messages passed over before the peer counts as talking nonsense; an honest one sends none.
const PASSED_OVER: usize = 64;

async fn receive(
    stream: &mut TcpStream,
    mut accept: impl FnMut(&[u8]) -> bool + Send,
) -> Result<Vec<u8>, ExchangeError> {
    let mut message = Vec::new();
    for passed_over in 0..PASSED_OVER {
        match read_message(stream, &mut message).await {
            Ok(()) if accept(&message) => return Ok(message),
            Ok(()) => {}
            Err(_) if passed_over == 0 => return Err(ExchangeError::Closed),
            Err(_) => break,
        }
    }
    Err(ExchangeError::Garbled)
}

async fn read_message(stream: &mut TcpStream, message: &mut Vec<u8>) -> io::Result<()> {
    let length = stream.read_u16().await?;
    message.resize(usize::from(length), 0);
    stream.read_exact(message).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const SHORT: Duration = Duration::from_millis(50);
    const GENEROUS: Duration = Duration::from_secs(10);

    /// A server that takes one query, says these octets, and then leaves or stays silent.
    async fn server(octets: Vec<u8>, stays: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut query = Vec::new();
            read_message(&mut stream, &mut query).await.unwrap();
            assert_eq!(query, b"query");
            stream.write_all(&octets).await.unwrap();
            if stays {
                std::future::pending::<()>().await;
            }
        });
        address
    }

    #[tokio::test]
    async fn the_first_acceptable_message_is_the_answer() {
        use ExchangeError::{Closed, Garbled, Timeout};
        let right = b"\0\x05right".as_slice();
        let wrong = b"\0\x05wrong\0\0\0\x01x".as_slice();
        #[rustfmt::skip]
        let cases = [
            ("the right one",              right.to_vec(),                  true,  GENEROUS, Ok(b"right".to_vec())),
            ("after wrong and empty ones", [wrong, right].concat(),         true,  GENEROUS, Ok(b"right".to_vec())),
            ("then it leaves",             right.to_vec(),                  false, GENEROUS, Ok(b"right".to_vec())),
            ("silence",                    vec![],                          true,  SHORT,    Err(Timeout)),
            ("half a message",             b"\0\x05ri".to_vec(),            true,  SHORT,    Err(Timeout)),
            ("only wrong ones",            wrong.to_vec(),                  true,  SHORT,    Err(Timeout)),
            ("wrong ones without end",     wrong.repeat(PASSED_OVER),       true,  GENEROUS, Err(Garbled)),
            ("wrong ones, then it leaves", wrong.to_vec(),                  false, GENEROUS, Err(Garbled)),
            ("it leaves",                  vec![],                          false, GENEROUS, Err(Closed)),
            ("it leaves amid a message",   b"\0\x05ri".to_vec(),            false, GENEROUS, Err(Closed)),
        ];
        for (why, octets, stays, limit, want) in cases {
            let address = server(octets, stays).await;
            let got = exchange(address, b"query", limit, |message| message == b"right").await;
            assert_eq!(got, want, "{why}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let got = exchange(address, b"query", GENEROUS, |_| true).await;
        assert_eq!(got, Err(ExchangeError::Unreachable));
    }

    #[tokio::test]
    async fn a_query_that_fits_no_message_is_not_sent() {
        let address = server(vec![], true).await;
        let got = exchange(address, &[0; 65_536], GENEROUS, |_| true).await;
        assert_eq!(got, Err(ExchangeError::Garbled));
    }
}
