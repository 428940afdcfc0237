//! The rows as a picture: a bar for each server, a block of bars for each scenario, drawn as SVG by hand.
//!
//! A bar ends at the median, the thin line across it spans the rounds. Blocks have scales of their own.

use crate::row::Row;
use crate::summary::{Figure, Summary};
use std::fmt::{self, Write};

const WIDTH: f64 = 760.0;
/// Where bars begin; names stand before it.
const LEFT: f64 = 150.0;
/// Left free behind the longest bar, for its number.
const RIGHT: f64 = 110.0;
const BAR: f64 = 18.0;
const TITLE: f64 = 34.0;

/// What bars of a scenario show.
struct Measure {
    about: &'static str,
    value: fn(&Row) -> f64,
}

impl Measure {
    fn of(scenario: &str) -> Self {
        match scenario {
            "latency" => Self {
                about: "p99 of the time to the reply, us",
                value: |row| row.p99 as f64,
            },
            _ => Self {
                about: "server CPU per answer, us",
                value: |row| row.us_per_answer,
            },
        }
    }
}

/// Draws it; `caption` stands at the top.
pub(crate) fn draw(summary: &Summary<'_>, caption: &str) -> Result<String, fmt::Error> {
    let mut body = String::new();
    let mut top = TITLE;
    for scenario in summary.scenarios() {
        top = draw_block(summary, scenario, top, &mut body)?;
    }
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{0}\" viewBox=\"0 0 {WIDTH} {0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        top + BAR
    );
    writeln!(
        svg,
        "<text x=\"8\" y=\"20\" font-weight=\"bold\">{}</text>",
        escape(caption)
    )?;
    svg.push_str(&body);
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// Draws one scenario and gives where the next begins.
fn draw_block(
    summary: &Summary<'_>,
    scenario: &str,
    mut top: f64,
    body: &mut String,
) -> Result<f64, fmt::Error> {
    let measure = Measure::of(scenario);
    let figure = |server| Some((server, summary.figure(scenario, server, measure.value)?));
    let mut bars: Vec<(&str, Figure)> = summary
        .servers(scenario)
        .into_iter()
        .filter_map(figure)
        .collect();
    bars.sort_by(|(_, a), (_, b)| a.median.total_cmp(&b.median));
    let most = bars
        .iter()
        .map(|(_, figure)| figure.most)
        .fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / most;
    top += TITLE;
    writeln!(
        body,
        "<text x=\"8\" y=\"{:.1}\"><tspan font-weight=\"bold\">{}</tspan>: {}</text>",
        top - 10.0,
        escape(scenario),
        measure.about
    )?;
    for (server, figure) in bars {
        draw_bar(server, figure, scale, top, body)?;
        top += BAR + 4.0;
    }
    Ok(top)
}

fn draw_bar(server: &str, figure: Figure, scale: f64, top: f64, body: &mut String) -> fmt::Result {
    let color = match server {
        "unsix" => "#2a7d4f",
        "floor" => "#444444",
        _ => "#9fb4c7",
    };
    let (baseline, middle) = (top + 13.0, top + BAR / 2.0);
    let end = |value: f64| LEFT + value * scale;
    writeln!(
        body,
        "<text x=\"{:.1}\" y=\"{baseline:.1}\" text-anchor=\"end\">{}</text>",
        LEFT - 8.0,
        escape(server)
    )?;
    writeln!(
        body,
        "<rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{color}\"/>",
        figure.median * scale
    )?;
    writeln!(
        body,
        "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" stroke=\"black\"/>",
        end(figure.least),
        end(figure.most)
    )?;
    let digits = if figure.median < 100.0 { 2 } else { 0 };
    writeln!(
        body,
        "<text x=\"{:.1}\" y=\"{baseline:.1}\">{:.digits$}</text>",
        end(figure.most) + 6.0,
        figure.median
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
