//! Whoever ends, and however: what a container engine sees of it, and what is left on the host.

use crate::daemon::host::FIGURE;
use crate::daemon::{millis, now, until};
use crate::engines::{Engine, Kind};
use crate::internet::{IMAGE, Internet, OTHER_IMAGE};
use crate::pulls::OF_CONTAINERD;
use crate::ways::{Led, Way};
use crate::world::{OTHER, is_as_before, provider, shell};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than this no other name may fail.
const PROMISED: Duration = Duration::from_secs(3);

/// The host's files with their content, and its network: all but what the test itself wrote, what only counts, and
/// the folder that systemd-resolved makes for files about links, which are looked at.
const EVERYTHING: &str = "ip -brief link; ip -brief address; ip rule; ip -6 rule; nft list ruleset; \
    ip route show table all; ip -6 route show table all; \
    find /etc /run -xdev -path /run/host -prune -o -path /run/knot -prune -o -print | grep -vx /run/systemd/resolve/netif; \
    find /etc /run -xdev -path /run/host -prune -o -path /run/knot -prune -o -type f -print0 | xargs -0 sha256sum; \
    grep -r . /proc/sys/net 2>/dev/null | grep -v -e count: -e uuid:";

/// Who ends by force, or hangs.
#[derive(Clone, Copy)]
enum End {
    RunKilled,
    RunHangs,
    AttachKilled,
    BothKilled,
}

const ENDS: [End; 4] = [
    End::RunKilled,
    End::RunHangs,
    End::AttachKilled,
    End::BothKilled,
];

impl End {
    const fn name(self) -> &'static str {
        match self {
            Self::RunKilled => "kill -9 of run",
            Self::RunHangs => "SIGSTOP of run",
            Self::AttachKilled => "kill -9 of attach",
            Self::BothKilled => "kill -9 of both",
        }
    }

    fn comes_to(self, led: &Led) {
        let attach = led.attach.as_ref().unwrap();
        match self {
            Self::RunKilled => led.daemon.signal(Signal::KILL),
            Self::RunHangs => led.daemon.signal(Signal::STOP),
            Self::AttachKilled => attach.signal(Signal::KILL),
            Self::BothKilled => {
                led.daemon.signal(Signal::KILL);
                attach.signal(Signal::KILL);
            }
        }
    }
}

/// One containerd, through all of it: other images stay within reach, and in the end all is as it was before us.
pub(crate) fn an_engine_goes_on(way: Way) {
    let _internet = Internet::start();
    let mut host = way.without_us();
    let engine = Engine::start(Kind::Containerd);
    let image = format!("docker.io/{IMAGE}");
    for end in ENDS {
        let led = host.lead();
        engine.pull(&image).result.unwrap();
        engine.remove(&image);
        end.comes_to(&led);
        let failed = longest_failure(&engine);
        println!(
            "{FIGURE}{OTHER} fails for {:.2} s: {}, {}",
            failed.as_secs_f64(),
            way.name(),
            end.name()
        );
        assert!(failed < PROMISED, "{}: {failed:?}", end.name());
        assert!(is_as_before(), "{}", end.name());
    }
    let said = engine.pull(&image).result.expect_err("a pull without us");
    assert!(said.contains(OF_CONTAINERD), "{said}");
}

/// The longest time from the beginning of a pull that failed to the end of the next that did not, within 4 s.
fn longest_failure(engine: &Engine) -> Duration {
    let image = format!("{OTHER}/{OTHER_IMAGE}");
    let (begun, mut worst, mut since) = (now(), Duration::ZERO, None::<Instant>);
    while begun.elapsed() < Duration::from_secs(4) {
        let pull = now();
        match engine.pull(&image).result {
            Ok(()) => worst = worst.max(since.take().map_or(Duration::ZERO, |one| one.elapsed())),
            Err(_) => since = since.or(Some(pull)),
        }
        sleep(millis(20));
    }
    worst.max(since.map_or(Duration::ZERO, |since| since.elapsed()))
}

/// Nothing of ours is left while whoever was not killed still runs.
pub(crate) fn nothing_is_left(way: Way) {
    let _provider = provider();
    let mut host = way.without_us();
    until("every address is there for good", || {
        shell("ip -6 address show tentative")
            .is_empty()
            .then_some(())
    });
    let before = everything();
    for end in ENDS {
        let led = host.lead();
        assert_ne!(everything(), before, "it sees what attach makes");
        end.comes_to(&led);
        // The kernel takes a moment, attach its three failures, and systemd-resolved until it has noticed.
        let given_up = now() + Duration::from_secs(5);
        while everything() != before && now() < given_up {
            sleep(millis(100));
        }
        let left = everything();
        let differ: Vec<_> = before.symmetric_difference(&left).collect();
        assert!(differ.is_empty(), "{}: {differ:#?}", end.name());
    }
}

fn everything() -> BTreeSet<String> {
    shell(EVERYTHING).lines().map(str::to_owned).collect()
}
