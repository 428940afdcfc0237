//! A world as small as a scenario: clients, upstreams with a script, one or two drivers, and a clock
//! that jumps from event to event. The pipeline in it is the real one.

use super::Fallible;
use super::checks::{self, Exchanged};
use super::compare::{Given, compare};
use super::deliveries::{Deliveries, Delivery};
use super::given::{configuration, label, note_text};
use super::packets;
use super::records::{expand, kind_text, name_text};
use super::script::{Line, Query, Say, Scenario, Step};
use super::upstreams::{Heard, Upstreams, one_query};
use super::values::Over;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use unsix::config::{Config, Server};
use unsix::message::Transport;
use unsix::pipeline::{
    Action, Client, Duty, Event, Exchange, Fetches, Origin, Outcome, Pipeline, Tally, Trouble, Via,
};
use unsix::time::Moment;

/// No client waits longer than this for anything, whatever a scenario says.
const PATIENCE: Duration = Duration::from_secs(10);
/// More events than this at one moment, and somebody turns in a circle.
const TOO_MANY: u32 = 5_000;
/// RFC 5452, and the contract's section 10: most packets for one question.
const MOST_PACKETS: u32 = 6;

/// Plays a scenario to its end.
pub(crate) fn play(scenario: &Scenario) -> Result<(), Vec<String>> {
    let mut world = World::new(scenario).map_err(|fault| vec![fault])?;
    for (&number, step) in &scenario.steps {
        if let Err(fault) = world.step(number, step) {
            world.complain(fault);
            break;
        }
    }
    if world.faults.is_empty() {
        world.settle();
    }
    if world.faults.is_empty() {
        Ok(())
    } else {
        Err(world.faults)
    }
}

struct World {
    config: Config,
    pipeline: Arc<Pipeline>,
    drivers: Vec<Driver>,
    upstreams: Upstreams,
    now: Moment,
    step: u32,
    began: Moment,
    deliveries: Deliveries,
    /// By the port they ask from; every query has its own.
    clients: BTreeMap<u16, Waiting>,
    next_port: u16,
    /// What upstream last said to a question, by lowered name and type.
    spoken: HashMap<(Vec<u8>, u16), Vec<u8>>,
    /// Packets sent by driver, fetch and type.
    sent: HashMap<(usize, u64, u16), u32>,
    notes: Vec<String>,
    faults: Vec<String>,
}

struct Driver {
    fetches: Fetches,
    /// Fetches with sockets open.
    open: HashSet<u64>,
}

/// A client that asked.
struct Waiting {
    query: Query,
    packet: Vec<u8>,
    since: Moment,
    answered: bool,
}

impl World {
    fn new(scenario: &Scenario) -> Fallible<Self> {
        let (config, addresses) = configuration(&scenario.config)?;
        let pipeline = Arc::new(Pipeline::new(&config, &addresses, 7));
        let queries = scenario.steps.values().flat_map(|step| &step.queries);
        let count = queries.map(|query| query.driver).max().unwrap_or(1);
        let drivers = (0..count)
            .map(|index| {
                // One of them looks after the upstreams that are down.
                let duty = if index == 0 {
                    Duty::Probing
                } else {
                    Duty::Plain
                };
                let seed = [u8::try_from(index).unwrap_or(u8::MAX); 32];
                Driver {
                    fetches: Fetches::new(pipeline.clone(), seed, duty),
                    open: HashSet::new(),
                }
            })
            .collect();
        let began = Moment::ZERO + Duration::from_secs(1_000);
        Ok(Self {
            config,
            pipeline,
            drivers,
            upstreams: Upstreams::new(&scenario.upstreams)?,
            now: began,
            step: 0,
            began,
            deliveries: Deliveries::default(),
            clients: BTreeMap::new(),
            next_port: 20_000,
            spoken: HashMap::new(),
            sent: HashMap::new(),
            notes: Vec::new(),
            faults: Vec::new(),
        })
    }

    fn complain(&mut self, fault: impl AsRef<str>) {
        self.faults
            .push(format!("step {}: {}", self.step, fault.as_ref()));
    }

    fn step(&mut self, number: u32, step: &Step) -> Fallible<()> {
        (self.step, self.began) = (number, self.now);
        self.notes.clear();
        if let Some(wait) = step.wait {
            self.advance(self.now + wait.0)?;
        }
        if let Some(value) = &step.reload {
            let (config, addresses) = configuration(value)?;
            self.pipeline.apply(&config, &addresses);
            self.config = config;
        }
        if step.probe_for_loops {
            self.drive(0, Fetches::probe_for_loops)?;
        }
        let start = self.now;
        let mut queries: Vec<&Query> = step.queries.iter().collect();
        queries.sort_by_key(|query| query.at);
        for query in queries {
            self.advance(start + query.at.0)?;
            for text in expand(&query.query)? {
                self.ask(one_query(query, &text, &self.upstreams)?)?;
                if text != query.query && !query.together {
                    self.await_replies()?;
                }
            }
        }
        self.await_replies()?;
        if let Some(notes) = step.notes.as_ref().filter(|notes| **notes != self.notes) {
            self.complain(format!("noted {:?}, not {notes:?}", self.notes));
        }
        Ok(())
    }

