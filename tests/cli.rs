//! The program's commands from outside: what they say, where they say it, and how they end.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "functions beside the tests are not exempt"
)]

mod daemon;

use daemon::files::Folder;
use daemon::program::{Ended, Program, run};
use daemon::upstream::{Upstream, at_once};
use daemon::wire;
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;

fn check(file: &Path) -> Ended {
    run(&["check", file.to_str().unwrap()])
}

/// Runs with this configuration; it must end by itself, having said one line.
#[track_caller]
fn refused(config: &str) -> (i32, String) {
    let folder = Folder::new();
    let file = folder.write("unsix.yaml", config);
    let ended = run(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(ended.out, "", "standard output is not for faults");
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    (ended.code, ended.err)
}

#[test]
fn a_good_file_is_called_good() {
    let folder = Folder::new();
    let file = folder.write(
        "unsix.yaml",
        "rules: [{hosts: [a.example]}, {preset: docker-hub}]\n",
    );
    let ended = check(&file);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert_eq!(
        ended.out,
        format!("{}: good: 2 rules, 0 routes\n", file.display())
    );
}

#[test]
fn ten_mistakes_have_ten_lines_with_their_place() {
    let folder = Folder::new();
    let file = folder.write(
        "unsix.yaml",
        r#"lsiten: ["127.0.0.1:53"]
upstreams: [doq://9.9.9.9]
rules:
  - preset: docker-hub
    negative_ttl: 60
  - hosts: cdn.example.com
    mode: enforced
cache: {size: 64MB, min_ttl: 2h}
access: {allow: [10.0.0.7/8]}
deadline: 1m
threads: many
"#,
    );
    let ended = check(&file);
    assert_eq!((ended.code, ended.out.as_str()), (78, ""));
    let places = [
        "1:1: lsiten",
        "2:13: upstreams[0]",
        "5:19: rules[0].negative_ttl",
        "6:12: rules[1].hosts",
        "7:11: rules[1].mode",
        "8:15: cache.size",
        "8:30: cache.min_ttl",
        "9:18: access.allow[0]",
        "10:11: deadline",
        "11:10: threads",
    ];
    let lines: Vec<&str> = ended.err.lines().collect();
    assert_eq!(lines.len(), places.len(), "{}", ended.err);
    for (line, place) in lines.iter().zip(places) {
        let start = format!("{}:{place}: ", file.display());
        assert!(
            line.starts_with(&start),
            "{line:?} does not start with {start:?}"
        );
    }
}

#[test]
fn whatever_the_file_is_one_line_says_what_is_wrong_with_it() {
    let folder = Folder::new();
    fs::create_dir(folder.path("folder")).unwrap();
    folder.link("circle", "circle");
    folder.write("empty", "");
    folder.write("binary", [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0xb7]);
    folder.write("latin-1", b"threads: 1\n# caf\xe9\n");
    folder.write("zeros", [0; 64]);
    #[rustfmt::skip]
    let cases = [
        ("missing", ": cannot be read: No such file"),
        ("folder",  ": cannot be read: Is a directory"),
        ("circle",  ": cannot be read: Too many levels of symbolic links"),
        ("empty",   ":1:1: the file is empty"),
        ("binary",  ":1:1: this line is not UTF-8 text"),
        ("latin-1", ":2:1: this line is not UTF-8 text"),
        ("zeros",   ":1:1: "),
    ];
    for (name, words) in cases {
        let file = folder.path(name);
        for ended in [
            check(&file),
            run(&["run", "--config", file.to_str().unwrap()]),
            run(&["explain", "a.example", "--config", file.to_str().unwrap()]),
        ] {
            assert_eq!(
                (ended.code, ended.out.as_str()),
                (78, ""),
                "{name}: {ended:?}"
            );
            assert_eq!(ended.err.lines().count(), 1, "{name}: {ended:?}");
            let start = format!("{}{words}", file.display());
            assert!(ended.err.starts_with(&start), "{name}: {ended:?}");
        }
    }
}

#[test]
fn a_file_that_may_not_be_read_is_told() {
    let folder = Folder::new();
    let file = folder.write("unsix.yaml", "{}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    // root may read every file: what a thread gives up here, the program that it starts never has.
    let ended = thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            for right in [CapabilitySet::DAC_OVERRIDE, CapabilitySet::DAC_READ_SEARCH] {
                remove_capability_from_bounding_set(right).unwrap();
            }
        }
        check(&file)
    });
    let ended = ended.join().unwrap();
    assert_eq!(ended.code, 78);
    assert!(
        ended.err.contains("cannot be read: Permission denied"),
        "{}",
        ended.err
    );
}

