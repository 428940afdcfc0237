//! One measured run, as a line of a results file. What is written is read back the same.

use std::fmt;
use std::str::FromStr;

/// One run of one server in one scenario.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// When it ended, UTC.
    pub(crate) time: String,
    /// The machine's short name.
    pub(crate) machine: String,
    /// From 1; ratios are made within a round.
    pub(crate) round: u32,
    /// The scenario's name.
    pub(crate) scenario: String,
    /// The server's name.
    pub(crate) server: String,
    /// Queries sent.
    pub(crate) queries: u64,
    /// Replies.
    pub(crate) answers: u64,
    /// Replies other than the scenario expects.
    pub(crate) wrong: u64,
    /// Queries given up.
    pub(crate) lost: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// CPU time that the server took meanwhile.
    pub(crate) cpu_seconds: f64,
    /// That in microseconds for each answer.
    pub(crate) us_per_answer: f64,
    /// Answers in a second.
    pub(crate) qps: f64,
    /// Median of the time to the reply, in microseconds.
    pub(crate) p50: u64,
    /// Its 99th percentile.
    pub(crate) p99: u64,
    /// Resident memory at the end, in KiB.
    pub(crate) rss_kb: u64,
    /// From start to first answer, in milliseconds.
    pub(crate) start_ms: f64,
    /// The server was not busy all the time: generator or upstream was the limit.
    pub(crate) generator_bound: bool,
    /// MiB of the cache that the names overflowed. The last column, which older files lack.
    pub(crate) cache_mib: Option<u32>,
}

/// The first line of a results file that is no comment; older files have fewer.
pub(crate) const COLUMNS: &str = "time\tmachine\tround\tscenario\tserver\tqueries\tanswers\twrong\tlost\tseconds\tcpu_seconds\tus_per_answer\tqps\tp50\tp99\trss_kb\tstart_ms\tgenerator_bound\tcache_mib";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            time,
            machine,
            round,
            scenario,
            server,
            ..
        } = self;
        write!(f, "{time}\t{machine}\t{round}\t{scenario}\t{server}\t")?;
        write!(
            f,
            "{}\t{}\t{}\t{}\t",
            self.queries, self.answers, self.wrong, self.lost
        )?;
        write!(f, "{:.3}\t{:.6}\t", self.seconds, self.cpu_seconds)?;
        write!(
            f,
            "{:.3}\t{:.0}\t{}\t{}\t",
            self.us_per_answer, self.qps, self.p50, self.p99
        )?;
        let bound = if self.generator_bound { "yes" } else { "no" };
        write!(f, "{}\t{:.1}\t{bound}\t", self.rss_kb, self.start_ms)?;
        match self.cache_mib {
            Some(cache) => write!(f, "{cache}"),
            None => f.write_str(NONE),
        }
    }
}

impl Row {
    /// Reads a line of a results file; None: it is no row.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let row = Self {
            time: next(&mut fields)?,
            machine: next(&mut fields)?,
            round: next(&mut fields)?,
            scenario: next(&mut fields)?,
            server: next(&mut fields)?,
            queries: next(&mut fields)?,
            answers: next(&mut fields)?,
            wrong: next(&mut fields)?,
            lost: next(&mut fields)?,
            seconds: next(&mut fields)?,
            cpu_seconds: next(&mut fields)?,
            us_per_answer: next(&mut fields)?,
            qps: next(&mut fields)?,
            p50: next(&mut fields)?,
            p99: next(&mut fields)?,
            rss_kb: next(&mut fields)?,
            start_ms: next(&mut fields)?,
            generator_bound: match fields.next()? {
                "yes" => true,
                "no" => false,
                _ => return None,
            },
            cache_mib: match fields.next() {
                None | Some(NONE) => None,
                Some(cache) => Some(cache.parse().ok()?),
            },
        };
        fields.next().is_none().then_some(row)
    }
}

/// Stands where a row has no value.
const NONE: &str = "-";

fn next<'a, T: FromStr>(fields: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    fields.next()?.parse().ok()
}
