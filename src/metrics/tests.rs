//! The page as Prometheus reads it.

use super::{Gauges, Kind, Rules, Source, TABLE, Transport, Upstream, Worker, render};

fn page() -> String {
    let (one, two, rules) = (Worker::new(), Worker::new(), Rules::new());
    let slot = rules.slot("odd \"name\"\\");
    one.query(Transport::Udp);
    two.query(Transport::Udp);
    two.query(Transport::Tcp);
    one.unanswered();
    one.reply(Source::Filtered, 0);
    two.reply(Source::Filtered, 0);
    two.reply(Source::Error, 16);
    two.reply(Source::Upstream, 23);
    one.truncate();
    two.prefetch();
    one.rule_changed(slot);
    two.rule_reported(slot);
    let gauges = Gauges {
        cache_octets: 4096,
        upstreams: vec![Upstream {
            address: "[2001:db8::1]:53".to_owned(),
            up: true,
            rtt_seconds: 0.025,
            queries: 7,
            failures: vec![("timeout", 2), ("garbled", 0)],
        }],
        last_reload_successful: true,
        ..Gauges::default()
    };
    render(&[&one, &two], &rules, &gauges)
}

#[test]
fn the_page_sums_the_workers_and_shows_the_gauges() {
    let page = page();
    let version = concat!(
        "unsix_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"} 1"
    );
    #[rustfmt::skip]
    let lines = [
        version,
        "unsix_queries_total{transport=\"udp\"} 2",
        "unsix_queries_total{transport=\"tcp\"} 1",
        "unsix_queries_unanswered_total 1",
        "unsix_replies_total{source=\"filtered\",rcode=\"noerror\"} 2",
        "unsix_replies_total{source=\"error\",rcode=\"badvers\"} 1",
        "unsix_replies_total{source=\"upstream\",rcode=\"other\"} 1",
        "unsix_replies_truncated_total 1",
        "unsix_prefetches_total 1",
        "unsix_rule_replies_total{rule=\"odd \\\"name\\\"\\\\\",effect=\"changed\"} 1",
        "unsix_rule_replies_total{rule=\"odd \\\"name\\\"\\\\\",effect=\"reported\"} 1",
        "unsix_rule_replies_total{rule=\"other\",effect=\"changed\"} 0",
        "unsix_cache_octets 4096",
        "unsix_upstream_queries_total{upstream=\"[2001:db8::1]:53\"} 7",
        "unsix_upstream_failures_total{upstream=\"[2001:db8::1]:53\",reason=\"timeout\"} 2",
        "unsix_upstream_up{upstream=\"[2001:db8::1]:53\"} 1",
        "unsix_upstream_rtt_seconds{upstream=\"[2001:db8::1]:53\"} 0.025",
        "unsix_config_reloads_total{result=\"success\"} 0",
        "unsix_config_last_reload_successful 1",
    ];
    for line in lines {
        assert!(
            page.lines().any(|found| found == line),
            "{line} is missing in\n{page}"
        );
    }
}

#[test]
fn every_line_belongs_to_a_metric_of_the_table() {
    let page = page();
    assert!(page.ends_with("# EOF\n"));
    for metric in TABLE {
        let stem = metric
            .name
            .trim_end_matches("_total")
            .trim_end_matches("_info");
        let head = format!(
            "# HELP {stem} {}\n# TYPE {stem} {}\n",
            metric.help,
            metric.kind.label()
        );
        assert!(
            page.contains(&head),
            "{} has no description in\n{page}",
            metric.name
        );
        match metric.kind {
            Kind::Counter => assert!(metric.name.ends_with("_total"), "{}", metric.name),
            Kind::Info => assert!(metric.name.ends_with("_info"), "{}", metric.name),
            Kind::Gauge => assert_eq!(stem, metric.name),
        }
        assert_eq!(
            TABLE
                .iter()
                .filter(|other| other.name == metric.name)
                .count(),
            1
        );
    }
    let mut seen = std::collections::HashSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
        let name = series.split('{').next().unwrap();
        assert!(
            TABLE.iter().any(|metric| metric.name == name),
            "{name} is not in the table"
        );
        assert!(seen.insert(series), "{series} is there twice");
    }
}

#[test]
fn a_rule_keeps_its_slot_and_late_rules_share_one() {
    let rules = Rules::new();
    assert_eq!(rules.slot("first"), 1);
    assert_eq!(rules.slot("second"), 2);
    assert_eq!(rules.slot("first"), 1, "a reload finds it again");
    assert_eq!(
        rules.slot("other"),
        Rules::OTHER,
        "the shared series has that name"
    );
    for number in 3..=254 {
        assert_eq!(usize::from(rules.slot(&format!("rule-{number}"))), number);
    }
    assert_eq!(rules.slot("one too many"), Rules::OTHER);
    assert_eq!(rules.slot("two too many"), Rules::OTHER);
    assert_eq!(rules.slot("rule-254"), 254);
    assert_eq!(rules.named().len(), 255);
}
