//! A caching DNS forwarder that keeps the IPv6 addresses of configured hosts from its clients.
//!
//! "To unsix a host" is to make clients reach it over IPv4 by not telling them its IPv6 addresses: the
//! cure for hosts whose IPv6 connects and then hangs. All other names pass byte for byte.
//!
//! # The house
//!
//! ```text
//!     main -> cli -> daemon              the porch: arguments, wiring, signals
//!                      |
//!      ----------------+-----------------------------
//!      |               |                            |
//!    listen/        upstream/                    admin/
//!  hears clients,  carries bytes to            shows state
//!  drives fetches  other servers            (HTTP, metrics)
//!      |               |                            |
//!      ------------ pipeline/ -----------------------
//!        a query's whole way, in order, without IO
//!              |                   |
//!           policy/              cache/
//!      what we may answer    what we still know
//!              |                   |
//!      ------ message/ : bytes <-> meaning ------
//!      config/ : every option      metrics/ : every counter
//!      prober/ : watches hosts of rules with `when: broken`, by probe/ (one address)
//!                and verdict/ (what that makes of a host), and tells the pipeline
//!      sys/ : system calls that no safe wrapper has; all there is of unsafe code
//! ```
//!
//! [`probe`] stands by itself: it finds out whether the server at an address is alive, and knows no other room.
//!
//! [`attach`] stands beside the house, a process of its own: it leads a host's questions to a running daemon, and away from
//! it whenever that is not well. It knows the daemon by what it answers, and decides without IO as `pipeline` does.
//!
//! [`demo`] builds a small world around a daemon, on loopback, and tells what happens there.
//!
//! [`doctor`] stands beside the house too: it asks, probes and looks around, and says what is wrong with a host's IPv6 and
//! what helps. It needs no daemon.
//!
//! [`pipeline`] is the only place that knows the order. [`message`], [`policy`], [`cache`], [`verdict`] and `pipeline` are pure:
//! they open no socket, read no clock, draw no random number and start no task, so a scenario
//! holds the whole world in its hands; time ([`time`]) and randomness are arguments. [`listen`],
//! [`upstream`], [`prober`], [`probe`] and [`admin`] touch the world and decide nothing. [`daemon`] puts it all together and is what a
//! program that embeds unsix starts. `tests/walls.rs` holds these walls.
//!
//! # The way of a query
//!
//! 1. A UDP worker ([`listen::worker`]) hears a batch of datagrams, or a connection ([`listen::stream`], `listen::https`,
//!    `listen::quic`) a message.
//! 2. [`pipeline::Pipeline::answer_now`] replies from what is known: it peeks at the question, looks into the
//!    cache, lets the rules work on the way out, and writes the reply. It never waits.
//! 3. What nobody knows becomes a fetch ([`pipeline::Fetches`]), a state machine without IO: it says what to
//!    send and when to wake it. Equal questions share one, whichever thread they came in by.
//! 4. The cache keeps what upstream said, whole, under the question asked; rules work on the way out, so a
//!    reload or a verdict acts on the next reply and clients with different rules share the cache.
//!
//! Wire bytes are the currency: an answer is kept as it came with the places of its TTLs, and an untouched
//! reply is that, copied and patched.
//!
//! # Where we left the plan
//!
//! One kind of driver carries fetches, the UDP workers; the stream side hands them what it cannot answer
//! at once. A second driver on tokio would have been the same code again with other sockets, and sharing
//! a flight between two kinds of driver costs more than the hand-over. Only exchanges over streams, and the
//! connections to encrypted upstreams that are kept ([`upstream::secure`]), run on tokio, and come back to the
//! worker as events. Workers sleep in `poll` on their client sockets and one epoll descriptor, as measured best;
//! `poll` keeps time under a faked clock as epoll does.
//!
//! hickory carries no encrypted transport, neither to clients nor to upstreams: its clients refuse a whole answer for
//! one odd record, so nothing would pass byte for byte, and its listeners (0.26) take no bytes that are ready, no GET,
//! and no more than 100 queries over QUIC, where one unfinished handshake holds up all others. Messages are framed here
//! over the same libraries that it uses: tokio-rustls, hyper (HTTP/2), quinn (QUIC) and h3 (HTTP/3, to upstreams).
//!
//! # Words
//!
//! A *question* is what is asked (name, type, DO, CD): the cache's key. A *query* is bytes from a client, an
//! *answer* comes from an upstream, a *reply* is bytes to a client. An *upstream* is a server we ask; a *flight* is one
//! question on its way to upstreams, a *fetch* is what a driver carries. To *peek* is to read a query
//! without taking it apart, to *shape* is to take out of an answer what rules say. A *host* is a name in a
//! rule, a *witness* one that shows whether the rule acts, the *canary* the question by which a daemon shows that it is
//! well, a *span* a length of time; a *verdict* is what probes make of one IPv6 address of a host, a rule that goes
//! by it is *managed*; an answer is *fresh* until its TTL is over, then *stale*.

pub mod admin;
pub mod attach;
pub mod cache;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod doctor;
pub mod listen;
pub mod log;
pub mod message;
pub mod metrics;
pub mod pipeline;
pub mod policy;
pub mod probe;
pub mod prober;
mod sys;
pub mod time;
pub mod upstream;
pub mod verdict;
