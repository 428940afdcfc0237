//! The table, row by row.

use super::*;
use Outcome::{ConnectTimeout, NotTls, Reachable, Refused, Unreachable};

#[rustfmt::skip]
const fn stall(mss_1220: bool, small_hello: bool) -> Outcome {
    Outcome::TlsStall { mss_1220, small_hello }
}

#[rustfmt::skip]
const fn cut(mss_1220: bool, small_hello: bool) -> Outcome {
    Outcome::TlsCut { mss_1220, small_hello }
}

const CONTROLS: [Control; 3] = [Control::Works, Control::Fails, Control::Missing];

/// The table: IPv4, IPv6, what controls say (all three where it does not matter), the verdict, whether to strip, the exit code.
#[test]
fn each_row_of_the_table_has_its_verdict() {
    use Control::{Fails, Missing, Works};
    use Strip::{Never, No, Optional, Yes};
    type Row = (
        &'static [Outcome],
        &'static [Outcome],
        &'static [Control],
        Verdict,
        Strip,
        u8,
    );
    const ANY: &[Control] = &CONTROLS;
    #[rustfmt::skip]
    const ROWS: &[Row] = &[
        (&[Reachable],      &[Reachable],          ANY,               Verdict::Healthy,        No,       0),
        (&[NotTls],         &[NotTls],             ANY,               Verdict::Healthy,        No,       0),
        (&[Reachable],      &[],                   ANY,               Verdict::NothingToStrip, No,       0),
        (&[NotTls],         &[],                   ANY,               Verdict::NothingToStrip, No,       0),
        (&[],               &[Reachable],          ANY,               Verdict::Ipv6Only,       Never,    0),
        (&[],               &[stall(true, true)],  ANY,               Verdict::Ipv6Only,       Never,    0),
        (&[],               &[Unreachable],        ANY,               Verdict::Ipv6Only,       Never,    0),
        (&[Reachable],      &[Refused],            &[Fails],          Verdict::NoIpv6Route,    Optional, 0),
        (&[Reachable],      &[Unreachable],        ANY,               Verdict::NoIpv6Route,    Optional, 0),
        (&[Reachable],      &[Refused],            &[Works, Missing], Verdict::Ipv6Broken,     Yes,      10),
        (&[Reachable],      &[ConnectTimeout],     &[Works, Missing], Verdict::Ipv6Dropped,    Yes,      10),
        (&[Reachable],      &[ConnectTimeout],     &[Fails],          Verdict::Ipv6Broken,     Yes,      10),
        (&[Reachable],      &[stall(true, false)], ANY,               Verdict::PmtuBlackHole,  Yes,      10),
        (&[Reachable],      &[stall(true, true)],  ANY,               Verdict::PmtuBlackHole,  Yes,      10),
        (&[Reachable],      &[cut(true, false)],   ANY,               Verdict::PmtuBlackHole,  Yes,      10),
        (&[Reachable],      &[stall(false, true)], ANY,               Verdict::BigHello,       Yes,      10),
        (&[Reachable],      &[cut(false, true)],   ANY,               Verdict::BigHello,       Yes,      10),
        (&[Reachable],      &[stall(false, false)], &[Works, Missing], Verdict::TlsStall,      Yes,      10),
        (&[Reachable],      &[cut(false, false)],  &[Works, Missing], Verdict::TlsStall,       Yes,      10),
        (&[Reachable],      &[NotTls],             &[Works, Missing], Verdict::TlsStall,       Yes,      10),
        (&[Reachable],      &[stall(false, false)], &[Fails],         Verdict::Ipv6Broken,     Yes,      10),
        (&[Reachable],      &[cut(false, false)],  &[Fails],          Verdict::Ipv6Broken,     Yes,      10),
        (&[Reachable],      &[NotTls],             &[Fails],          Verdict::Ipv6Broken,     Yes,      10),
        (&[ConnectTimeout], &[Reachable],          ANY,               Verdict::Ipv4Broken,     Never,    20),
        (&[stall(true, true)], &[Reachable],       ANY,               Verdict::Ipv4Broken,     Never,    20),
        (&[NotTls],         &[Reachable],          ANY,               Verdict::Ipv4Broken,     Never,    20),
        (&[Unreachable],    &[NotTls],             ANY,               Verdict::Ipv4Broken,     Never,    20),
        (&[Refused],        &[Refused],            ANY,               Verdict::Down,           No,       20),
        (&[ConnectTimeout], &[stall(true, true)],  ANY,               Verdict::Down,           No,       20),
        (&[ConnectTimeout], &[],                   ANY,               Verdict::Down,           No,       20),
        (&[],               &[],                   ANY,               Verdict::CannotTell,     No,       11),
    ];
    for (four, six, controls, want, strip, code) in ROWS {
        let found = |outcomes: &[Outcome]| outcomes.iter().copied().map(Some).collect::<Vec<_>>();
        let families = (Family::of_any(&found(four)), Family::of(&found(six)));
        for control in *controls {
            let got = verdict(families.0, families.1, *control);
            let row = format!("{four:?} {six:?} {control:?}");
            assert_eq!(got, *want, "{row}");
            assert_eq!((got.strip(), got.exit_code()), (*strip, *code), "{row}");
        }
    }
}