    fn ask(&mut self, query: Query) -> Fallible<()> {
        self.next_port += 1;
        let port = self.next_port;
        let packet = packets::query(&query, port.wrapping_mul(40_503))?;
        let transport = match query.over {
            Over::Udp => Transport::Datagram,
            Over::Tcp => Transport::Stream,
        };
        let client = Client {
            address: query.client,
            transport,
            is_encrypted: false,
        };
        let (driver, awaited) = (query.driver - 1, query.reply.is_some());
        let waiting = Waiting {
            query,
            packet: packet.clone(),
            since: self.now,
            answered: false,
        };
        self.clients.insert(port, waiting);

        let settings = self.pipeline.settings();
        // What stands in the buffer before must not matter.
        let mut reply = vec![0xEE; 30];
        match self
            .pipeline
            .answer_now(&settings, &packet, client, self.now, &mut reply)
        {
            Outcome::Reply { tally, refresh } => {
                self.replied(port, &reply, tally)?;
                if refresh {
                    self.drive(driver, |fetches, now, actions| {
                        fetches.refresh(&packet, now, actions);
                    })?;
                }
            }
            Outcome::Drop if awaited => self.complain("the query was dropped"),
            Outcome::Drop => {}
            Outcome::Fetch => {
                let peer = SocketAddr::new(client.address, port);
                let via = match transport {
                    Transport::Datagram => Via::Socket {
                        listener: 0,
                        local: None,
                        interface: 0,
                    },
                    Transport::Stream => Via::Connection(u64::from(port)),
                };
                let origin = Origin { client, peer, via };
                self.drive(driver, |fetches, now, actions| {
                    fetches.ask(&packet, origin, now, actions);
                })?;
            }
        }
        Ok(())
    }

