//! Upstreams that are asked over TLS: what they must prove, and what becomes of their connections.
//!
//! `tests/README.md` has the table of faults. Everything is on loopback; servers of others run where they are installed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what cannot be had here ends the test"
)]

#[path = "../daemon/mod.rs"]
mod daemon;

mod authority;
mod connections;
mod each;
mod http;
mod moving;
mod peers;
mod proofs;
mod server;
mod streams;

use authority::{Authority, Signed};
use daemon::files::Folder;
use daemon::program::Program;
use libtest_mimic::{Arguments, Failed, Trial};
use server::Dot;
use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let own = proofs::TESTS
        .iter()
        .chain(connections::TESTS)
        .chain(http::TESTS);
    let own = own.map(|(name, run)| {
        Trial::test(*name, || {
            run();
            Ok(())
        })
    });
    let each = each::TESTS.iter().flat_map(|(name, run)| {
        streams::ALL.map(|over| {
            let name = format!("{name}_over_{}", over.scheme());
            Trial::test(name, move || {
                run(over);
                Ok(())
            })
        })
    });
    let peers = peers::TESTS.iter().map(|(name, program, run)| {
        let there = find(program);
        let lacks = there.is_none() && env::var_os("CI").is_none();
        let shown = match lacks {
            true => format!("{name} [ignored: no {program}]"),
            false => (*name).to_owned(),
        };
        let test = move || {
            run(&there.ok_or_else(|| Failed::from(format!("no {program}")))?);
            Ok(())
        };
        Trial::test(shown, test).with_ignored_flag(lacks)
    });
    libtest_mimic::run(&arguments, own.chain(each).chain(peers).collect()).exit_code()
}

/// Where a program is. Servers are not on everyone's `PATH`.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut files = env::split_paths(&path)
        .chain(servers)
        .map(|folder| folder.join(program));
    files.find(|file| file.is_file())
}

/// How a test writes an upstream: by its certificate's name and authority.
fn named(server: SocketAddr, authority: &Authority) -> String {
    by("tls", server, authority)
}

/// By another transport.
fn by(scheme: &str, server: SocketAddr, authority: &Authority) -> String {
    format!(
        "{scheme}://{server}?name={NAME}&ca={}",
        authority.file.display()
    )
}

/// unsix before these upstreams, ready or not, with its log and its admin page.
fn run(folder: &Folder, upstreams: &[String], rest: &str) -> Program {
    let file = folder.write("unsix.yaml", configuration(upstreams, rest));
    Program::start(&file, "exec \"$0\" \"$@\"")
}

fn configuration(upstreams: &[String], rest: &str) -> String {
    let listed = upstreams.join("\", \"");
    format!(
        "listen: [\"127.0.0.1:0\"]\nadmin: {{listen: \"127.0.0.2:0\"}}\nupstreams: [\"{listed}\"]\n{rest}\n"
    )
}

/// A server with a good certificate that answers everything, and who vouches for it.
fn good() -> (Authority, Signed, Dot) {
    let authority = Authority::new();
    let signed = authority.sign(NAME);
    let server = Dot::plain(&signed.config);
    (authority, signed, server)
}

/// What the servers of these tests are called.
const NAME: &str = "dns.test";