#[test]
fn a_byte_order_mark_and_dos_line_ends_do_no_harm() {
    let folder = Folder::new();
    let file = folder.write("unsix.yaml", "\u{feff}threads: 1\r\ndeadline: 2s\r\n");
    assert_eq!(check(&file).code, 0, "{:?}", check(&file));
}

#[test]
fn a_wrong_command_line_ends_with_64() {
    #[rustfmt::skip]
    let cases = [
        (&["--cofnig", "a.yaml"][..],         "a similar argument exists: '--config'"),
        (&["chek", "a.yaml"],                 "'check'"),
        (&["check"],                          "<FILE>"),
        (&["check", "a.yaml", "b.yaml"],      "unexpected argument 'b.yaml'"),
        (&["run", "--config"],                "a value is required"),
        (&["explain"],                        "<NAME>"),
        (&["explain", "a..b"],                "`a..b` is no name"),
        (&["explain", "a.example", "AAAAA"],  "no such record type"),
        (&["explain", "a.example", "A", "--client", "here"], "invalid IP address"),
        (&["doctor", "192.0.2.1"],            "no DNS leads to an address: write a name"),
        (&["doctor", "[2001:db8::1]:443"],    "no DNS leads to an address: write a name"),
        (&["doctor", "a.example:70000"],      "`70000` is no port: write 1 to 65535"),
        (&["doctor", "a.example:0"],          "`0` is no port: write 1 to 65535"),
        (&["doctor", "https://a.example/v2"], "write the host alone"),
        (&["doctor", "a..example"],           "`a..example` is no name"),
        (&["doctor", "--control", "::1"],     "no DNS leads to an address: write a name"),
    ];
    for (arguments, words) in cases {
        let ended = run(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (64, ""), "{arguments:?}");
        assert!(ended.err.contains(words), "{arguments:?}: {}", ended.err);
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    for (arguments, words) in [
        (&["--help"][..], "Usage: unsix"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["run", "--help"], "Example: unsix run"),
        (&["check", "--help"], "Example: unsix check"),
        (&["explain", "--help"], "Example: unsix explain"),
        (&["schema", "--help"], "Example: unsix schema"),
    ] {
        let ended = run(arguments);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{arguments:?}");
        assert!(ended.out.contains(words), "{arguments:?}: {}", ended.out);
    }
}

#[test]
fn a_busy_port_ends_it_with_69_and_names_the_port() {
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let streams = TcpListener::bind("127.0.0.1:0").unwrap();
    let (udp, tcp) = (
        datagrams.local_addr().unwrap().port(),
        streams.local_addr().unwrap().port(),
    );
    #[rustfmt::skip]
    let cases = [
        (format!("listen: [\"127.0.0.1:{udp}\"]\nadmin: off"), format!("another process has UDP port {udp}")),
        (format!("listen: [\"127.0.0.1:{tcp}\"]\nadmin: off"), format!("another process has TCP port {tcp}")),
        (format!("listen: [\"127.0.0.1:0\"]\nadmin: {{listen: \"127.0.0.1:{tcp}\"}}"), format!("127.0.0.1:{tcp} for the admin page")),
    ];
    for (config, words) in cases {
        let (code, said) = refused(&format!("upstreams: [192.0.2.53]\n{config}\n"));
        assert_eq!(code, 69, "{said}");
        assert!(said.contains(&words), "{said}");
    }
}

#[test]
fn a_second_one_on_the_same_port_does_not_share_it() {
    let folder = Folder::new();
    let config =
        |port| format!("listen: [\"127.0.0.1:{port}\"]\nupstreams: [192.0.2.53]\nadmin: off\n");
    let mut first = Program::serve(&folder.write("unsix.yaml", config(0)));
    let port = first.address().port();
    let (code, said) = refused(&config(port));
    assert_eq!(code, 69);
    assert!(said.contains(&format!("UDP port {port}")), "{said}");
    assert!(first.lives());
}

#[test]
fn addresses_that_cannot_be_are_told() {
    #[rustfmt::skip]
    let cases = [
        ("listen: [\"192.0.2.77:5353\"]\nupstreams: [192.0.2.53]\nadmin: off\n", 69, "no interface of this host has that address"),
        ("listen: [\"127.0.0.1:5353\"]\nupstreams: [\"127.0.0.1:5353\"]\nadmin: off\n", 78, ":2:13: upstreams[0]: 127.0.0.1:5353 is our own listen address"),
    ];
    for (config, code, words) in cases {
        let (got, said) = refused(config);
        assert_eq!(got, code, "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn the_schema_is_the_committed_one() {
    let ended = run(&["schema"]);
    let committed = include_str!("../config/unsix.schema.json");
    assert_eq!((ended.code, ended.out.as_str()), (0, committed));
}

/// `hub.example` has an alias and both families; `six.example` has IPv6 only.
fn world() -> Upstream {
    Upstream::new(|asked| {
        let alias = |address: Vec<u8>| {
            let target = b"\x04edge\x07example\0";
            let mut owned = target.to_vec();
            owned.extend(&address[2..]);
            wire::answer(&asked.packet, &[wire::record(5, 300, target), owned])
        };
        let one = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        at_once(match (asked.name.as_str(), asked.kind) {
            ("hub.example.", wire::A) => alias(wire::record(wire::A, 300, &[192, 0, 2, 7])),
            ("hub.example.", wire::AAAA) => alias(wire::record(wire::AAAA, 300, &one)),
            ("six.example.", wire::AAAA) => wire::ipv6(&asked.packet, one.into()),
            _ => wire::no_data(&asked.packet),
        })
    })
}

#[test]
fn explain_tells_each_step_of_a_reply() {
    let upstream = world();
    let folder = Folder::new();
    let rules = "rules: [{name: hubs, hosts: [.hub.example, six.example]}]";
    let text = format!("upstreams: [\"{}\"]\n{rules}\n", upstream.address);
    let file = folder.write("unsix.yaml", text);
    let explain = |arguments: &[&str]| {
        let config = ["--config", file.to_str().unwrap()];
        let ended = run(&[&["explain"], arguments, &config].concat());
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{arguments:?}");
        ended.out
    };
    #[rustfmt::skip]
    let cases = [
        (&["hub.example"][..], &[
            "question   hub.example. AAAA from 127.0.0.1\n",
            "rule       hubs: `.hub.example` names it\n",
            "A check    A has data: 2 records (192.0.2.7), 300 s left\n",
            "answer     AAAA has data: 2 records (2001:db8::1), 300 s left\n",
            "chain      hub.example. -> edge.example.\n",
            "decision   rule hubs keeps ",
            "reply      No Error, 1 record in ANSWER\n",
            "SOA filtered.unsix.invalid.",
        ][..]),
        (&["six.example"], &["A check    A has no data", "IN AAAA 2001:db8::1\n"]),
        (&["other.example", "TXT", "--client", "10.0.0.7"], &["TXT from 10.0.0.7\n", "rule       none touches this name\n"]),
        (&["hub.example", "--client", "198.51.100.1"], &["access     refused: ", "reply      Query Refused"]),
        (&["localhost"], &["special    localhost. is answered here"]),
    ];
    for (arguments, expected) in cases {
        let told = explain(arguments);
        for words in expected {
            assert!(
                told.contains(words),
                "{arguments:?}: no {words:?} in\n{told}"
            );
        }
    }
}

#[test]
fn explain_with_a_dead_upstream_says_so() {
    let dead = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let silent = Upstream::silent();
    let folder = Folder::new();
    for address in [dead, silent.address] {
        let file = folder.write(
            "unsix.yaml",
            format!("upstreams: [\"{address}\"]\ndeadline: 1s\n"),
        );
        let file = file.to_str().unwrap();
        let ended = run(&["explain", "registry-1.docker.io", "--config", file]);
        let nobody = format!("no upstream answered: {address}\n");
        assert_eq!((ended.code, ended.err), (69, nobody));
        for words in ["(down)", "A failed: SERVFAIL", "Server Failure"] {
            assert!(ended.out.contains(words), "no {words:?} in\n{}", ended.out);
        }
    }
}

#[test]
fn a_reader_that_leaves_is_no_fault_and_a_full_disk_is_one() {
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let unsix = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unsix"));
        command.args(arguments);
        command
    };
    for arguments in [&["schema"][..], &["explain", "localhost"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = unsix(arguments).stdout(writer).output().unwrap();
        let code = output.status.code();
        assert_eq!((code, output.stderr.len()), (Some(0), 0), "{arguments:?}");
        let output = unsix(arguments).stdout(full()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(74), "{arguments:?}");
        assert!(
            said.starts_with("standard output cannot be written"),
            "{said}"
        );
    }
    let status = unsix(&["check", "nowhere.yaml"]).stderr(full()).status();
    assert_eq!(
        status.unwrap().code(),
        Some(78),
        "the code tells it where words cannot"
    );
}
