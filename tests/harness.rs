//! The arithmetic of the comparison (`benches/compare`): what it makes of rows, and that kept results can be read.
//!
//! That it measures at all is seen by its short form, `cargo test --bench compare`.

#[path = "../benches/compare/plot.rs"]
mod plot;
#[path = "../benches/compare/row.rs"]
mod row;
#[path = "../benches/compare/summary.rs"]
mod summary;
#[path = "../benches/compare/tally.rs"]
#[expect(dead_code, reason = "what the generators count is not asked for here")]
mod tally;

use row::{COLUMNS, Row};
use std::fs;
use std::time::Duration;
use summary::{Figure, Summary};
use tally::{Expect, Tally};

fn row(round: u32, server: &str, us_per_answer: f64) -> Row {
    Row {
        time: "2025-01-31T12:00:00Z".to_owned(),
        machine: "2x-any".to_owned(),
        round,
        scenario: "hits".to_owned(),
        server: server.to_owned(),
        queries: 1000,
        answers: 990,
        wrong: 0,
        lost: 10,
        seconds: 1.5,
        cpu_seconds: 1.25,
        us_per_answer,
        qps: 660.0,
        p50: 20,
        p99: 400,
        rss_kb: 2048,
        start_ms: 4.5,
        generator_bound: round == 2,
        cache_mib: (server == "bound").then_some(4),
    }
}

#[test]
fn a_row_is_read_as_it_was_written() {
    let row = row(2, "unsix", 1.75);
    assert_eq!(Row::read(&row.to_string()), Some(row.clone()));
    let bound = self::row(2, "bound", 1.75);
    assert_eq!(Row::read(&bound.to_string()), Some(bound));
    let text = row.to_string();
    let (older, _) = text.rsplit_once('\t').unwrap();
    assert_eq!(Row::read(older), Some(row.clone()), "a column less");
    let columns = COLUMNS.split('\t').count();
    assert_eq!(row.to_string().split('\t').count(), columns);
    assert_eq!(Row::read(&format!("{row}\tmore")), None);
    assert_eq!(Row::read("no row"), None);
}

#[test]
fn medians_of_even_and_odd_counts() {
    let median = |values: &[f64]| Figure::of(values.iter().copied()).map(|figure| figure.median);
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    assert_eq!(median(&[]), None);
}

#[test]
fn ratios_are_made_within_a_round() {
    // The machine was twice as slow in round 2: the medians' ratio would be 1.5, each round's is 2.
    let rows = [
        row(1, "floor", 1.0),
        row(1, "unsix", 2.0),
        row(2, "floor", 2.0),
        row(2, "unsix", 4.0),
        row(3, "floor", 2.0),
        row(3, "unsix", 4.0),
    ];
    let table = Summary(&rows).to_string();
    let line = table.lines().find(|line| line.starts_with("| unsix"));
    let fields: Vec<_> = line.unwrap().split('|').map(str::trim).collect();
    assert_eq!(fields[2..7], ["4.00", "2.00 to 4.00", "2.00", "-", "-"]);
    assert_eq!(fields[13], "generator bound in 1 of 3, 1.00 % lost");
}

#[test]
fn memory_is_held_against_a_cache_that_is_overflowed() {
    let rows = [row(1, "bound", 1.0)];
    let table = Summary(&rows).to_string();
    assert!(
        table.contains("| RSS 0.50 x cache size, 1.00 % lost |"),
        "{table}"
    );
}

#[test]
fn a_plot_has_a_bar_for_each_server() {
    let rows = [row(1, "floor", 1.0), row(1, "a<b", 2.0)];
    let plot = plot::draw(&Summary(&rows), "any").unwrap();
    assert_eq!(plot.matches("<rect x=").count(), 2);
    assert!(plot.contains("a&lt;b") && plot.ends_with("</svg>\n"));
}

#[test]
fn replies_are_counted_right_or_wrong() {
    let reply = |flags, code, answers| [0, 7, flags, code, 0, 1, 0, answers, 0, 0, 0, 0];
    #[rustfmt::skip]
    let cases = [
        ("a record",            reply(0x81, 0x80, 1), Expect::Records,   0),
        ("none, as expected",   reply(0x81, 0x80, 0), Expect::NoRecords, 0),
        ("no record",           reply(0x81, 0x80, 0), Expect::Records,   1),
        ("a record too many",   reply(0x81, 0x80, 1), Expect::NoRecords, 1),
        ("SERVFAIL",            reply(0x81, 0x82, 0), Expect::NoRecords, 1),
        ("truncated",           reply(0x83, 0x80, 1), Expect::Records,   1),
        ("the query again",     reply(0x01, 0x00, 1), Expect::Records,   1),
    ];
    for (why, reply, expect, wrong) in cases {
        let mut tally = Tally::new();
        tally.count(&reply, expect, Duration::ZERO);
        assert_eq!((tally.answers, tally.wrong), (1, wrong), "{why}");
    }
}

#[test]
fn quantiles_of_what_replies_took() {
    let mut tally = Tally::new();
    for micros in 1..=100 {
        tally.count(&[], Expect::Records, Duration::from_micros(micros));
    }
    assert_eq!((tally.quantile(0.5), tally.quantile(0.99)), (50, 99));
    tally.count(&[], Expect::Records, Duration::from_secs(9));
    assert_eq!(tally.quantile(1.0), 65_536);
}

#[test]
fn kept_results_can_be_read() {
    for entry in fs::read_dir("benches/results").unwrap() {
        let path = entry.unwrap().path();
        let is_rows = path.extension().is_some_and(|extension| extension == "tsv");
        if !is_rows || path.ends_with("callgrind.tsv") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let columns = lines.next().unwrap();
        assert!(COLUMNS.starts_with(columns), "{}", path.display());
        for line in lines {
            assert!(Row::read(line).is_some(), "{}: {line}", path.display());
        }
    }
}
