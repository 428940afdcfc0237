//! Between the words of a scenario file and the types of the product.

use super::Fallible;
use super::script::Query;
use serde_yaml::Value;
use std::net::SocketAddr;
use unsix::config::{Config, Server};
use unsix::pipeline::Note;

/// The configuration, and the upstreams: its own, or one that stands for the system's.
pub(crate) fn configuration(value: &Value) -> Fallible<(Config, Vec<Server>)> {
    let text = match value {
        Value::Null => "upstreams: [192.0.2.53]".to_owned(),
        value => serde_yaml::to_string(value).map_err(|error| error.to_string())?,
    };
    let config = Config::read(&text).map_err(|problems| format!("config: {problems:?}"))?;
    let system = SocketAddr::from(([192, 0, 2, 53], 53)).into();
    let addresses = config.upstreams.clone().unwrap_or_else(|| vec![system]);
    Ok((config, addresses))
}

pub(crate) fn note_text(note: &Note) -> String {
    match note {
        Note::UpstreamDown { upstream, .. } => format!("down {upstream}"),
        Note::UpstreamUp { upstream } => format!("up {upstream}"),
        Note::Loop { upstream, .. } => format!("loop {upstream}"),
    }
}

pub(crate) fn label(query: &Query) -> String {
    match &query.raw {
        Some(raw) => format!("raw {raw:.24}"),
        None => query.query.clone(),
    }
}
