//! What was seen of one host, and what that means: what programs here are told, and what each family came to. No IO.

use super::report::{Answered, Probed, Role, Said};
use super::verdict::{Control, Family, Verdict, verdict};
use std::net::IpAddr;

/// What was seen of a host.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Its name, as it was written.
    pub(super) host: String,
    /// The port.
    pub(super) port: u16,
    /// What its name servers say.
    pub(super) said: Vec<Said>,
    /// What came of its addresses.
    pub(super) probes: Vec<Probed>,
}

/// How many addresses of a family are probed.
const MOST: usize = 3;

/// The addresses to probe: those that programs here are told, then those that only others are.
pub(super) fn to_probe(said: &[Said]) -> Vec<IpAddr> {
    let four = take(said, |one| &one.a);
    let six = take(said, |one| &one.aaaa);
    four.into_iter().chain(six).collect()
}

fn take(said: &[Said], what: impl Fn(&Said) -> &Answered) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let told = asked_by_programs(said);
    let others = said.iter().filter(|one| !told.contains(one));
    for one in told.iter().copied().chain(others) {
        for address in &what(one).addresses {
            // Filters tell the unspecified address, which would lead to this host.
            if !address.is_unspecified() && !found.contains(address) {
                found.push(*address);
            }
        }
    }
    found.truncate(MOST);
    found
}

/// Those whose word counts for programs here: the file alone where it names the host, else the name servers of
/// resolv.conf; where those say nothing, all.
fn asked_by_programs(said: &[Said]) -> Vec<&Said> {
    let with = |role| {
        let found = said.iter().filter(|one| one.role == role);
        found.collect::<Vec<_>>()
    };
    let pinned = with(Role::HostsFile);
    if !pinned.is_empty() {
        return pinned;
    }
    let programs = with(Role::Programs);
    match programs.iter().any(|one| one.a.known || one.aaaa.known) {
        true => programs,
        false => said.iter().collect(),
    }
}

impl Seen {
    /// What was found at the addresses of a family; `None` where nobody says what there is.
    fn family(
        &self,
        said: &[&Said],
        what: impl Fn(&Said) -> &Answered,
        of: impl Fn(&[Option<crate::probe::Outcome>]) -> Family,
    ) -> Family {
        if !said.iter().any(|one| what(one).known) {
            return Family::Unknown;
        }
        let is_told = |address: &IpAddr| {
            let mut all = said.iter().flat_map(|one| &what(one).addresses);
            all.any(|one| one == address)
        };
        let probes = self.probes.iter().filter(|one| is_told(&one.address));
        let found: Vec<_> = probes.map(Probed::found).collect();
        of(&found)
    }

    /// IPv4, as programs here see it.
    pub(super) fn four(&self) -> Family {
        self.family(&self.told(), |one| &one.a, Family::of_any)
    }

    /// IPv6, as programs here see it.
    pub(super) fn six(&self) -> Family {
        self.family(&self.told(), |one| &one.aaaa, Family::of)
    }

    /// IPv6, as it would be without the unsix that takes it away; `None` where none does, or nobody tells the addresses.
    pub(super) fn six_behind(&self) -> Option<Family> {
        let all: Vec<&Said> = self.said.iter().collect();
        let has_some = all.iter().any(|one| !one.aaaa.addresses.is_empty());
        (self.stripped_by().is_some() && has_some)
            .then(|| self.family(&all, |one| &one.aaaa, Family::of))
    }

    fn told(&self) -> Vec<&Said> {
        asked_by_programs(&self.said)
    }

    /// The name server that keeps its IPv6 addresses from programs here, if a unsix does so: its word, and where it names it, its rule.
    pub(super) fn stripped_by(&self) -> Option<(&Said, Option<&str>)> {
        let told = self.told();
        if told.iter().any(|one| !one.aaaa.addresses.is_empty()) {
            return None;
        }
        let elsewhere = self.said.iter().any(|one| !one.aaaa.addresses.is_empty());
        let strips = |one: &&&Said| {
            one.unsix.is_some() && one.aaaa.known && (one.aaaa.filtered.is_some() || elsewhere)
        };
        let one = told.iter().find(strips)?;
        Some((one, one.aaaa.filtered.as_deref()))
    }

    /// Whether programs here ask a unsix.
    pub(super) fn asks_unsix(&self) -> bool {
        self.told().iter().any(|one| one.unsix.is_some())
    }

