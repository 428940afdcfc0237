//! A network and a mount namespace of its own for clients that know no port but 53 and no file but
//! `/etc/resolv.conf`.
//!
//! The test binary starts itself again inside, for the one test that needs it: so all helpers work there too.

use crate::Fallible;
use crate::needs::find;
use crate::process::{Folder, command, run};
use std::env;
use std::process::Command;
use std::sync::OnceLock;

/// Set for the copy inside.
const MARK: &str = "UNSIX_TEST_IS_INSIDE";

/// Where unsix listens inside.
pub(crate) const LISTEN: &str = "127.0.0.1:53";

/// glibc does not ask for a family that no address but loopback's belongs to, and systemd-resolved asks
/// nobody while there is no link but loopback: so there is one that leads nowhere.
const SET_UP: &str = r#"
set -e
ip link set lo up
ip link add uplink type veth peer name nowhere
ip link set uplink up
ip link set nowhere up
ip address add 198.51.100.9/24 dev uplink
ip -6 address add 2001:db8::9/64 dev uplink nodad
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
shift
exec "$@"
"#;

/// Whether this process is the copy inside.
pub(crate) fn is_inside() -> bool {
    env::var_os(MARK).is_some()
}

/// Whether this machine lets us.
pub(crate) fn is_allowed() -> bool {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    *ALLOWED.get_or_init(|| set_up(|unshare| unshare.arg("true")).is_ok())
}

/// Runs one test again, inside.
pub(crate) fn run_inside(test: &str) -> Fallible<()> {
    let binary = env::current_exe().map_err(|error| error.to_string())?;
    let said = set_up(|unshare| unshare.arg(binary).args(["--exact", test]).env(MARK, ""))?;
    match said.contains("1 passed") {
        true => Ok(()),
        false => Err(format!("the copy inside ran no test:\n{said}")),
    }
}

/// Runs a command inside, with what `add` adds for it.
fn set_up(add: impl FnOnce(&mut Command) -> &mut Command) -> Fallible<String> {
    let folder = Folder::new()?;
    folder.write("resolv.conf", "nameserver 127.0.0.1\n")?;
    folder.write("nsswitch.conf", "hosts: dns\n")?;
    let mut unshare = unshare()?;
    unshare.args(["sh", "-c", SET_UP, "sh"]).arg(folder.path());
    run(add(&mut unshare), 60)
}

/// Root makes namespaces as it is; anyone else by becoming root in a user namespace of their own.
fn unshare() -> Fallible<Command> {
    let mut unshare = command(&find("unshare").ok_or("no unshare")?);
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--mount", "--net", "--"]);
    Ok(unshare)
}
