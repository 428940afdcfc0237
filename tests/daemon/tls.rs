//! A TLS server with a certificate of its own, one that takes connections and says nothing, and clients over TLS.

use super::client::Connection;
use super::files::Folder;
use rcgen::generate_simple_self_signed;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Shakes hands with whoever comes, for as long as the test program runs.
pub(crate) struct TlsServer {
    pub(crate) address: SocketAddr,
    /// Its certificate, for `SSL_CERT_FILE`.
    pub(crate) certificate: PathBuf,
    _folder: Folder,
}

impl TlsServer {
    /// One for hosts of these names.
    pub(crate) fn on(address: &str, names: &[&str]) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let made = generate_simple_self_signed(names).unwrap();
        let folder = Folder::new();
        let certificate = folder.write("certificate.pem", made.cert.pem());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let chain = vec![CertificateDer::from(made.cert)];
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let (config, address) = (Arc::new(config), listener.local_addr().unwrap());
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut connection = ServerConnection::new(config.clone()).unwrap();
                thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                    // How the client leaves is its own affair.
                    connection.complete_io(&mut stream).map(drop)
                });
            }
        });
        Self {
            address,
            certificate,
            _folder: folder,
        }
    }
}

/// A listener whose connections stand and hang: the kernel takes them, nobody reads.
pub(crate) fn tarpit(address: &str) -> TcpListener {
    let address: SocketAddr = address.parse().unwrap();
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    if address.is_ipv6() {
        socket.set_only_v6(true).unwrap();
    }
    socket.bind(&address.into()).unwrap();
    socket.listen(128).unwrap();
    socket.into()
}

/// TLS over TCP.
pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

impl Connection<Secured> {
    /// Connects and shakes hands with a server that must have this name.
    pub(crate) fn secured(
        server: SocketAddr,
        name: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        Self::over(Connection::to(server).stream, name, config)
    }

    /// Shakes hands on this connection.
    pub(crate) fn over(
        mut stream: TcpStream,
        name: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut tls = ClientConnection::new(Arc::clone(config), name).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        let stream = StreamOwned::new(tls, stream);
        Ok(Self { stream })
    }
}
