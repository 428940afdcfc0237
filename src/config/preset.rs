//! Rules that come with the program, kept up to date by its releases.
//!
//! A preset says what differs from a rule's defaults: today that is its hosts.

use super::names::Pattern;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule that comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Preset {
    /// Docker Hub, its registry and its sites: hosts `.docker.io` and `.docker.com`.
    DockerHub,
}

impl Preset {
    /// What a rule is called that gives itself no name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DockerHub => "docker-hub",
        }
    }

    /// The hosts of the rule.
    ///
    /// By suffix, for the list of names behind Docker Hub changes every year.
    pub(super) fn hosts(self) -> Vec<Pattern> {
        match self {
            Self::DockerHub => [".docker.io", ".docker.com"],
        }
        .iter()
        .map(|host| host.parse().expect("a good pattern, a literal just above"))
        .collect()
    }
}
