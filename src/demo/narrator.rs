//! Tells the story line by line, with the time that has passed.

use super::Fault;
use crate::listen::Clock;
use crate::time::Moment;
use std::io::Write;
use std::time::Duration;

/// Whoever reads it sees each line when it happens.
pub(super) struct Narrator<'a> {
    out: &'a mut dyn Write,
    clock: Clock,
}

impl<'a> Narrator<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        let clock = Clock::start();
        Self { out, clock }
    }

    /// What it is about.
    pub(super) fn title(&mut self, text: &str) -> Result<(), Fault> {
        self.write(&format!("{text}\n"))
    }

    /// What comes next.
    pub(super) fn heading(&mut self, text: &str) -> Result<(), Fault> {
        self.write(&format!("\n{text}\n"))
    }

    /// What happened just now.
    pub(super) fn event(&mut self, text: &str) -> Result<(), Fault> {
        let seconds = self.elapsed().as_secs_f64();
        self.write(&format!("{seconds:6.1} s  {text}\n"))
    }

    /// More about it.
    pub(super) fn detail(&mut self, text: &str) -> Result<(), Fault> {
        self.write(&format!("{:8}  {text}\n", ""))
    }

    /// The same of any length, [`WIDTH`] columns on a line at most.
    pub(super) fn paragraph(&mut self, text: &str) -> Result<(), Fault> {
        let mut line = String::new();
        for word in text.split(' ') {
            if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
                self.detail(&line)?;
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line += word;
        }
        self.detail(&line)
    }

    /// Since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.clock.now().since(Moment::ZERO)
    }

    fn write(&mut self, text: &str) -> Result<(), Fault> {
        let written = self.out.write_all(text.as_bytes());
        written
            .and_then(|()| self.out.flush())
            .map_err(Fault::Output)
    }
}

/// With the time before it a line is a hundred columns wide.
const WIDTH: usize = 90;
