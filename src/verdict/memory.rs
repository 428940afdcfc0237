//! What a restart must not forget: the verdicts, as text.
//!
//! JSON, one object for each address that was judged. What cannot be used is left out, for a verdict that
//! is missing is probed again within a minute; a text that is no such list is an error.

use super::book::{Book, Endpoint};
use super::track::{Track, Verdict};
use super::words;
use crate::message::Name;
use crate::time::Moment;
use serde::{Deserialize, Serialize};
use std::net::Ipv6Addr;
use std::time::Duration;

#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    /// Of this text's form.
    version: u32,
    verdicts: Vec<Remembered>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    host: String,
    port: u16,
    address: Ipv6Addr,
    broken: bool,
    /// Seconds since 1970.
    since: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

impl Book {
    /// The verdicts as text.
    pub fn remember(&self) -> String {
        let mut verdicts = Vec::new();
        for (endpoint, host) in self.sorted() {
            for (address, known) in &host.addresses {
                let track = &known.track;
                if track.verdict != Verdict::Unknown {
                    verdicts.push(Remembered {
                        host: endpoint.host.to_string(),
                        port: endpoint.port,
                        address: *address,
                        broken: track.verdict == Verdict::Broken,
                        since: track.since.as_secs(),
                        cause: track.cause.map(|cause| words::label(cause).to_owned()),
                    });
                }
            }
        }
        let version = VERSION;
        let memory = Memory { version, verdicts };
        serde_json::to_string(&memory).expect("names and numbers are JSON")
    }

    /// Takes verdicts over from a text; gives how many. Broken addresses stay so as long as they would have.
    ///
    /// # Errors
    /// The text is not one of [`Self::remember`].
    pub fn recall_all(
        &mut self,
        text: &str,
        (now, wall): (Moment, Duration),
    ) -> Result<usize, String> {
        let memory: Memory = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if memory.version != VERSION {
            return Err(format!("its version is {}, not {VERSION}", memory.version));
        }
        let limits = self.limits();
        let mut taken = 0;
        for one in memory.verdicts {
            let Ok(host) = Name::parse(&one.host) else {
                continue;
            };
            let verdict = if one.broken {
                Verdict::Broken
            } else {
                Verdict::Healthy
            };
            let since = Duration::from_secs(one.since).min(wall);
            let held = limits.min_broken.saturating_sub(wall.saturating_sub(since));
            let cause = one.cause.as_deref().and_then(words::outcome);
            let track = Track::recalled(verdict, since, cause, now + held);
            let endpoint = Endpoint {
                host: host.lower(),
                port: one.port,
            };
            taken += usize::from(self.recall(endpoint, one.address, track, now));
        }
        Ok(taken)
    }
}

/// The form of the text.
const VERSION: u32 = 1;
