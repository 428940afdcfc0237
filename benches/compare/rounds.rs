//! The rounds: in each one every scenario, in each of those every server in turn, with the same queries.
//!
//! A server is started anew for each run and its cache filled, so no run inherits from another. The
//! order of servers shifts by one from round to round: none is always the first on a cold machine.

use crate::blast::{Blast, Pace};
use crate::clock::{now, time};
use crate::machine::Usage;
use crate::peer::Peer;
use crate::plan::Plan;
use crate::questions::Questions;
use crate::row::Row;
use crate::scenario::{Load, Rules, Scenario, Upstream};
use crate::server::{Place, Server};
use crate::streams;
use crate::tally::Tally;
use crate::wire::Carrier;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

impl Plan {
    /// Runs it all and hands over the row of each run; one that cannot be done is told and gives none.
    pub(crate) fn run(
        &self,
        mut keep: impl FnMut(Option<Row>) -> io::Result<()>,
    ) -> io::Result<()> {
        let near = self.start_upstream(Ipv4Addr::LOCALHOST)?;
        let far = self.interface.map(|address| self.start_upstream(address));
        let far = far.transpose()?;
        let runs: Vec<_> = (1..=self.rounds)
            .flat_map(|round| self.round(round))
            .collect();
        let started = now();
        for ((round, scenario, server), number) in runs.iter().zip(1..) {
            let upstream = match (scenario.upstream, &far) {
                (Upstream::Interface, Some(far)) => far,
                _ => &near,
            };
            let result = self.measure(*round, scenario, server, upstream.address);
            let told = match &result {
                Ok(row) => format!(
                    "{:.2} us/answer, {:.0} q/s, p99 {} us",
                    row.us_per_answer, row.qps, row.p99
                ),
                Err(error) => format!("no result: {error}"),
            };
            let left = estimate(started, number, runs.len());
            println!(
                "[{number}/{}] round {round}, {}, {}: {told} ({left})",
                runs.len(),
                scenario.name,
                server.name
            );
            keep(result.ok())?;
        }
        Ok(())
    }

    /// Who does what in a round.
    fn round(&self, round: u32) -> impl Iterator<Item = (u32, &'static Scenario, &Peer)> {
        self.scenarios.iter().flat_map(move |scenario| {
            let turned = self.servers.iter().cycle().skip(round as usize - 1);
            let servers = turned.take(self.servers.len());
            let taking_part = servers.filter(|server| scenario.is_for(server));
            taking_part.map(move |server| (round, *scenario, server))
        })
    }

    fn start_upstream(&self, listen: Ipv4Addr) -> io::Result<Server> {
        let place = Place {
            listen,
            // It asks nobody: this is the port of `discard`.
            upstream: (Ipv4Addr::LOCALHOST, 9).into(),
            scenario: "",
            rules: Rules::One,
            threads: 1,
            cache_mib: AMPLE,
            cores: &[self.cores.others],
            ours: self.cores.others,
        };
        Server::start(&self.upstream, place)
    }

    fn measure(
        &self,
        round: u32,
        scenario: &Scenario,
        peer: &Peer,
        upstream: SocketAddr,
    ) -> io::Result<Row> {
        let place = Place {
            listen: scenario.listen,
            upstream,
            scenario: scenario.name,
            rules: scenario.rules,
            threads: scenario.threads,
            cache_mib: scenario.overflows.unwrap_or(AMPLE),
            cores: self.cores.of_threads(scenario.threads),
            ours: self.cores.others,
        };
        let mut server = Server::start(peer, place)?;
        let mut questions = scenario.questions(u64::from(round), self.few);
        let asked = self.ask(scenario, &server, &mut questions);
        let (before, tally) = asked.map_err(|error| server.blame(error))?;
        let after = server.usage()?;
        let cpu = after.cpu.saturating_sub(before.cpu);
        Ok(Row {
            time: time(),
            machine: self.machine.clone(),
            round,
            scenario: scenario.name.to_owned(),
            server: peer.name.clone(),
            queries: tally.queries,
            answers: tally.answers,
            wrong: tally.wrong,
            lost: tally.lost,
            seconds: tally.span.as_secs_f64(),
            cpu_seconds: cpu.as_secs_f64(),
            us_per_answer: cpu.as_secs_f64() * 1e6 / tally.answers as f64,
            qps: tally.answers as f64 / tally.span.as_secs_f64(),
            p50: tally.quantile(0.5),
            p99: tally.quantile(0.99),
            rss_kb: after.rss_kb,
            cache_mib: scenario.overflows,
            start_ms: server.start.as_secs_f64() * 1e3,
            generator_bound: is_generator_bound(scenario, &tally, cpu, place.cores.len()),
        })
    }

    /// Fills the server's cache, then asks it; gives what it had used before, and what came back.
    fn ask(
        &self,
        scenario: &Scenario,
        server: &Server,
        questions: &mut Questions,
    ) -> io::Result<(Usage, Tally)> {
        let blast = || Blast::new(server.address, scenario.expect);
        blast()?.warm(questions)?;
        let before = server.usage()?;
        let tally = match scenario.load {
            Load::Datagrams(pace) => blast()?.run(questions, pace, self.span),
            Load::Counted { queries, window } => {
                let queries = if self.few { queries / 100 } else { queries };
                blast()?.run_counted(questions, queries, window)
            }
            Load::Streams(pipelines) => {
                let address = match pipelines.carrier {
                    Carrier::Tcp => server.address,
                    Carrier::Tls | Carrier::Https => server.encrypted,
                };
                streams::run(address, questions, pipelines, self.span)
            }
        }?;
        if tally.answers == tally.wrong {
            let all = tally.answers;
            return Err(io::Error::other(format!("{all} replies, none as expected")));
        }
        Ok((before, tally))
    }
}

/// MiB of a cache that has room for all names of a scenario.
const AMPLE: u32 = 512;

/// A server that was the limit used up its cores; at a fixed rate, the generator has to keep to it.
fn is_generator_bound(scenario: &Scenario, tally: &Tally, cpu: Duration, cores: usize) -> bool {
    let seconds = tally.span.as_secs_f64();
    match scenario.load {
        Load::Datagrams(Pace::Rate(rate)) => (tally.queries as f64) < 0.98 * rate * seconds,
        _ => cpu.as_secs_f64() < 0.95 * seconds * cores as f64,
    }
}

fn estimate(started: Instant, done: usize, all: usize) -> String {
    let left = started.elapsed().as_secs_f64() / done as f64 * all.saturating_sub(done) as f64;
    match left as u64 {
        0 => "done".to_owned(),
        seconds if seconds < 90 => format!("about {seconds} s left"),
        seconds => format!("about {} min left", seconds / 60),
    }
}
