//! The rounds: in each one every scenario, in each of those every server in turn, with the same queries.
//!
//! A server is started anew for each run and its cache filled, so no run inherits from another. The
//! order of servers shifts by one from round to round: none is always the first on a cold machine.

use crate::blast::{Blast, Pace};
use crate::clock::{now, time};
use crate::machine::Cores;
use crate::peer::Peer;
use crate::row::Row;
use crate::scenario::{Load, Rules, Scenario};
use crate::server::{Place, Server};
use crate::streams;
use crate::tally::Tally;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// What is to be measured, and how.
pub(crate) struct Plan {
    /// Who is measured.
    pub(crate) servers: Vec<Peer>,
    /// Who answers what they do not know.
    pub(crate) upstream: Peer,
    /// In which scenarios.
    pub(crate) scenarios: Vec<&'static Scenario>,
    /// How often.
    pub(crate) rounds: u32,
    /// How long each run.
    pub(crate) span: Duration,
    /// Only a hundredth of the names, to see that it works.
    pub(crate) few: bool,
    /// Who runs where.
    pub(crate) cores: Cores,
    /// The machine's name in rows.
    pub(crate) machine: String,
}

impl Plan {
    /// Runs it all and hands over the row of each run; one that cannot be done is told and gives none.
    pub(crate) fn run(
        &self,
        mut keep: impl FnMut(Option<Row>) -> io::Result<()>,
    ) -> io::Result<()> {
        let nobody = (Ipv4Addr::LOCALHOST, 9).into();
        let place = self.place(Rules::One, Ipv4Addr::LOCALHOST, nobody);
        let upstream = Server::start(
            &self.upstream,
            Place {
                core: self.cores.others,
                ..place
            },
        )?;
        let runs: Vec<_> = (1..=self.rounds)
            .flat_map(|round| self.round(round))
            .collect();
        let started = now();
        for ((round, scenario, server), number) in runs.iter().zip(1..) {
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

    fn place(&self, rules: Rules, listen: Ipv4Addr, upstream: SocketAddr) -> Place {
        Place {
            listen,
            upstream,
            rules,
            core: self.cores.server,
            ours: self.cores.others,
        }
    }

    fn measure(
        &self,
        round: u32,
        scenario: &Scenario,
        peer: &Peer,
        upstream: SocketAddr,
    ) -> io::Result<Row> {
        let server = Server::start(peer, self.place(scenario.rules, scenario.listen, upstream))?;
        let mut questions = scenario.questions(u64::from(round), self.few);
        Blast::new(server.address, scenario.expect)?.warm(&questions)?;
        let before = server.usage()?;
        let tally = match scenario.load {
            Load::Datagrams(pace) => {
                let blast = Blast::new(server.address, scenario.expect)?;
                blast.run(&mut questions, pace, self.span)?
            }
            Load::Streams(pipelines) => {
                streams::run(server.address, &mut questions, pipelines, self.span)?
            }
        };
        let after = server.usage()?;
        if tally.answers == 0 {
            return Err(io::Error::other("it answers nothing"));
        }
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
            start_ms: server.start.as_secs_f64() * 1e3,
            generator_bound: is_generator_bound(scenario, &tally, cpu),
        })
    }
}

/// A server that was the limit used up its core; at a fixed rate, the generator has to keep to it.
fn is_generator_bound(scenario: &Scenario, tally: &Tally, cpu: Duration) -> bool {
    let seconds = tally.span.as_secs_f64();
    match scenario.load {
        Load::Datagrams(Pace::Rate(rate)) => (tally.queries as f64) < 0.98 * rate * seconds,
        _ => cpu.as_secs_f64() < 0.95 * seconds,
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
