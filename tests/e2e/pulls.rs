//! The pull that failed, and the same engine with us.

use crate::daemon::host::FIGURE;
use crate::engines::{Engine, Kind};
use crate::internet::{IMAGE, Internet, OTHER_IMAGE};
use crate::ways::Way;
use crate::world::{LISTED, OTHER};
use std::time::Duration;

pub(crate) const HEADING: &str = "
engine       way in             without us                              with us   again   quay.io (IPv6)";

/// What everyone sees whose IPv6 to Docker Hub is broken, word for word: containerd asks for the image at once, dockerd
/// first how to talk to the registry.
pub(crate) const OF_CONTAINERD: &str = "Head \"https://registry-1.docker.io/v2/library/hello/manifests/latest\": net/http: TLS handshake timeout";
const OF_DOCKERD: &str =
    "Get \"https://registry-1.docker.io/v2/\": net/http: TLS handshake timeout";

/// Within this a pull succeeds, on a busy machine too; the real figure is printed, and is far below a second.
pub(crate) const PROMPT: Duration = Duration::from_secs(5);

pub(crate) fn fails_then_works(kind: Kind, way: Way) {
    let (name, failure) = match kind {
        Kind::Containerd => ("containerd", OF_CONTAINERD),
        Kind::Dockerd => ("dockerd", OF_DOCKERD),
    };
    let _internet = Internet::start();
    let mut host = way.without_us();
    let engine = Engine::start(kind);

    // docker.io is what people write for registry-1.docker.io.
    let image = format!("docker.io/{IMAGE}");
    let failed = engine.pull(&image);
    let said = failed.result.expect_err("a pull without us");
    assert!(said.contains(failure), "{said}");
    let seconds = failed.took.as_secs_f64();
    assert!((9.5..12.0).contains(&seconds), "{seconds}");
    assert_eq!(Internet::visitors(LISTED, IMAGE), [""; 0]);

    let _led = host.lead();
    let [first, again] = [(); 2].map(|()| {
        let pull = engine.pull(&image);
        pull.result.unwrap();
        assert!(pull.took < PROMPT, "{:?}", pull.took);
        engine.remove(&image);
        pull.took
    });
    let visitors = Internet::visitors(LISTED, IMAGE);
    let ours = |one: &String| one.starts_with("192.0.2.10:");
    assert!(
        !visitors.is_empty() && visitors.iter().all(ours),
        "{visitors:?}"
    );

    let other = engine.pull(&format!("{OTHER}/{OTHER_IMAGE}"));
    other.result.unwrap();
    assert!(other.took < PROMPT, "{:?}", other.took);
    let visitors = Internet::visitors(OTHER, OTHER_IMAGE);
    let ours = |one: &String| one.starts_with("[2001:db8:1::10]:");
    assert!(
        !visitors.is_empty() && visitors.iter().all(ours),
        "{visitors:?}"
    );

    let seconds = [first, again, other.took].map(|took| took.as_secs_f64());
    println!(
        "{FIGURE}{name:<12} {:<18} TLS handshake timeout after {:5.2} s {:8.2} s {:5.2} s {:8.2} s",
        way.name(),
        failed.took.as_secs_f64(),
        seconds[0],
        seconds[1],
        seconds[2]
    );
}
