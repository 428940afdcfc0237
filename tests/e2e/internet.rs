//! The rest of the Internet, at the provider's: a registry that is Docker Hub and quay.io by its certificate, and
//! the hole that swallows what Docker Hub says over IPv6.

use crate::daemon::until;
use crate::world::{LISTED, OTHER, Server, provider, shell, write};
use std::fs;
use std::process::Command;

/// Whom clients here trust.
pub(crate) const CA: &str = "/run/pki/ca.pem";

/// An image of Docker Hub's, and one of quay.io's.
pub(crate) const IMAGE: &str = "library/hello";
pub(crate) const OTHER_IMAGE: &str = "acme/hello";

/// What docker-registry said.
const SAID: &str = "/run/registry/said";

/// A certificate for every name. With RSA, what a server says first is larger than the path takes, as in life.
const PKI: &str = "mkdir -p /run/pki && cd /run/pki && exec 2>&1 \
    && openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=test CA' \
    && openssl req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=registry-1.docker.io \
    && echo 'subjectAltName=DNS:*.docker.io,DNS:quay.io' > names \
    && openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out leaf.pem \
    && cat leaf.pem ca.pem > chain.pem && echo made";

/// Every address is the provider's. What it sends from Docker's IPv6 prefix gets lost where it is larger than the
/// narrowest hop of some path, and nobody is told (RFC 8201 section 1: a black hole).
const ROUTES: &str = "exec 2>&1; ip -n provider route add local default dev lo \
    && ip -n provider -6 route add local 2600::/16 dev lo \
    && ip netns exec provider nft 'table ip6 narrow { chain out { type filter hook output priority 0; \
       ip6 saddr 2600:1f18:2148:bc00::/62 tcp sport 443 meta length > 1280 drop; }; }' && echo made";

const REGISTRY: &str = "version: 0.1
log: {level: info}
storage: {filesystem: {rootdirectory: /run/registry/data}}
http: {addr: ':443', tls: {certificate: /run/pki/chain.pem, key: /run/pki/key.pem}}
";

/// The servers outside of the host, which end with the test.
pub(crate) struct Internet {
    _knot: Server,
    _registry: Server,
}

impl Internet {
    /// Starts them, and puts an image there for each of the two names.
    pub(crate) fn start() -> Self {
        let knot = provider();
        for script in [PKI, ROUTES] {
            let said = shell(script);
            assert!(said.ends_with("made\n"), "{said}");
        }
        fs::create_dir_all("/run/registry").unwrap();
        write("/run/registry/config.yml", REGISTRY);
        let registry = Server::start(
            outside("docker-registry").args(["serve", "/run/registry/config.yml"]),
            SAID,
        );
        let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/seed.py");
        until("the images are in the registry", || {
            let mut python = outside("timeout");
            python.args(["20", "python3", "-I", seed, CA]);
            let images = [(LISTED, IMAGE), (OTHER, OTHER_IMAGE)];
            python.args(images.map(|(host, image)| format!("{host}/{image}")));
            python.output().unwrap().status.success().then_some(())
        });
        Self {
            _knot: knot,
            _registry: registry,
        }
    }

    /// From where a host was asked for an image, as the registry tells it; all requests since the start.
    pub(crate) fn visitors(host: &str, image: &str) -> Vec<String> {
        let said = fs::read_to_string(SAID).unwrap();
        let asked = format!("http.request.host={host} ");
        let path = format!("http.request.uri=\"/v2/{image}/manifests/");
        let lines = said
            .lines()
            .filter(|line| line.contains(&asked) && line.contains(&path));
        lines
            .filter_map(|line| {
                line.split_once("http.request.remoteaddr=")?
                    .1
                    .split(' ')
                    .next()
            })
            .map(|address| address.trim_matches('"').to_owned())
            .filter(|address| !address.starts_with("127.0.0.1:"))
            .collect()
    }
}

/// A command at the provider's.
fn outside(program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", "provider", program]);
    command
}
