//! How an outcome is said: as a word for programs, as a phrase for people.

use crate::probe::Outcome;

const WORDS: [(&str, Outcome, &str); 7] = [
    ("reachable", Outcome::Reachable, "IPv6 works"),
    ("refused", Outcome::Refused, "IPv6 is refused"),
    ("unreachable", Outcome::Unreachable, "no route over IPv6"),
    (
        "connect_timeout",
        Outcome::ConnectTimeout,
        "no TCP over IPv6",
    ),
    ("tls_stall", SILENT, "TLS over IPv6 stalls"),
    ("tls_cut", CUT, "TLS over IPv6 is cut"),
    ("not_tls", Outcome::NotTls, "no TLS over IPv6"),
];

const SILENT: Outcome = Outcome::TlsStall {
    mss_1220: false,
    small_hello: false,
};
const CUT: Outcome = Outcome::TlsCut {
    mss_1220: false,
    small_hello: false,
};

/// What stands in metrics and in the state file.
pub fn label(outcome: Outcome) -> &'static str {
    row(outcome).0
}

/// Every label there is.
pub fn labels() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|row| row.0)
}

/// What stands in an extended error and in a log line.
pub fn cause(outcome: Outcome) -> &'static str {
    row(outcome).2
}

/// The outcome with this label, its details left out.
pub(super) fn outcome(label: &str) -> Option<Outcome> {
    let row = WORDS.iter().find(|row| row.0 == label);
    row.map(|row| row.1)
}

fn row(outcome: Outcome) -> &'static (&'static str, Outcome, &'static str) {
    let plain = match outcome {
        Outcome::TlsStall { .. } => SILENT,
        Outcome::TlsCut { .. } => CUT,
        other => other,
    };
    let row = WORDS.iter().find(|row| row.1 == plain);
    row.expect("each outcome has a row")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_word_that_leads_back() {
        for (word, plain, _) in WORDS {
            assert_eq!(outcome(word), Some(plain));
            assert_eq!(label(plain), word);
        }
        let detailed = Outcome::TlsStall {
            mss_1220: true,
            small_hello: false,
        };
        assert_eq!(label(detailed), "tls_stall");
        assert_eq!(outcome("fine"), None);
    }
}
