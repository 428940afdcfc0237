//! The files of a comparison in `benches/results/`: raw rows, their table, their plot.

use crate::clock::time;
use crate::plot;
use crate::row::{COLUMNS, Row};
use crate::summary::Summary;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A results file that rows are added to while they are measured.
pub(crate) struct Results {
    path: PathBuf,
    file: File,
    rows: Vec<Row>,
}

impl Results {
    /// Begins a file that was not there; `facts` become comments at its head.
    pub(crate) fn create(folder: &Path, label: &str, facts: &[String]) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let today: String = time().chars().take(10).collect();
        let mut path = folder.join(format!("{today}-{label}.tsv"));
        for number in 2.. {
            if !path.exists() {
                break;
            }
            path = folder.join(format!("{today}-{label}-{number}.tsv"));
        }
        let mut file = File::create_new(&path)?;
        for fact in facts {
            writeln!(file, "# {fact}")?;
        }
        writeln!(file, "{COLUMNS}")?;
        Ok(Self {
            path,
            file,
            rows: Vec::new(),
        })
    }

    /// Adds a row: what is measured is kept, whatever happens to the rest.
    pub(crate) fn add(&mut self, row: Row) -> io::Result<()> {
        writeln!(self.file, "{row}")?;
        self.rows.push(row);
        Ok(())
    }

    /// Writes table and plot beside the rows, and gives the table.
    pub(crate) fn finish(&self) -> io::Result<String> {
        present(&self.path, &self.rows)
    }
}

/// Makes table and plot of a file of rows, and gives the table.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    let is_row = |line: &&str| !line.starts_with('#') && !COLUMNS.starts_with(*line);
    let rows = text.lines().filter(is_row).map(|line| {
        let fault = || io::Error::other(format!("{}: no row: {line}", path.display()));
        Row::read(line).ok_or_else(fault)
    });
    let rows: Vec<_> = rows.collect::<io::Result<_>>()?;
    present(path, &rows)
}

fn present(path: &Path, rows: &[Row]) -> io::Result<String> {
    let Some(first) = rows.first() else {
        return Err(io::Error::other("nothing could be measured"));
    };
    let summary = Summary(rows);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let table = format!(
        "# {}\n\nMedians over rounds; raw rows: `{name}`.\n{summary}",
        first.machine
    );
    fs::write(path.with_extension("md"), &table)?;
    let caption = format!(
        "{}, {}: medians over rounds, less is better",
        first.machine,
        first.time.get(..10).unwrap_or_default()
    );
    let plot = plot::draw(&summary, &caption).map_err(io::Error::other)?;
    fs::write(path.with_extension("svg"), plot)?;
    Ok(table)
}