    /// The verdict, and what it would be if nothing were taken away.
    pub(super) fn judge(&self, control: Control) -> (Verdict, Option<Verdict>) {
        let four = self.four();
        let behind = self.six_behind().map(|six| verdict(four, six, control));
        (verdict(four, self.six(), control), behind)
    }

    /// Whether it works over both families, so that it shows that IPv6 works here.
    pub(super) fn is_healthy(&self) -> bool {
        self.four() == Family::Works && self.six() == Family::Works
    }

    /// Whether it works over IPv4 and not over IPv6.
    pub(super) fn lacks_ipv6(&self) -> bool {
        self.four().answers() && matches!(self.six(), Family::Fails(_))
    }

    /// What else was noticed.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.said.iter().any(|one| one.role == Role::HostsFile) {
            remarks.push(
                "/etc/hosts names it, so programs ask no name server: addresses there grow old"
                    .to_owned(),
            );
        }
        remarks.extend(self.mixture(IpAddr::is_ipv4, "IPv4"));
        remarks.extend(self.mixture(IpAddr::is_ipv6, "IPv6"));
        remarks.extend(self.difference(|one| &one.a, "IPv4"));
        remarks.extend(self.difference(|one| &one.aaaa, "IPv6"));
        let unspecified = |one: &&Said| {
            let mut all = one.a.addresses.iter().chain(&one.aaaa.addresses);
            all.any(IpAddr::is_unspecified)
        };
        remarks.extend(self.said.iter().find(unspecified).map(|one| {
            format!(
                "{} tells the unspecified address, which leads programs to this host: a filter does that",
                one.shown()
            )
        }));
        let nat64 = |one: &&Probed| matches!(one.address, IpAddr::V6(six) if six.octets().starts_with(&NAT64));
        remarks.extend(self.probes.iter().find(nat64).map(|one| {
            format!(
                "{} is made from an IPv4 address by DNS64: its IPv6 is that of a NAT64 of this network",
                one.address
            )
        }));
        remarks
    }

    /// Some of several addresses fail.
    fn mixture(&self, family: impl Fn(&IpAddr) -> bool, name: &str) -> Option<String> {
        let all = || self.probes.iter().filter(|one| family(&one.address));
        let answers = |one: &&Probed| {
            let found = one.found();
            found.is_some_and(|outcome| Family::of(&[Some(outcome)]).answers())
        };
        let failing: Vec<String> = all()
            .filter(|one| !answers(one))
            .map(|one| one.address.to_string())
            .collect();
        let count = all().count();
        (!failing.is_empty() && failing.len() < count).then(|| {
            format!(
                "{} of its {count} {name} addresses fails: {}",
                failing.len(),
                failing.join(", ")
            )
        })
    }

    /// Programs may ask any of their name servers, and some ask all at once.
    fn difference(&self, what: impl Fn(&Said) -> &Answered, name: &str) -> Option<String> {
        let is_asked = |one: &&Said| one.role == Role::Programs && what(one).known;
        let asked: Vec<&Said> = self.said.iter().filter(is_asked).collect();
        let with = asked.iter().find(|one| !what(one).addresses.is_empty())?;
        let without = asked.iter().find(|one| what(one).addresses.is_empty())?;
        Some(format!(
            "{} tells {name} addresses and {} none: what a program gets depends on whom it asks first",
            with.shown(),
            without.shown()
        ))
    }
}

/// The first octets of 64:ff9b::/96 (RFC 6052 §2.1).
const NAT64: [u8; 12] = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

/// What hosts other than this one say of IPv6 here, and which one says so. Any that works over both families shows that
/// IPv6 works; that it does not only those say that were chosen for it.
pub(super) fn control<'a>(
    host: &Seen,
    others: &'a [Seen],
    controls: &'a [Seen],
) -> (Control, Option<&'a str>) {
    let is_other = |one: &&Seen| !one.host.eq_ignore_ascii_case(&host.host);
    let mut all = controls.iter().chain(others).filter(is_other);
    if let Some(works) = all.find(|one| one.is_healthy()) {
        return (Control::Works, Some(&works.host));
    }
    let mut chosen = controls.iter().filter(is_other);
    match chosen.find(|one| one.lacks_ipv6()) {
        Some(fails) => (Control::Fails, Some(&fails.host)),
        None => (Control::Missing, None),
    }
}

#[cfg(test)]
mod tests;
