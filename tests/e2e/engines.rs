//! What pulls images: containerd as the kubelet drives it, and dockerd. Both are asked by curl, over their own sockets.

use crate::daemon::{now, until};
use crate::internet::CA;
use crate::world::{Server, write};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

pub(crate) const CONTAINERD: &str = "/run/containerd/socket";
const DOCKERD: &str = "/run/docker/socket";

const CONTAINERD_CONFIG: &str = r#"version = 2
root = "/run/containerd/root"
state = "/run/containerd/state"
[grpc]
  address = "/run/containerd/socket"
[plugins."io.containerd.internal.v1.opt"]
  path = "/run/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    disable_snapshot_annotations = true
"#;

/// It touches no network of the host's, and stores by copying, which works on every file system.
const DOCKERD_OPTIONS: &[&str] = &[
    "--config-file=/run/docker/config.json",
    "--containerd=/run/containerd/socket",
    "--host=unix:///run/docker/socket",
    "--data-root=/run/docker/data",
    "--exec-root=/run/docker/exec",
    "--pidfile=/run/docker/pid",
    "--storage-driver=vfs",
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
    "--ip-forward=false",
    "--ip-masq=false",
];

/// Which engine.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Containerd,
    Dockerd,
}

/// A running engine, never restarted: it ends with the test.
pub(crate) struct Engine {
    kind: Kind,
    _servers: Vec<Server>,
}

/// What came of a pull, and how long it took.
pub(crate) struct Pull {
    pub(crate) result: Result<(), String>,
    pub(crate) took: Duration,
}

impl Engine {
    pub(crate) fn start(kind: Kind) -> Self {
        fs::create_dir_all("/run/containerd").unwrap();
        write("/run/containerd/config.toml", CONTAINERD_CONFIG);
        let mut containerd = Command::new("containerd");
        containerd.args(["--config", "/run/containerd/config.toml"]);
        let mut servers = vec![start(&mut containerd, "/run/containerd/said")];
        until("containerd answers", || {
            cri("RuntimeService/Version", &[]).ok()
        });
        if kind == Kind::Dockerd {
            fs::create_dir_all("/run/docker").unwrap();
            write("/run/docker/config.json", "{}");
            let mut dockerd = Command::new("dockerd");
            servers.push(start(dockerd.args(DOCKERD_OPTIONS), "/run/docker/said"));
            until("dockerd answers", || {
                Path::new(DOCKERD)
                    .exists()
                    .then(|| docker("GET", "_ping", &[]).ok())?
            });
        }
        Self {
            kind,
            _servers: servers,
        }
    }

    /// Pulls an image that it does not have.
    pub(crate) fn pull(&self, image: &str) -> Pull {
        let begun = now();
        let result = match self.kind {
            Kind::Containerd => cri("ImageService/PullImage", &image_spec(image)),
            Kind::Dockerd => {
                let path = format!("images/create?fromImage={image}&tag=latest");
                docker("POST", &path, &[]).map(drop)
            }
        };
        Pull {
            result,
            took: begun.elapsed(),
        }
    }

    pub(crate) fn remove(&self, image: &str) {
        let removed = match self.kind {
            Kind::Containerd => cri("ImageService/RemoveImage", &image_spec(image)),
            Kind::Dockerd => docker("DELETE", &format!("images/{image}:latest"), &[]).map(drop),
        };
        removed.unwrap();
    }
}

fn start(command: &mut Command, log: &str) -> Server {
    Server::start(command.env("SSL_CERT_FILE", CA), log)
}

/// A call of the kubelet's: gRPC over HTTP/2, whose status comes in the trailer.
fn cri(method: &str, message: &[u8]) -> Result<(), String> {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    let request = format!("/run/containerd/{}", method.replace('/', "-"));
    fs::write(&request, frame).unwrap();
    let output = curl(CONTAINERD)
        .args([
            "--http2-prior-knowledge",
            "--dump-header",
            "-",
            "--output",
            "/dev/null",
        ])
        .args([
            "--header",
            "Content-Type: application/grpc",
            "--header",
            "TE: trailers",
        ])
        .args(["--data-binary", &format!("@{request}")])
        .arg(format!("http://localhost/runtime.v1.{method}"))
        .output()
        .unwrap();
    let said = text(&output);
    let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name));
    match field("grpc-status: ").map(str::trim) {
        Some("0") => Ok(()),
        _ => Err(field("grpc-message: ").unwrap_or(&said).to_owned()),
    }
}

/// `ImageSpec` of the kubelet's protocol, alone in its field: lengths fit into one octet each.
fn image_spec(image: &str) -> Vec<u8> {
    let image = format!("{image}:latest");
    let field = |content: &[u8]| [&[0x0a, u8::try_from(content.len()).unwrap()], content].concat();
    let message = field(&field(image.as_bytes()));
    assert!(message.len() < 128, "{image}");
    message
}

/// A call of the Docker client's, with what curl sends along, and what dockerd says. What goes wrong late stands in the body.
pub(crate) fn docker(method: &str, path: &str, body: &[&str]) -> Result<String, String> {
    let output = curl(DOCKERD)
        .args(["--request", method, "--write-out", " status=%{http_code}"])
        .args(body)
        .arg(format!("http://localhost/v1.41/{path}"))
        .output()
        .unwrap();
    let said = text(&output);
    match said.contains(" status=20") && !said.contains("errorDetail") {
        true => Ok(said),
        false => Err(said.replace("\\\"", "\"")),
    }
}

fn curl(socket: &str) -> Command {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--max-time",
        "30",
        "--unix-socket",
        socket,
    ]);
    curl
}

fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|one| String::from_utf8_lossy(one));
    format!("{out}{err}")
}
