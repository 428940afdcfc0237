//! One connection: how it is made, and what comes back on it.

use super::record::{Progress, Record};
use super::{Outcome, Target};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How a connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As the kernel makes them.
    Usual,
    /// With segments, both ways, that fit into the smallest packet every IPv6 link carries.
    SmallSegments,
}

/// The smallest IPv6 MTU, 1,280 (RFC 8200 §5), less the headers of IPv6 and TCP.
const SMALL_SEGMENT: u32 = 1220;

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Failure {
    /// That tells of the address.
    There(Outcome),
    /// That tells of this host alone.
    Here(io::Error),
}

/// Connects, within `limit`.
pub(super) async fn connect(
    target: Target<'_>,
    way: Way,
    limit: Duration,
) -> Result<TcpStream, Failure> {
    let socket = open(target, way).map_err(why)?;
    match timeout(limit, socket.connect(target.address)).await {
        Ok(connected) => connected.map_err(why),
        Err(_) => Err(Failure::There(Outcome::ConnectTimeout)),
    }
}

fn open(target: Target<'_>, way: Way) -> io::Result<TcpSocket> {
    let domain = Domain::for_address(target.address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if way == Way::SmallSegments {
        // Before connecting: the peer is told by our SYN.
        socket.set_tcp_mss(SMALL_SEGMENT)?;
    }
    if target.host.is_some() {
        // A hello that nobody acknowledges would be sent again for minutes after we have left.
        socket.set_linger(Some(Duration::ZERO))?;
    }
    Ok(TcpSocket::from_std_stream(socket.into()))
}

fn why(error: io::Error) -> Failure {
    let outcome = match Errno::from_io_error(&error) {
        Some(Errno::CONNREFUSED | Errno::CONNRESET) => Outcome::Refused,
        Some(Errno::TIMEDOUT) => Outcome::ConnectTimeout,
        // EAFNOSUPPORT: the kernel has no IPv6. EACCES and EPERM: a firewall here or on the way forbids it.
        // EINVAL: a link-local address without its link.
        Some(
            Errno::NETUNREACH
            | Errno::HOSTUNREACH
            | Errno::NETDOWN
            | Errno::HOSTDOWN
            | Errno::ADDRNOTAVAIL
            | Errno::AFNOSUPPORT
            | Errno::ACCESS
            | Errno::PERM
            | Errno::INVAL,
        ) => Outcome::Unreachable,
        _ => return Failure::Here(error),
    };
    Failure::There(outcome)
}

/// What came back on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// One whole TLS record.
    Record,
    /// Something else than TLS.
    Other,
    /// Its end, before either.
    End,
    /// Nothing, or not enough within the limit.
    Silence,
}

impl Heard {
    /// Whether somebody said something.
    pub(super) const fn is_answer(self) -> bool {
        matches!(self, Self::Record | Self::Other)
    }
}

/// Says `hello`, and listens for `limit` in all.
pub(super) async fn greet(mut stream: TcpStream, hello: &[u8], limit: Duration) -> Heard {
    let exchange = async {
        if let Err(error) = stream.write_all(hello).await {
            return end(&error);
        }
        listen(&mut stream).await
    };
    timeout(limit, exchange).await.unwrap_or(Heard::Silence)
}

async fn listen(stream: &mut TcpStream) -> Heard {
    let mut record = Record::default();
    let mut room = [0; 4096];
    loop {
        let octets = match stream.read(&mut room).await {
            Ok(0) => return Heard::End,
            Ok(length) => room.get(..length).unwrap_or_default(),
            Err(error) => return end(&error),
        };
        match record.hear(octets) {
            Progress::More => {}
            Progress::Whole => return Heard::Record,
            Progress::Other => return Heard::Other,
        }
    }
}

/// Somebody ended the connection, or the kernel gave up: then nobody said anything.
fn end(error: &io::Error) -> Heard {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Heard::End,
        _ => Heard::Silence,
    }
}
