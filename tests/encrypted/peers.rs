//! Servers that others wrote.

use super::authority::{Authority, Signed};
use super::daemon::client::{Client, ask};
use super::daemon::files::Folder;
use super::daemon::{start, until, wire};
use super::{NAME, by, named, run};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A test, and the program that it needs.
type Test = (&'static str, &'static str, fn(&Path));

pub(crate) const TESTS: &[Test] = &[
    ("unbound_is_asked", "unbound", unbound),
    ("knot_resolver_is_asked", "kresd", knot_resolver),
    ("dnsdist_is_asked", "dnsdist", dnsdist),
    ("aioquic_is_asked", "aioquic-python", aioquic),
    ("a_server_of_tls_1_1_is_refused", "openssl", old),
];

/// A child, ended when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Waits until it takes connections. `configure` gets a folder and a free port, and says how it is started. Whoever else
    /// opens sockets here may be faster and have that port: then with another.
    fn start(program: &Path, configure: impl Fn(&Folder, u16) -> Vec<String>) -> Self {
        (0..8)
            .find_map(|_| Self::try_start(program, &configure))
            .unwrap_or_else(|| panic!("{program:?} ends by itself, whatever its port"))
    }

    fn try_start(program: &Path, configure: &impl Fn(&Folder, u16) -> Vec<String>) -> Option<Self> {
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let folder = Folder::new();
        let arguments = configure(&folder, address.port());
        let mut command = Command::new(program);
        command.args(&arguments).current_dir(folder.path("."));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stands = until(&format!("{program:?} {arguments:?}"), || {
            if child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            TcpStream::connect(address).is_ok().then_some(true)
        });
        stands.then_some(Self {
            child,
            address,
            _folder: folder,
        })
    }
}

/// Asks for what the server was told, one by one and then many at once.
fn is_asked(scheme: &str, server: &Server, authority: &Authority) {
    let upstream = by(scheme, server.address, authority);
    let daemon = start(&format!("upstreams: [\"{upstream}\"]\nrules: []\n"));
    let client = Client::of(daemon.addresses()[0]);
    let query = |number| wire::query(number, &format!("n{number}.a.test"), wire::A);
    let check = |reply: &[u8]| {
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let number = wire::id_of(reply);
        assert_eq!(wire::addresses(reply), [address], "{scheme}: {number}");
    };
    for number in 0..20 {
        check(&client.ask(&query(number)));
    }
    for number in 100..200 {
        client.send(&query(number));
    }
    for _ in 100..200 {
        check(&client.receive().expect("a reply"));
    }
    assert_eq!(daemon.troubles(), "");
}

fn good() -> (Authority, Signed) {
    let authority = Authority::new();
    let signed = authority.sign(NAME);
    (authority, signed)
}

/// Over TLS and over HTTPS.
fn unbound(program: &Path) {
    for (scheme, port) in [("tls", "tls-port"), ("https", "https-port")] {
        unbound_over(program, scheme, port);
    }
}

fn unbound_over(program: &Path, scheme: &str, name: &str) {
    let (authority, signed) = good();
    let server = Server::start(program, |folder, port| {
        let config = format!(
            "server:\n interface: 127.0.0.1@{port}\n {name}: {port}\n port: {port}\n \
             tls-service-pem: \"{}\"\n tls-service-key: \"{}\"\n username: \"\"\n chroot: \"\"\n \
             do-daemonize: no\n pidfile: \"\"\n use-syslog: no\n module-config: \"iterator\"\n \
             directory: \"{}\"\n local-zone: \"a.test.\" redirect\n local-data: \"a.test. 60 A 192.0.2.7\"\n\
             remote-control:\n control-enable: no\n",
            signed.chain.display(),
            signed.key.display(),
            folder.path(".").display()
        );
        let file = folder.write("unbound.conf", config);
        vec!["-d".into(), "-c".into(), file.display().to_string()]
    });
    is_asked(scheme, &server, &authority);
}

/// Over TLS and over HTTPS.
fn knot_resolver(program: &Path) {
    for (scheme, kind) in [("tls", "tls"), ("https", "doh2")] {
        knot_resolver_over(program, scheme, kind);
    }
}

fn knot_resolver_over(program: &Path, scheme: &str, kind: &str) {
    let (authority, signed) = good();
    let server = Server::start(program, |folder, port| {
        let config = format!(
            "net.listen('127.0.0.1', {port}, {{ kind = '{kind}' }})\nnet.tls('{}', '{}')\n\
             cache.size = 10 * MB\nmodules.unload('ta_update')\n\
             policy.add(policy.suffix(policy.ANSWER({{ [kres.type.A] = {{ rdata = kres.str2ip('192.0.2.7'), ttl = 60 }} }}), \
             {{ todname('a.test') }}))\n",
            signed.chain.display(),
            signed.key.display()
        );
        let file = folder.write("kresd.conf", config);
        vec![
            "-n".into(),
            "-c".into(),
            file.display().to_string(),
            ".".into(),
        ]
    });
    is_asked(scheme, &server, &authority);
}

/// Over TLS and over HTTPS.
fn dnsdist(program: &Path) {
    for (scheme, listener, rest) in [
        ("tls", "addTLSLocal", ""),
        ("https", "addDOHLocal", ", '/dns-query'"),
    ] {
        dnsdist_over(program, scheme, (listener, rest));
    }
}

/// What it hears in clear text it hears where nobody else does: 127.0.0.1 may lack the port over TCP, or over UDP.
fn dnsdist_over(program: &Path, scheme: &str, (listener, rest): (&str, &str)) {
    let (authority, signed) = good();
    let server = Server::start(program, |folder, port| {
        let config = format!(
            "{listener}('127.0.0.1:{port}', '{}', '{}'{rest})\nsetLocal('127.0.0.77:{port}')\n\
             addAction('a.test', SpoofAction('192.0.2.7'))\naddAction(AllRule(), RCodeAction(DNSRCode.NXDOMAIN))\n",
            signed.chain.display(),
            signed.key.display()
        );
        let file = folder.write("dnsdist.conf", config);
        let options = ["--supervised", "--disable-syslog", "-C"].map(str::to_owned);
        [options.to_vec(), vec![file.display().to_string()]].concat()
    });
    is_asked(scheme, &server, &authority);
}

/// Over QUIC and over HTTP/3. It is a program of the test's own on QUIC and HTTP/3 of others.
fn aioquic(program: &Path) {
    let (authority, signed) = good();
    let server = Server::start(program, |_, port| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/encrypted/quic.py");
        let pair = [&signed.chain, &signed.key].map(|file| file.display().to_string());
        [&[script.to_owned(), port.to_string()], pair.as_slice()].concat()
    });
    is_asked("quic", &server, &authority);
    is_asked("h3", &server, &authority);
}

fn old(program: &Path) {
    let (authority, signed) = good();
    let server = Server::start(program, |_, port| {
        let options = format!(
            "s_server -accept 127.0.0.1:{port} -tls1_1 -cipher DEFAULT@SECLEVEL=0 -quiet -cert {} -key {}",
            signed.chain.display(),
            signed.key.display()
        );
        options.split(' ').map(str::to_owned).collect()
    });
    let folder = Folder::new();
    let program = run(&folder, &[named(server.address, &authority)], "");
    let reply = ask(program.address(), "a.example", wire::A);
    assert_eq!(wire::rcode_of(&reply), wire::SERVFAIL);
    let line = program.says("upstream is down");
    assert!(
        line.contains("reason=tls") && line.contains("ProtocolVersion"),
        "{line}"
    );
}
