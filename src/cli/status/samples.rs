//! Reads numbers in the OpenMetrics text format.

use std::collections::HashMap;

/// A number of the page, with its labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// The metric's whole name.
    pub(super) name: String,
    /// Its labels.
    pub(super) labels: HashMap<String, String>,
    /// Its value.
    pub(super) value: f64,
}

impl Sample {
    /// A label's value; empty where it has none.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// The numbers of a page in the OpenMetrics text format; `None` if it is none.
pub(super) fn samples(page: &str) -> Option<Vec<Sample>> {
    let lines = page.strip_suffix("# EOF\n")?.lines();
    lines
        .filter(|line| !line.starts_with('#'))
        .map(sample)
        .collect()
}

/// `name{label="value",...} number`.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, mut rest) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    let mut labels = HashMap::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"")?;
        let (text, after) = quoted(after)?;
        labels.insert(label.to_owned(), text);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

/// A label's value up to its quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    loop {
        match letters.next()? {
            (at, '"') => return Some((value, text.get(at + 1..)?)),
            (_, '\\') => value.push(match letters.next()?.1 {
                'n' => '\n',
                letter => letter,
            }),
            (_, letter) => value.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_its_labels_hold() {
        #[rustfmt::skip]
        let cases = [
            ("a 1", "a", &[][..], 1.0),
            ("a_total{b=\"c\"} 2.5", "a_total", &[("b", "c")][..], 2.5),
            (r#"a{b="}, \" \\ \n",d="="} 3"#, "a", &[("b", "}, \" \\ \n"), ("d", "=")], 3.0),
        ];
        for (line, name, labels, value) in cases {
            let labels = labels
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()));
            let wanted = Sample {
                name: name.to_owned(),
                labels: labels.collect(),
                value,
            };
            assert_eq!(sample(line), Some(wanted), "{line}");
        }
        for line in ["", "a", "a{b=\"c 1", "a{b=c} 1", "a x"] {
            assert_eq!(sample(line), None, "{line}");
        }
        assert_eq!(samples("<html>no such page</html>\n"), None);
    }
}
