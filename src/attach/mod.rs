//! Leads a host's questions to a running daemon, and away from it the moment that it is not well.
//!
//! Two ways, and both are objects of the kernel's that go with the process that made them, however it ends:
//! a TUN link that carries routing domains of systemd-resolved (`link`, `resolved`), and an nftables table
//! that belongs to the netlink socket that made it (`table`, `redirect`). No file is written. A third way,
//! [`advice()`], changes nothing and says what to do.
//!
//! What to do is decided without IO: [`plan()`] from the configuration and from what the host is (`host`), `machine`
//! from how the daemon answered its canary ([`Canary`]). The loop that carries it out is [`watch()`]. What stands of it
//! others see by [`Standing`].

mod advice;
mod canary;
mod fault;
mod flows;
mod host;
mod link;
mod machine;
mod plan;
mod redirect;
mod resolved;
mod standing;
mod table;
mod watch;

pub use advice::advice;
pub use canary::{Canary, Identity, Wrong};
pub use fault::{Cause, Fault};
pub use host::{Host, Kubernetes, ResolvConf, System, Writer};
pub use plan::{Mode, Plan, Way, leads_to_us, plan};
pub use standing::Standing;
pub use watch::{Attachment, watch};
