//! A registry behind TLS on loopback, of one image; and a tarpit that becomes one.
//!
//! A tarpit does what a server does whose answers get lost on the way: it takes connections, which the kernel does
//! anyway, and nothing that it says ever arrives.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::generate_simple_self_signed;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

/// What connections to an address meet. Shared: a tarpit can be healed.
pub(super) type IsTarpit = Arc<AtomicBool>;

/// A certificate for these hosts that was made just now: the server's side of it, and what clients trust.
pub(super) fn identity(hosts: &[&str]) -> io::Result<(TlsAcceptor, RootCertStore)> {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let made = generate_simple_self_signed(hosts).map_err(io::Error::other)?;
    let key =
        PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(io::Error::other)?;
    let certificate = CertificateDer::from(made.cert);
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|versions| {
            let anyone = versions.with_no_client_auth();
            anyone.with_single_cert(vec![certificate], key)
        })
        .map_err(io::Error::other)?;
    Ok((TlsAcceptor::from(Arc::new(config)), roots))
}

/// Serves whoever connects, for as long as it is polled.
pub(super) async fn serve(listener: TcpListener, tls: TlsAcceptor, is_tarpit: IsTarpit) {
    loop {
        // A peer that has gone already, or no descriptor for a moment: the next may fare better.
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if is_tarpit.load(Relaxed) {
            tokio::spawn(swallow(stream));
        } else {
            tokio::spawn(sell(stream, tls.clone()));
        }
    }
}

/// Reads until the peer gives up.
async fn swallow(mut stream: impl AsyncRead + Unpin) {
    let mut room = vec![0; 4096];
    while matches!(stream.read(&mut room).await, Ok(1..)) {}
}

async fn sell(stream: TcpStream, tls: TlsAcceptor) {
    // How the peer leaves is its own affair: probes stop in the middle of a handshake.
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let service = service_fn(|request| async move { Ok::<_, Infallible>(reply(&request)) });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
}

fn reply(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let is_known = request.uri().path().ends_with("/manifests/latest");
    let mut response = Response::new(Full::from(if is_known { MANIFEST } else { "" }));
    if is_known {
        let kind = HeaderValue::from_static("application/vnd.oci.image.manifest.v1+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
    } else {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// How long to wait when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Of an image without layers; its configuration is `{}`.
const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;
