//! Rows made into figures: medians over rounds, their spread, and ratios, which are made within a round first.

use crate::row::Row;
use std::collections::BTreeSet;
use std::fmt::{self, Write};

/// What is told of the rows of one scenario and server.
pub(crate) struct Summary<'a>(pub(crate) &'a [Row]);

/// The servers that others are held against.
const REFERENCES: &[&str] = &["floor", "unbound", "dnsdist"];

/// The middle of several rounds, and how far they lie apart.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    /// The median.
    pub(crate) median: f64,
    /// The least.
    pub(crate) least: f64,
    /// The most.
    pub(crate) most: f64,
}

impl Figure {
    /// None without values.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        let median = (lower + upper) / 2.0;
        Some(Self {
            median,
            least,
            most,
        })
    }
}

impl<'a> Summary<'a> {
    /// The scenarios, in the order of the rows.
    pub(crate) fn scenarios(&self) -> Vec<&'a str> {
        let mut seen = BTreeSet::new();
        let names = self.0.iter().map(|row| row.scenario.as_str());
        names.filter(|name| seen.insert(*name)).collect()
    }

    /// The servers of a scenario, those that take least CPU first.
    pub(crate) fn servers(&self, scenario: &str) -> Vec<&'a str> {
        let mut servers: Vec<_> = self
            .of_scenario(scenario)
            .map(|row| row.server.as_str())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let cost = |server: &str| {
            let figure = self.figure(scenario, server, |row| row.us_per_answer);
            figure.map_or(f64::MAX, |figure| figure.median)
        };
        servers.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        servers
    }

    /// A value of the rows of one server.
    pub(crate) fn figure(
        &self,
        scenario: &str,
        server: &str,
        value: impl Fn(&Row) -> f64,
    ) -> Option<Figure> {
        Figure::of(self.rows(scenario, server).map(value))
    }

    fn of_scenario(&self, scenario: &str) -> impl Iterator<Item = &'a Row> {
        let rows = self.0.iter();
        rows.filter(move |row| row.scenario == scenario)
    }

    fn rows(&self, scenario: &str, server: &str) -> impl Iterator<Item = &'a Row> {
        let rows = self.of_scenario(scenario);
        rows.filter(move |row| row.server == server)
    }

    /// CPU per answer, as a multiple of another server's, or of the same one's in another scenario, in the same round.
    fn ratio(&self, of: (&str, &str), to: (&str, &str)) -> Option<f64> {
        let ratios = self.rows(of.0, of.1).filter_map(|row| {
            let same_round = |other: &&Row| other.round == row.round;
            let other = self.rows(to.0, to.1).find(same_round)?;
            Some(row.us_per_answer / other.us_per_answer)
        });
        Figure::of(ratios).map(|figure| figure.median)
    }

    fn line(&self, scenario: &str, server: &str) -> Option<String> {
        let cpu = self.figure(scenario, server, |row| row.us_per_answer)?;
        let median = |value: &dyn Fn(&Row) -> f64| {
            let figure = self.figure(scenario, server, value);
            figure.map_or(f64::NAN, |figure| figure.median)
        };
        let references = REFERENCES
            .iter()
            .map(|reference| self.ratio((scenario, server), (scenario, reference)));
        let own_hits = self.ratio((scenario, server), ("hits", server));
        let ratios = references.chain([own_hits]).map(|ratio| match ratio {
            Some(ratio) => format!("{ratio:.2}"),
            None => "-".to_owned(),
        });
        let ratios: Vec<_> = ratios.collect();
        Some(format!(
            "| {server} | {:.2} | {:.2} to {:.2} | {} | {:.0} | {:.0} | {:.0} | {:.1} | {:.0} | {} |",
            cpu.median,
            cpu.least,
            cpu.most,
            ratios.join(" | "),
            median(&|row| row.qps),
            median(&|row| row.p50 as f64),
            median(&|row| row.p99 as f64),
            median(&|row| row.rss_kb as f64 / 1024.0),
            median(&|row| row.start_ms),
            self.notes(scenario, server).join(", "),
        ))
    }

    /// What makes a figure worth less.
    fn notes(&self, scenario: &str, server: &str) -> Vec<String> {
        let rows: Vec<_> = self.rows(scenario, server).collect();
        let sum = |value: fn(&Row) -> u64| rows.iter().map(|row| value(row)).sum::<u64>();
        let percent = |part: u64, all: u64| 100.0 * part as f64 / all.max(1) as f64;
        let bound = rows.iter().filter(|row| row.generator_bound).count();
        let wrong = percent(sum(|row| row.wrong), sum(|row| row.answers));
        let lost = percent(sum(|row| row.lost), sum(|row| row.queries));
        let mut notes = Vec::new();
        if bound > 0 {
            notes.push(format!("generator bound in {bound} of {}", rows.len()));
        }
        let of_cache = |row: &Row| Some(row.rss_kb as f64 / 1024.0 / f64::from(row.cache_mib?));
        if let Some(figure) = Figure::of(rows.iter().copied().filter_map(of_cache)) {
            notes.push(format!("RSS {:.2} x cache size", figure.median));
        }
        if wrong > 0.0 {
            notes.push(format!("{wrong:.2} % wrong"));
        }
        if lost > 0.0 {
            notes.push(format!("{lost:.2} % lost"));
        }
        notes
    }
}

/// As tables, one for each scenario.
impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = "| server | us/answer | spread |".to_owned();
        for reference in REFERENCES {
            write!(head, " x {reference} |")?;
        }
        head.push_str(" x own hits | q/s | p50 us | p99 us | RSS MiB | start ms | notes |");
        let rule = "|---".repeat(head.matches('|').count() - 1);
        for scenario in self.scenarios() {
            writeln!(f, "\n## {scenario}\n\n{head}\n{rule}|")?;
            for server in self.servers(scenario) {
                if let Some(line) = self.line(scenario, server) {
                    writeln!(f, "{line}")?;
                }
            }
        }
        Ok(())
    }
}
