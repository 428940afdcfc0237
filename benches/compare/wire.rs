//! What a connection of the generator runs on: TCP, or TLS above it.

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};

/// What carries messages on a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// TCP.
    Tcp,
    /// TLS (RFC 7858).
    Tls,
    /// HTTP/2 over TLS (RFC 8484).
    Https,
}

/// The certificate's file in a server's folder.
pub(crate) const CERTIFICATE: &str = "certificate.pem";
/// The key's.
pub(crate) const KEY: &str = "key.pem";

/// The servers' name in it.
const NAME: &str = "dns.bench.test";

/// One certificate for all servers of a run of this program: P-256, which each of them has in assembly.
static IDENTITY: LazyLock<CertifiedKey<KeyPair>> = LazyLock::new(|| {
    generate_simple_self_signed([NAME.to_owned()]).expect("the library makes certificates")
});

/// The files of certificate and key.
pub(crate) fn identity() -> [(&'static str, String); 2] {
    [
        (CERTIFICATE, IDENTITY.cert.pem()),
        (KEY, IDENTITY.signing_key.serialize_pem()),
    ]
}

/// A connection, not blocking once it stands.
pub(crate) enum Wire {
    /// In clear text.
    Clear(TcpStream),
    /// By TLS 1.3.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Connects, and shakes hands.
    pub(crate) fn open(server: SocketAddr, carrier: Carrier) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        let wire = match carrier {
            Carrier::Tcp => Self::Clear(stream),
            Carrier::Tls => Self::Tls(Box::new(shake_hands(b"dot", stream)?)),
            Carrier::Https => Self::Tls(Box::new(shake_hands(b"h2", stream)?)),
        };
        wire.socket().set_nonblocking(true)?;
        Ok(wire)
    }

    /// What to wait for.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Clear(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// Sends what goes.
    pub(crate) fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(octets),
            Self::Tls(stream) => stream.write(octets),
        }
    }

    /// Takes what has come.
    pub(crate) fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(octets),
            Self::Tls(stream) => stream.read(octets),
        }
    }
}

fn shake_hands(
    protocol: &[u8],
    mut stream: TcpStream,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    let certificate = IDENTITY.cert.der().clone();
    roots.add(certificate).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}
