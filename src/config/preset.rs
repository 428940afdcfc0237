//! Rules that come with the program, kept up to date by its releases.
//!
//! A preset says what differs from a rule's defaults: today that is its hosts.

use super::names::Pattern;
use crate::message::Name;
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
    /// All of them.
    pub(super) const ALL: [Self; 1] = [Self::DockerHub];

    /// What a rule is called that gives itself no name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DockerHub => "docker-hub",
        }
    }

    /// A host that everyone who needs the rule can resolve: it shows whether the rule acts.
    pub(super) fn witness(self) -> Name {
        let name = match self {
            Self::DockerHub => "registry-1.docker.io",
        };
        Name::parse(name).expect("a good name, a literal just above")
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
