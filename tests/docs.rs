//! What the documentation says is what the program does. `BLESS=1 cargo test --test docs` rewrites what is
//! generated: the help texts in `tests/golden/`, the manual pages in `deploy/man/`, and the tables in `deploy/metrics.md` and
//! `deploy/doctor.md`.

use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use unsix::config::Config;
use unsix::daemon::Daemon;
use unsix::doctor::Report;
use unsix::metrics::TABLE;

/// The pages for people; each lives in the folder it explains.
const READMES: &[&str] = &[
    "README.md",
    "config/README.md",
    "deploy/README.md",
    "deploy/doctor.md",
    "deploy/systemd/README.md",
    "deploy/kubernetes/README.md",
    "deploy/metrics.md",
    "benches/README.md",
    "tests/README.md",
];

/// Where scenarios are explained, whose YAML is no configuration.
const ABOUT_SCENARIOS: &str = "tests/README.md";

#[test]
fn every_link_of_a_readme_leads_somewhere() {
    let mut broken = Vec::new();
    for readme in READMES {
        let text = read(readme);
        let folder = Path::new(readme).parent().unwrap();
        for rest in text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            if !target.contains("://") && !path(folder.join(target)).exists() {
                broken.push(format!("{readme}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_readme_is_at_most_two_screens() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 120, "{lines} lines");
}

#[test]
fn every_yaml_block_of_a_readme_is_a_good_configuration() {
    let mut blocks = 0;
    for readme in READMES.iter().filter(|readme| **readme != ABOUT_SCENARIOS) {
        for rest in read(readme).split("```yaml\n").skip(1) {
            let block = rest.split("```").next().unwrap();
            if let Err(problems) = Config::read(block) {
                panic!("{readme}:\n{block}\n{problems:#?}");
            }
            blocks += 1;
        }
    }
    assert!(blocks > 0, "no README has one");
}

#[test]
fn help_texts_are_current() {
    let mut commands = commands_of(&help(&[]));
    commands.insert(0, String::new());
    for command in commands {
        let (file, words) = match command.as_str() {
            "" => ("tests/golden/help.txt".to_owned(), vec![]),
            word => (format!("tests/golden/help-{word}.txt"), vec![word]),
        };
        let found = help(&words);
        assert!(found.contains("Example"), "{command}: shows no example");
        is_current(&file, &found);
    }
}

/// Packagers install the pages as they are: no program need run to make them.
#[test]
fn manual_pages_are_current() {
    // Every command has `--help`: there is no page for `help`.
    let mut command = unsix::cli::command().disable_help_subcommand(true);
    command.build();
    let mut made = BTreeSet::new();
    for command in command.get_subcommands().chain([&command]) {
        let name = command
            .get_display_name()
            .unwrap_or_else(|| command.get_name());
        let file = format!("deploy/man/{name}.1");
        is_current(&file, &manual_page(command, name).unwrap());
        made.insert(path(file));
    }
    let found = files(&path("deploy/man")).into_iter().collect();
    assert_eq!(made, found, "a page for each command, and no other");
}

#[test]
fn the_readme_names_exactly_the_commands() {
    let readme = read("README.md");
    let named: BTreeSet<String> = rows(&readme, "| `unsix")
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter_map(|code| code.strip_prefix("unsix ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    let commands = commands_of(&help(&[])).into_iter().collect();
    assert_eq!(named, commands);
}

#[test]
fn the_table_of_metrics_is_current() {
    const FILE: &str = "deploy/metrics.md";
    let expected: Vec<String> = TABLE
        .iter()
        .map(|metric| {
            let labels: Vec<_> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
            format!(
                "| `{}` | {} | {} | {} |",
                metric.name,
                metric.kind.label(),
                labels.join(", "),
                metric.help
            )
        })
        .collect();
    is_current_table(FILE, METRIC, &expected);
}

#[test]
fn the_table_of_doctors_json_is_current() {
    let mut rows = Vec::new();
    rows_of(&Report::schema(), "", &mut Vec::new(), &mut rows);
    is_current_table("deploy/doctor.md", "| `", &rows);
}

/// A row for each name of a JSON schema. What is described already is not described again.
fn rows_of(schema: &Value, path: &str, known: &mut Vec<(Value, String)>, rows: &mut Vec<String>) {
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        let said = value["description"]
            .as_str()
            .unwrap_or_default()
            .replace('\n', " ");
        let items = &value["items"];
        let (within, brackets) = match items.is_object() {
            true => (items, "[]"),
            false => (value, ""),
        };
        let name = format!("{path}{key}{brackets}");
        let inner = within["properties"].clone();
        let twin = known
            .iter()
            .find(|(known, _)| !inner.is_null() && *known == inner);
        let twin = twin.map(|(_, name)| format!(" Its names are those of `{name}`."));
        let seen = twin.is_some();
        rows.push(format!(
            "| `{name}` | {} | {said}{} |",
            kind_of(value),
            twin.unwrap_or_default()
        ));
        if !seen {
            known.push((inner, name.clone()));
            rows_of(within, &format!("{name}."), known, rows);
        }
    }
}

/// What stands under a name: its type, or its words.
fn kind_of(schema: &Value) -> String {
    let nullable = |kind: &Value| match kind {
        Value::Array(kinds) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.join(" or ")
        }
        kind => kind.as_str().unwrap_or_default().to_owned(),
    };
    if let Some(of) = schema["anyOf"].as_array() {
        let each: Vec<String> = of.iter().map(kind_of).collect();
        return each.join(" or ");
    }
    let words = schema["oneOf"].as_array().into_iter().flatten();
    let words: Vec<String> = words
        .filter_map(|word| Some(format!("`{}`", word["const"].as_str()?)))
        .collect();
    match (words.is_empty(), schema["type"].as_str()) {
        (false, _) => words.join(" "),
        (true, Some("array")) => format!("list of {}", kind_of(&schema["items"])),
        (true, _) => nullable(&schema["type"]),
    }
}

/// The rows of a generated table in a page, which BLESS writes.
#[track_caller]
fn is_current_table(file: &str, begin: &'static str, expected: &[String]) {
    if std::env::var_os("BLESS").is_some() {
        let mut table = Some(expected.join("\n"));
        let lines: Vec<String> = read(file)
            .lines()
            .filter_map(|line| match line.starts_with(begin) {
                true => table.take(),
                false => Some(line.to_owned()),
            })
            .collect();
        fs::write(path(file), lines.join("\n") + "\n").expect("the tree can be written");
    }
    let text = read(file);
    let found: Vec<&str> = rows(&text, begin).collect();
    assert_eq!(
        found, expected,
        "{file}: run BLESS=1 cargo test --test docs"
    );
}

/// The page of a command. What the help ends with are lines of their own.
fn manual_page(command: &clap::Command, name: &str) -> io::Result<String> {
    let page = Man::new(command.clone())
        .title(name.to_uppercase())
        .source(concat!("unsix ", env!("CARGO_PKG_VERSION")))
        .manual("unsix");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    let mut end = Roff::new();
    end.control("SH", ["EXAMPLES AND NOTES"]).control("nf", []);
    let after = command.get_after_help().map(ToString::to_string);
    for line in after.unwrap_or_default().lines() {
        end.text([roman(line)]);
    }
    end.control("fi", []);
    if name != "unsix" {
        end.control("SH", ["SEE ALSO"]).text([roman("unsix(1)")]);
    }
    end.to_writer(&mut text)?;
    // Each section begins by defining the same string: once is enough.
    let text = String::from_utf8_lossy(&text);
    let defined = Roff::new().render();
    Ok(defined.clone() + &text.replace(&defined, ""))
}

/// The text of a generated file, which BLESS writes.
#[track_caller]
fn is_current(file: &str, found: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(path(file), found).expect("the tree can be written");
    }
    let expected = fs::read_to_string(path(file)).unwrap_or_default();
    assert!(
        found == expected,
        "{file} is old: run BLESS=1 cargo test --test docs\n{found}"
    );
}

/// How a row of that table begins.
const METRIC: &str = "| `unsix_";

#[test]
fn the_metrics_page_and_its_documentation_agree() {
    let page = metrics_page("{rules: [{hosts: [a.example], name: first, when: broken}]}").unwrap();
    let readme = read("deploy/metrics.md");
    for metric in TABLE {
        let series = page.lines().any(|line| {
            line.strip_prefix(metric.name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        assert!(series, "{} is not on the page", metric.name);
    }
    // The value of each label that has a fixed set of them.
    #[rustfmt::skip]
    let fixed = ["transport", "source", "rcode", "reason", "effect", "result", "outcome", "verdict"];
    for label in fixed {
        let values: BTreeSet<&str> = page
            .split(&format!("{label}=\""))
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(!values.is_empty(), "{label}");
        let documented: String = rows(&readme, "| `")
            .filter(|row| row.split('|').nth(1).unwrap().contains(label))
            .collect();
        for value in values {
            assert!(
                documented.contains(&format!("`{value}`")),
                "{label}=\"{value}\" stands nowhere in deploy/metrics.md"
            );
        }
    }
    assert!(
        page.contains(r#"unsix_rule_replies_total{rule="first",effect="changed"} 0"#),
        "a rule is on the page before it first acts:\n{page}"
    );
}

#[test]
fn ci_runs_the_test_command_of_the_readme() {
    let readme = read("README.md");
    let command = readme
        .lines()
        .find(|line| line.starts_with("cargo test"))
        .expect("the README says how to run the tests");
    let line = format!("CI=true {command}");
    assert!(read(".ci/run").lines().any(|found| found == line), "{line}");
}

#[test]
fn the_shipped_files_agree_with_each_other() {
    let unit = read("deploy/systemd/unsix.service");
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=unsix "))
        .expect("the unit starts unsix");
    assert_eq!(start, "run --config /etc/unsix/unsix.yaml");
    let guide = read("deploy/systemd/README.md");
    for place in ["/usr/local/bin/unsix", "/etc/unsix/unsix.yaml"] {
        assert!(guide.contains(place), "{place}");
    }
    let socket = read("deploy/systemd/unsix.socket");
    for file in ["unsix.service", "unsix.socket", "unsix-attach.service"] {
        assert!(guide.contains(&format!("({file})")), "{file}");
    }
    let attach = read("deploy/systemd/unsix-attach.service");
    assert!(attach.contains("ExecStart=unsix attach --config /etc/unsix/unsix.yaml\n"));
    // The guide's one address is where both samples for a host listen, and what it puts into resolv.conf.
    for sample in ["config/host.yaml", "config/node.yaml"] {
        let config = Config::read(&read(sample)).unwrap();
        let listen: SocketAddr = "127.0.6.53:53".parse().unwrap();
        assert_eq!(config.listen.first(), Some(&listen), "{sample}");
    }
    for protocol in ["Datagram", "Stream"] {
        let begin = format!("Listen{protocol}=");
        let listed: Vec<&str> = socket
            .lines()
            .filter_map(|line| line.strip_prefix(&begin))
            .collect();
        let node = Config::read(&read("config/node.yaml")).unwrap();
        let listen: Vec<String> = node.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listed, listen, "unsix.socket and config/node.yaml");
    }
    assert!(guide.contains("nameserver 127.0.6.53") && guide.contains("DNS=127.0.6.53"));
    let corefile = read("deploy/coredns/Corefile");
    for host in &Config::default().rules[0].hosts {
        let zone = host.to_string();
        let zone = zone.trim_matches('.');
        assert!(corefile.contains(&format!("{zone}:53")), "{zone}");
        assert!(guide.contains(&format!("~{zone}")), "{zone}");
    }
    assert!(corefile.contains("policy sequential"));
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let places = ["home", "root", "tmp", "work"].map(|folder| format!("/{folder}/"));
    let mut broken = Vec::new();
    for file in files(Path::new(env!("CARGO_MANIFEST_DIR"))) {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        for (line, number) in text.lines().zip(1..) {
            if places.iter().any(|place| line.contains(place.as_str())) {
                broken.push(format!("{}:{number}: {line}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// What git would commit, near enough: neither its own folder nor what is built.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the tree") {
        let file = entry.expect("an entry of it").path();
        let name = file.file_name().expect("a file has a name");
        if name == ".git" || name == "target" {
            continue;
        }
        if file.is_dir() {
            found.extend(files(&file));
        } else {
            found.push(file);
        }
    }
    found
}

fn path(name: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[track_caller]
fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The lines of a table that begin so.
fn rows<'a>(text: &'a str, begin: &'static str) -> impl Iterator<Item = &'a str> {
    text.lines().filter(move |line| line.starts_with(begin))
}

/// What `unsix COMMAND --help` prints.
fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_unsix"))
        .args(command)
        .arg("--help")
        .output()
        .expect("cargo has built it");
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).expect("help is text")
}

/// The commands that a help text lists, but `help`, which every program has.
fn commands_of(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| *word != "help")
        .map(str::to_owned)
        .collect()
}

/// The metrics of a daemon that nobody has asked anything yet; its upstream never answers.
fn metrics_page(config: &str) -> io::Result<String> {
    let upstream = UdpSocket::bind(PORT_0)?;
    let config = Config {
        listen: vec![PORT_0],
        upstreams: Some(vec![upstream.local_addr()?.into()]),
        admin: Some(PORT_0),
        threads: 1,
        ..Config::read(config).expect("a good configuration")
    };
    let daemon = Daemon::start(&config, None).expect("nothing is in the way of a free port");
    let mut stream = TcpStream::connect(daemon.admin_address().expect("there is one"))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    daemon.stop();
    Ok(page)
}

/// The kernel chooses the port.
const PORT_0: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