    /// Lets a driver do something and does what it asks for.
    fn drive(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Fetches, Moment, &mut Vec<Action>),
    ) -> Fallible<()> {
        let driver = self.drivers.get_mut(index).ok_or("no such driver")?;
        let mut actions = Vec::new();
        act(&mut driver.fetches, self.now, &mut actions);
        for action in actions {
            match action {
                Action::Send {
                    exchange,
                    upstream: Server::Plain(upstream),
                    transport,
                    packet,
                } => {
                    let over = match transport {
                        Transport::Datagram => Over::Udp,
                        Transport::Stream => Over::Tcp,
                    };
                    self.send(
                        index,
                        exchange,
                        &Heard {
                            upstream,
                            over,
                            packet,
                        },
                    )?;
                }
                Action::Reply {
                    origin,
                    reply,
                    tally,
                } => {
                    self.replied(origin.peer.port(), &reply, tally)?;
                }
                Action::Release { fetch } => {
                    if let Some(driver) = self.drivers.get_mut(index) {
                        driver.open.remove(&fetch);
                    }
                }
                Action::Send { upstream, .. } => {
                    return Err(format!("scenarios know no {upstream}"));
                }
                Action::Note(note) => self.notes.push(note_text(&note)),
            }
        }
        Ok(())
    }

    /// A packet of ours reaches an upstream; what it says comes back later.
    fn send(&mut self, index: usize, exchange: Exchange, heard: &Heard) -> Fallible<()> {
        let question = checks::every_upstream_query(&heard.packet)?;
        let (name, kind) = heard.asked()?;
        if let Some(driver) = self.drivers.get_mut(index) {
            driver.open.insert(exchange.fetch);
        }
        let count = self.sent.entry((index, exchange.fetch, kind)).or_default();
        *count += 1;
        if *count > MOST_PACKETS {
            return Err(format!(
                "{count} packets for {} {}",
                name_text(&name),
                kind_text(kind)
            ));
        }
        let since = self.now.since(self.began);
        let line: Line = match self.upstreams.hear(heard, &question, self.step, since) {
            Ok(line) => line,
            Err(fault) => {
                self.complain(fault);
                return Ok(());
            }
        };
        for say in &line.say {
            let (after, packet) = match say {
                Say::Silence => continue,
                Say::Unreachable => (line.after, None),
                Say::Packet(packet) => {
                    let octets = packets::answer(packet, &heard.packet)?;
                    if packet.wrong.is_none() {
                        self.spoken
                            .insert((name.to_ascii_lowercase(), kind), octets.clone());
                    }
                    (packet.after.unwrap_or(line.after), Some(octets))
                }
            };
            let delivery = Delivery {
                driver: index,
                exchange,
                packet,
            };
            self.deliveries.push(self.now + after.0, delivery);
        }
        Ok(())
    }

    fn replied(&mut self, port: u16, reply: &[u8], tally: Tally) -> Fallible<()> {
        let client = self
            .clients
            .get_mut(&port)
            .ok_or("a reply for a client that never asked")?;
        let asked = label(&client.query);
        if std::mem::replace(&mut client.answered, true) {
            return Err(format!("{asked}: a second reply"));
        }
        let Some(expected) = &client.query.reply else {
            return Err(format!("{asked}: a reply where silence was due"));
        };
        let exchanged = Exchanged {
            query: &client.packet,
            reply,
            over: client.query.over,
            max_udp: self.config.max_udp,
        };
        let mut faults = Vec::new();
        let message = checks::every_reply(&exchanged, &mut faults)
            .map_err(|fault| format!("{asked}: the reply does not parse: {fault}"))?;
        let key = Heard::question_of(&client.packet).ok();
        let flags = client.packet.get(2..4).unwrap_or_default();
        let given = Given {
            message: &message,
            packet: reply,
            upstream: key.and_then(|key| self.spoken.get(&key)).map(Vec::as_slice),
            asked: flags
                .iter()
                .fold(0, |sum, &octet| sum << 8 | u16::from(octet)),
            took: self.now.since(client.since),
            tally,
            config: &self.config,
        };
        compare(&given, expected, &mut faults)?;
        for fault in faults {
            self.complain(format!("{asked}: {fault}"));
        }
        Ok(())
    }

    fn await_replies(&mut self) -> Fallible<()> {
        let limit = self.now + PATIENCE;
        let waits = |client: &Waiting| !client.answered && client.query.reply.is_some();
        while self.clients.values().any(waits) {
            match self.next_event().filter(|next| *next <= limit) {
                Some(next) => self.advance(next)?,
                None => break,
            }
        }
        let silent: Vec<String> = self
            .clients
            .values()
            .filter(|c| waits(c))
            .map(|c| label(&c.query))
            .collect();
        self.clients.clear();
        match silent.is_empty() {
            true => Ok(()),
            false => Err(format!("no reply to {}", silent.join(", "))),
        }
    }

    fn next_event(&self) -> Option<Moment> {
        let delivery = self.deliveries.next();
        let wakes = self
            .drivers
            .iter()
            .filter_map(|driver| driver.fetches.next_wake());
        wakes.chain(delivery).min()
    }

    /// Time goes on, from event to event.
    fn advance(&mut self, to: Moment) -> Fallible<()> {
        let (mut last, mut count) = (self.now, 0);
        while let Some(next) = self.next_event().filter(|next| *next <= to) {
            // A wake that is overdue happens now, not in the past.
            self.now = self.now.max(next);
            count = if self.now == last { count + 1 } else { 0 };
            last = self.now;
            if count > TOO_MANY {
                return Err("the drivers turn in a circle without time passing".to_owned());
            }
            self.happen()?;
        }
        self.now = self.now.max(to);
        Ok(())
    }

    /// What is due now: packets first, then the drivers' own clocks.
    fn happen(&mut self) -> Fallible<()> {
        while let Some(delivery) = self.deliveries.pop(self.now) {
            let Delivery {
                driver,
                exchange,
                packet,
            } = delivery;
            let open = self
                .drivers
                .get(driver)
                .is_some_and(|d| d.open.contains(&exchange.fetch));
            if open {
                self.drive(driver, |fetches, now, actions| {
                    let event = match &packet {
                        Some(packet) => Event::Packet { exchange, packet },
                        None => Event::Failed {
                            exchange,
                            trouble: Trouble::Unreachable,
                        },
                    };
                    fetches.on(event, now, actions);
                })?;
            }
        }
        for index in 0..self.drivers.len() {
            let wake = self
                .drivers
                .get(index)
                .and_then(|driver| driver.fetches.next_wake());
            if wake.is_some_and(|wake| wake <= self.now) {
                self.drive(index, Fetches::expire)?;
            }
        }
        Ok(())
    }

    /// After the last step: what still runs comes to its end, and nothing is left over.
    fn settle(&mut self) {
        let limit = self.now + PATIENCE;
        while self.drivers.iter().any(|driver| !driver.open.is_empty()) {
            let Some(next) = self.next_event().filter(|next| *next <= limit) else {
                break;
            };
            if let Err(fault) = self.advance(next) {
                return self.complain(fault);
            }
        }
        let open: usize = self.drivers.iter().map(|driver| driver.open.len()).sum();
        if open > 0 {
            self.complain(format!("{open} fetches were never released"));
        }
        for leftover in self.upstreams.leftovers() {
            self.complain(leftover);
        }
    }
}
