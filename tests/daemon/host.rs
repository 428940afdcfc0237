//! Tests that need a host of their own: root, and namespaces made for each test. What this machine lacks is said in
//! the test's name.

use super::namespace;
use libtest_mimic::{Arguments, Failed, Trial};
use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

/// How a line begins that tells a figure.
pub(crate) const FIGURE: &str = "figure: ";

/// Figures that tests told, in the order of their ends.
static FIGURES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Tests that share what makes their host.
pub(crate) struct Suite {
    /// Shell commands that make the host, inside its namespaces.
    pub(crate) setup: &'static str,
    /// What every test needs.
    pub(crate) needs: &'static [Need],
    pub(crate) tests: &'static [Test],
    /// What stands above the figures.
    pub(crate) heading: &'static str,
}

/// One test: what it is called, what it needs beside the others, and what it does there.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) run: fn(),
}

/// Something that not every machine has.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    /// A program, and the Debian package it comes with.
    Program(&'static str, &'static str),
    /// Something of the kernel's, and where it would be, in one of these places.
    Kernel(&'static str, &'static [&'static str]),
    /// A file that this environment variable names.
    Named(&'static str, &'static str),
    /// systemd-resolved, which may only be unpacked: installing it changes the machine's own resolver.
    Resolved,
}

/// The device that TUN links are made with.
pub(crate) const TUN: Need = Need::Kernel("/dev/net/tun", &["/dev/net/tun"]);

impl Suite {
    /// Runs what the command line asks for, and prints the figures with `--nocapture`.
    pub(crate) fn run(&'static self) -> ExitCode {
        let arguments = Arguments::from_args();
        let trials = self.tests.iter().map(|test| self.trial(test)).collect();
        let conclusion = libtest_mimic::run(&arguments, trials);
        let mut figures = FIGURES.lock().unwrap();
        figures.sort();
        if arguments.nocapture && !figures.is_empty() {
            println!("{}\n{}\n", self.heading, figures.join("\n"));
        }
        conclusion.exit_code()
    }

    fn trial(&'static self, test: &'static Test) -> Trial {
        if namespace::is_inside() {
            return Trial::test(test.name, || {
                (test.run)();
                Ok(())
            });
        }
        let Some((reason, could_be_installed)) = self.missing(test) else {
            return Trial::test(test.name, || {
                let said = namespace::run_inside(test.name, self.setup)?;
                // The harness begins the line that the first one stands in.
                let figures = said.lines().filter_map(|line| line.split_once(FIGURE));
                let figures = figures.map(|(_, figure)| figure.to_owned());
                FIGURES.lock().unwrap().extend(figures);
                Ok(())
            });
        };
        let must = could_be_installed && env::var_os("CI").is_some();
        let name = match must {
            true => test.name.to_owned(),
            false => format!("{} [ignored: {reason}]", test.name),
        };
        Trial::test(name, || Err(Failed::from(reason))).with_ignored_flag(!must)
    }

    /// What the test lacks here, and whether `.ci/run` could bring it.
    fn missing(&self, test: &Test) -> Option<(String, bool)> {
        if !rustix::process::geteuid().is_root() {
            return Some(("it must be root".to_owned(), false));
        }
        let mut needs = self.needs.iter().chain(test.needs);
        if let Some(missing) = needs.find_map(|need| need.missing()) {
            return Some(missing);
        }
        let reason = namespace::possible(self.setup).err()?;
        Some((format!("no network of its own: {reason}"), false))
    }
}

impl Need {
    fn missing(self) -> Option<(String, bool)> {
        match self {
            Self::Program(program, package) => {
                let reason = format!("no {program}, install {package}");
                find(program).is_none().then_some((reason, true))
            }
            Self::Kernel(what, places) => {
                let here = places.iter().any(|place| Path::new(place).exists());
                (!here).then(|| (format!("no {what}"), false))
            }
            Self::Named(what, variable) => {
                let here = env::var_os(variable).is_some_and(|file| Path::new(&file).is_file());
                let reason = format!("no {what}, name one in {variable}");
                (!here).then_some((reason, true))
            }
            Self::Resolved => resolved().is_none().then(|| {
                let reason = "no systemd-resolved, name one in SYSTEMD_RESOLVED";
                (reason.to_owned(), false)
            }),
        }
    }
}

/// Where a program is. Servers are not on everyone's `PATH`.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders = env::split_paths(&path).chain(servers);
    folders
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Where systemd-resolved is: installed, or unpacked where the environment says.
pub(crate) fn resolved() -> Option<PathBuf> {
    let named = env::var_os("SYSTEMD_RESOLVED").map(PathBuf::from);
    let installed = PathBuf::from("/lib/systemd/systemd-resolved");
    named
        .into_iter()
        .chain([installed])
        .find(|file| file.is_file())
}