#[test]
fn what_was_not_measured_is_never_healthy() {
    let families = [
        Family::Absent,
        Family::Unknown,
        Family::Works,
        Family::Plain,
        Family::Fails(Fault::Timeout),
    ];
    for family in families {
        for control in CONTROLS {
            for (four, six) in [(family, Family::Unknown), (Family::Unknown, family)] {
                assert_eq!(verdict(four, six, control), Verdict::CannotTell);
            }
        }
    }
    assert_eq!(Family::of(&[None]), Family::Unknown);
    assert_eq!(Family::of_any(&[None, None]), Family::Unknown);
}

#[test]
fn one_address_that_makes_clients_wait_counts_for_its_family() {
    use Family::{Fails, Plain, Works};
    #[rustfmt::skip]
    let cases: &[(&[Option<Outcome>], Family, Family)] = &[
        (&[Some(Reachable), Some(Reachable)],                   Works,                   Works),
        (&[Some(Reachable), None],                              Works,                   Works),
        (&[Some(Reachable), Some(Refused)],                     Works,                   Works),
        (&[Some(Unreachable), Some(Reachable)],                 Works,                   Works),
        (&[Some(Reachable), Some(stall(false, false))],         Fails(Fault::Stall),     Works),
        (&[Some(ConnectTimeout), Some(Reachable)],              Fails(Fault::Timeout),   Works),
        (&[Some(stall(false, false)), Some(stall(true, true))], Fails(Fault::BlackHole), Fails(Fault::BlackHole)),
        (&[Some(Refused), Some(Unreachable)],                   Fails(Fault::Refused),   Fails(Fault::Refused)),
        (&[Some(NotTls), Some(Refused)],                        Plain,                   Plain),
        (&[None, Some(Refused)],                                Fails(Fault::Refused),   Fails(Fault::Refused)),
    ];
    for (outcomes, six, four) in cases {
        assert_eq!(Family::of(outcomes), *six, "IPv6: {outcomes:?}");
        assert_eq!(Family::of_any(outcomes), *four, "IPv4: {outcomes:?}");
    }
}

#[test]
fn several_hosts_have_one_exit_code() {
    let cases: &[(&[u8], u8)] = &[
        (&[0, 0], 0),
        (&[0, 11], 11),
        (&[11, 10, 0], 10),
        (&[10, 20, 11], 20),
        (&[], 11),
    ];
    for (codes, want) in cases {
        assert_eq!(exit_code(codes), *want, "{codes:?}");
    }
}

#[test]
fn labels_are_those_of_json() {
    for verdict in [
        Verdict::Ipv6Only,
        Verdict::PmtuBlackHole,
        Verdict::CannotTell,
    ] {
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(json, format!("{:?}", verdict.label()));
    }
}
