//! Two thousand handshakes that nobody goes on with.

use super::client::{Client, begin, endpoint};
use super::packets::{first_packets, is_retry, short_hello};
use crate::daemon::authority::Authority;
use crate::daemon::files::Folder;
use crate::daemon::program::Program;
use crate::daemon::upstream::Upstream;
use crate::daemon::{http, millis, now, until, wire};
use crate::{NAME, RULES, allow_descriptors, alone, config, question, write_pair};
use rustls::ClientConfig;
use rustls::version::TLS13;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The program, so that its memory can be told from ours.
struct Victim {
    program: Program,
    server: SocketAddr,
    tls: Arc<ClientConfig>,
    _upstream: Upstream,
    _folder: Folder,
}

impl Victim {
    fn new() -> Self {
        allow_descriptors();
        let (upstream, authority, folder) = (Upstream::plain(), Authority::new(), Folder::new());
        write_pair(&folder, authority.issue(&[NAME]));
        let program = Program::serve(&folder.write("unsix.yaml", config(&upstream, RULES)));
        let line = program.says("address=quic://");
        let server = line.split("quic://").nth(1).unwrap().trim_end();
        Self {
            server: server.parse().unwrap(),
            program,
            tls: Arc::new(authority.trusted_by(&[&TLS13])),
            _upstream: upstream,
            _folder: folder,
        }
    }

    fn metric(&self, name: &str) -> f64 {
        let page = http::get(self.program.admin(), "/metrics").1;
        http::samples(&page).unwrap()[name]
    }

    /// Others that come anew or stay are served while the flood goes on, and memory stays what it is.
    fn stands<T: Send>(&self, flood: impl FnOnce() -> T + Send) -> T {
        let kept = Client::to(self.server, &self.tls).unwrap();
        kept.ask(question(0));
        let before = self.program.peak_memory();
        let (mut asked, mut slow, mut slowest) = (0, 0, Duration::ZERO);
        let flooded = thread::scope(|scope| {
            let flood = scope.spawn(flood);
            while !flood.is_finished() || asked < 50 {
                let start = now();
                let fresh = Client::to(self.server, &self.tls).unwrap();
                assert_eq!(wire::addresses(&fresh.ask(question(0))).len(), 1);
                assert_eq!(wire::addresses(&kept.ask(question(0))).len(), 1);
                slowest = slowest.max(start.elapsed());
                slow += usize::from(start.elapsed() > Duration::from_secs(1));
                asked += 1;
            }
            flood.join().unwrap()
        });
        let grown = self.program.peak_memory().saturating_sub(before) / 1024;
        println!(
            "{asked} clients beside it, {slow} over 1 s, the slowest {slowest:?}; {grown} KiB more"
        );
        // A packet that is lost in the flood its client sends again after 1 s, then 2 s more: that may meet a few.
        assert!(slow * 20 <= asked, "{slow} of {asked}");
        assert!(slowest < Duration::from_secs(10), "{slowest:?}");
        assert!(grown < 96 * 1024, "{grown} KiB");
        flooded
    }
}

#[test]
fn two_thousand_first_packets_stall_nobody() {
    let _turn = alone();
    let victim = Victim::new();
    let packets = first_packets(&victim.tls, 2000);
    let sockets = victim.stands(|| {
        let send = |(number, packet): (usize, &Vec<u8>)| {
            // 32 of each address: no cap for one client helps.
            let [high, low] = u16::try_from(number / 32).unwrap().to_be_bytes();
            let socket = UdpSocket::bind((format!("127.9.{high}.{}", low + 1), 0)).unwrap();
            socket.send_to(packet, victim.server).unwrap();
            // As many as the kernel holds for a busy server.
            thread::sleep(Duration::from_micros(500));
            socket
        };
        packets.iter().enumerate().map(send).collect::<Vec<_>>()
    });
    let mut packet = [0; 1500];
    let retries = sockets.iter().filter(|socket| {
        socket.set_read_timeout(Some(millis(5))).unwrap();
        socket.recv(&mut packet).is_ok() && is_retry(&packet)
    });
    let retries = retries.count();
    println!("{retries} were asked to prove their address");
    // The rest were lost on their way.
    assert!(retries > 1000, "{retries}");
    assert!(victim.metric("unsix_stream_connections") < 50.0);
}

#[test]
fn two_thousand_half_open_handshakes_stall_nobody() {
    let _turn = alone();
    let victim = Victim::new();
    let config = short_hello(&victim.tls);
    let _open = victim.stands(|| {
        let each = (0..63_u8).map(|number| {
            // Each proves its address, and hears nothing of all the rest.
            let at = endpoint(&format!("127.8.0.{}", number + 1), Some(Arc::new(is_retry)));
            let open: Vec<_> = (0..32)
                .map(|_| begin(&at, victim.server, config.clone()))
                .collect();
            thread::sleep(millis(50));
            (at, open)
        });
        each.collect::<Vec<_>>()
    });
    let connections = victim.metric("unsix_stream_connections");
    println!("{connections} have a place");
    assert!(connections < 300.0);
    until("their handshakes end, while they still hold on", || {
        let dropped = victim.metric("unsix_tls_handshakes_total{result=\"dropped\"}");
        (dropped >= 1900.0).then_some(())
    });
}
