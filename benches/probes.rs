//! What it costs to watch a thousand hosts: CPU time of a daemon whose rule holds while they are broken.
//!
//! Everything is on loopback, so the kernel charges the daemon with half of what the server's side of each connection takes as
//! well. `cargo bench --bench probes`, about two minutes; `cargo test --bench probes` is its short form.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up ends")]

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

const HOSTS: usize = 1_000;

/// A daemon that ends with this program.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    let (warm_up, measured) = match env::args().any(|word| word == "--bench") {
        true => (Duration::from_secs(90), Duration::from_secs(60)),
        false => (Duration::from_secs(1), Duration::from_secs(1)),
    };
    let port = servers();
    let file = env::temp_dir().join(format!("unsix-probes-{}.yaml", std::process::id()));
    fs::write(&file, config(names(), port)).unwrap();
    let daemon = Command::new(env!("CARGO_BIN_EXE_unsix"))
        .arg("run")
        .arg("--config")
        .arg(&file)
        .stderr(Stdio::null())
        .spawn();
    let daemon = Daemon(daemon.unwrap());
    thread::sleep(warm_up);
    let before = ticks(&daemon);
    thread::sleep(measured);
    let spent = ticks(&daemon) - before;
    fs::remove_file(&file).unwrap();
    // Linux counts in hundredths of a second whatever its own clock is (proc(5), USER_HZ).
    let share = spent as f64 / measured.as_secs_f64();
    println!("{HOSTS} hosts, each probed once in 15 s: {share:.2} % of a core");
}

/// User and system time of the daemon.
fn ticks(daemon: &Daemon) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.0.id())).unwrap();
    // Behind the program's name, which may hold anything, utime and stime are the 12th and 13th field.
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
    fields
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum()
}

fn config(upstream: SocketAddr, port: u16) -> String {
    let hosts: Vec<String> = (0..HOSTS)
        .map(|number| format!("h{number}.example"))
        .collect();
    format!(
        "listen: [\"127.0.0.1:0\"]\nadmin: off\nupstreams: [\"{upstream}\"]\n\
         rules: [{{hosts: [{}], when: broken, port: {port}}}]\n\
         probe: {{controls: [], allow: [127.0.0.0/8, \"::1/128\"]}}\n",
        hosts.join(", ")
    )
}

/// A name server that knows every name: 127.0.0.1 and ::1, for five minutes.
fn names() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut packet) {
            if let Some(reply) = packet.get(..length).and_then(answer) {
                // Who waits no more refuses it; that is its own affair.
                let _ = socket.send_to(&reply, peer);
            }
        }
    });
    address
}

/// One record for A and AAAA, none for anything else (RFC 1035 §4.1).
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let mut end = 12;
    while *query.get(end)? != 0 {
        end += usize::from(*query.get(end)?) + 1;
    }
    let question = query.get(12..end + 5)?;
    let kind = query.get(end + 1..end + 3)?;
    let rdata = match kind {
        [0, 1] => Ipv4Addr::LOCALHOST.octets().to_vec(),
        [0, 28] => Ipv6Addr::LOCALHOST.octets().to_vec(),
        _ => Vec::new(),
    };
    let count = u8::from(!rdata.is_empty());
    let header = [0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0];
    let mut reply = [query.get(..2)?, &header, question].concat();
    if count > 0 {
        let length = u8::try_from(rdata.len()).ok()?;
        reply.extend([&[0xc0, 12], kind, &[0, 1, 0, 0, 1, 44, 0, length], &rdata].concat());
    }
    Some(reply)
}

/// Servers on one port of both families that answer a ClientHello with an alert (RFC 8446 §6).
fn servers() -> u16 {
    let ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let port = ipv6.local_addr().unwrap().port();
    let ipv4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    for listener in [ipv4, ipv6] {
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                // How the client leaves is its own affair.
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]);
            }
        });
    }
    port
}
