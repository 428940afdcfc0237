//! A client of the admin page, and a reader of the OpenMetrics text format that forgives nothing.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Asks for a page; gives its status and body.
pub(crate) fn get(server: SocketAddr, path: &str) -> (u16, String) {
    let response = send(
        server,
        &format!("GET {path} HTTP/1.1\r\nHost: unsix\r\n\r\n"),
    );
    let status = response
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = response
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned());
    (status.expect("a status"), body.expect("a body"))
}

/// Sends these octets; gives all that comes until the server closes.
pub(crate) fn send(server: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// The samples of a page in the OpenMetrics format, by name and labels as they stand there.
pub(crate) fn samples(page: &str) -> Result<HashMap<String, f64>, String> {
    let text = page
        .strip_suffix("# EOF\n")
        .ok_or("it does not end with # EOF")?;
    let (mut found, mut families) = (HashMap::new(), HashSet::new());
    let (mut family, mut kind) = (String::new(), String::new());
    for line in text.lines() {
        let fault = |what: &str| format!("{what}: {line:?}");
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let word = words.next().ok_or_else(|| fault("a line without a word"))?;
            let name = words.next().ok_or_else(|| fault("no family"))?;
            let text = words.next().ok_or_else(|| fault("no text"))?;
            if name != family && !families.insert(name.to_owned()) {
                return Err(fault("a family that comes twice"));
            }
            name.clone_into(&mut family);
            match word {
                "TYPE" => text.clone_into(&mut kind),
                "HELP" if !text.ends_with(' ') => {}
                _ => return Err(fault("neither TYPE nor HELP")),
            }
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').ok_or_else(|| fault("no value"))?;
        let name = sample.split('{').next().unwrap_or_default();
        let suffix = match kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            "gauge" => "",
            _ => return Err(fault("a sample of no known type")),
        };
        if name.strip_prefix(family.as_str()) != Some(suffix) {
            return Err(fault("a sample outside its family"));
        }
        labels(&sample[name.len()..]).ok_or_else(|| fault("bad labels"))?;
        let value: f64 = value.parse().map_err(|_| fault("no number"))?;
        if found.insert(sample.to_owned(), value).is_some() {
            return Err(fault("a sample that comes twice"));
        }
    }
    Ok(found)
}

/// Nothing, or `{name="value",...}` with every quote, backslash and line end escaped.
fn labels(text: &str) -> Option<()> {
    if text.is_empty() {
        return Some(());
    }
    let mut rest = text.strip_prefix('{')?.strip_suffix('}')?;
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let good = |letter: char| letter.is_ascii_lowercase() || letter == '_';
        if name.is_empty() || !name.chars().all(good) {
            return None;
        }
        let mut escaped = false;
        let end = after.find(|letter| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        })?;
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return rest.is_empty().then_some(()),
        }
    }
}
