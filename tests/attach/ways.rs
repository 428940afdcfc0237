//! Each way in: who asks us then, and who does not.

use crate::daemon::client::Client;
use crate::daemon::host::resolved as program;
use crate::daemon::until;
use crate::world::{
    ANOTHER, LISTED, OTHER, PROVIDER, PROVIDER6, ask_servers, at, attach, config, is_as_before,
    is_cured, lookup, nothing_is_left, provider, run, shell, sixes, sixes_over_tcp, start_run,
    systemd_resolved, usual, write,
};
use rustix::process::Signal;
use std::fs;

pub(crate) fn redirect() {
    let _provider = provider();
    ask_servers(&[PROVIDER, PROVIDER6]);
    assert!(is_as_before());
    let daemon = run(&usual());
    let mut attach = attach("redirect", &usual());
    attach.says("attached way=redirect");
    assert!(is_cured());
    let table = shell("nft list ruleset");
    assert!(table.contains("flags owner"), "{table}");
    for server in [PROVIDER, PROVIDER6] {
        let own = if server == PROVIDER {
            "192.0.2.10"
        } else {
            "2001:db8:1::10"
        };
        assert_eq!(sixes(&Client::from(own, at(server))), 0, "{server}");
        assert_eq!(sixes_over_tcp(server), 0, "{server}");
    }
    // Only the servers of resolv.conf: what asks another one is none of ours.
    assert_eq!(sixes(&Client::from("192.0.2.10", at(ANOTHER))), 3);
    assert!(
        !shell("nft delete table inet unsix 2>&1").is_empty(),
        "it has an owner"
    );

    attach.signal(Signal::TERM);
    assert_eq!(attach.ends(), Some(0));
    nothing_is_left();
    assert!(is_as_before());
    assert_eq!(daemon.count(" ERROR "), 0);
}

/// A socket that lives on has its old way in the kernel's memory: on attaching and on letting go it is forgotten.
pub(crate) fn flows() {
    let _provider = provider();
    ask_servers(&[PROVIDER]);
    let client = Client::from("192.0.2.10", at(PROVIDER));
    // Without a table nobody keeps track: this one has the kernel do it, as on most hosts.
    shell("nft 'table ip track { chain out { type nat hook output priority 0; }; }'");
    assert_eq!(sixes(&client), 3);
    let daemon = run(&usual());
    let mut attach = attach("redirect", &usual());
    attach.says("attached way=redirect");
    assert_eq!(sixes(&client), 0, "it asks us now");
    daemon.signal(Signal::KILL);
    attach.says("let go");
    assert_eq!(sixes(&client), 3, "and the provider again");
    attach.signal(Signal::TERM);
    assert_eq!(attach.ends(), Some(0));
}

/// The daemon must serve this host's own addresses of both families before anything is led to it.
pub(crate) fn access() {
    let _provider = provider();
    ask_servers(&[PROVIDER, PROVIDER6]);
    let file = config(
        "listen: ['127.0.6.53:53', '[::1]:5300']\nadmin: off\naccess: {allow: [127.0.0.0/8, 192.0.2.0/24]}\n",
    );
    let _daemon = run(&file);
    let attach = attach("redirect", &file);
    attach.says("[::1]:5300 refuses clients at 2001:db8:1::10: add that address to `access.allow`");
    nothing_is_left();
    assert!(is_as_before());
    // As an editor would, and both follow.
    let text = fs::read_to_string(&file).unwrap();
    write(
        file.to_str().unwrap(),
        &text.replace("/24]", "/24, '2001:db8:1::/64']"),
    );
    attach.says("attached way=redirect");
    assert!(is_cured());
}

/// Rules that change are followed, by the daemon and by attach.
pub(crate) fn rules() {
    let _provider = provider();
    let _resolved = systemd_resolved(&program().unwrap());
    let file = usual();
    let _daemon = run(&file);
    let attach = attach("resolved", &file);
    attach.says("attached way=resolved");
    assert!(is_cured());
    let text = fs::read_to_string(&file).unwrap();
    write(
        file.to_str().unwrap(),
        &(text
            + "rules: [{hosts: [.quay.io], cname: flatten}, {preset: docker-hub, cname: flatten}]\n"),
    );
    attach.says("zones=\"quay.io. docker.io. docker.com.\"");
    until("both are listed", || {
        let both = [LISTED, OTHER].map(lookup);
        both.iter()
            .all(|one| matches!(one, Ok((1.., 0))))
            .then_some(())
    });
}

pub(crate) fn follows() {
    let _provider = provider();
    ask_servers(&[PROVIDER]);
    let _daemon = run(&usual());
    let attach = attach("redirect", &usual());
    attach.says("attached way=redirect servers=198.51.100.53 ");
    ask_servers(&[PROVIDER6]);
    attach.says("attached way=redirect servers=2001:db8:53::53 ");
    assert!(is_cured());
    ask_servers(&[]);
    attach.says("what was in force stays: /etc/resolv.conf names no name server");
    assert!(shell("nft list ruleset").contains("2001:db8:53::53"));
}

/// A unit with DynamicUser may come back as somebody else: whose questions are spared must follow.
pub(crate) fn another_user() {
    let _provider = provider();
    ask_servers(&[PROVIDER]);
    let daemon = run(&usual());
    let attach = attach("redirect", &usual());
    attach.says("attached way=redirect servers=198.51.100.53 spared=4253");
    drop(daemon);
    let script = "exec setpriv --reuid 4254 --regid 4254 --clear-groups --inh-caps -all,+net_bind_service \
        --ambient-caps -all,+net_bind_service /run/host/unsix \"$@\"";
    let _daemon = crate::daemon::program::Program::start(&usual(), script);
    attach.says("attached way=redirect servers=198.51.100.53 spared=4254");
    until("cured again", || is_cured().then_some(()));
}

/// A redirection that does not spare the daemon's own questions leads them back: the loop probe says so.
pub(crate) fn redirected_loop() {
    let _provider = provider();
    ask_servers(&[PROVIDER]);
    shell(
        "nft 'table ip wrong { chain out { type nat hook output priority -150; \
         ip daddr 198.51.100.53 udp dport 53 dnat to 127.0.6.53:53; }; }'",
    );
    let daemon = start_run(&usual());
    let line = daemon.says("leads back");
    assert!(line.contains("198.51.100.53:53"), "{line}");
}

pub(crate) fn resolved() {
    let _provider = provider();
    let _resolved = systemd_resolved(&program().unwrap());
    assert!(is_as_before());
    let uplink = || fs::read_to_string("/run/systemd/resolve/resolv.conf").unwrap();
    let before = uplink();
    let stub = fs::read("/etc/resolv.conf").unwrap();
    let daemon = run(&usual());
    // It learned its upstreams from behind the stub, not from the stub, which is about to ask it.
    daemon.says("upstream address=198.51.100.53:53");
    let mut attach = attach("resolved", &usual());
    attach.says("attached way=resolved");
    assert!(is_cured());
    assert_eq!(
        uplink(),
        before,
        "what Kubernetes gives to pods is as it was"
    );
    assert_eq!(fs::read("/etc/resolv.conf").unwrap(), stub);
    assert_eq!(shell("nft list ruleset"), "");

    attach.signal(Signal::TERM);
    assert_eq!(attach.ends(), Some(0));
    nothing_is_left();
    until("as before", || is_as_before().then_some(()));
    assert_eq!(uplink(), before);
}

pub(crate) fn auto() {
    let _provider = provider();
    let _resolved = systemd_resolved(&program().unwrap());
    let daemon = run(&usual());
    let mut attach = attach("auto", &usual());
    attach.says("attached way=resolved");
    // Only names of the zones come to us: others are asked past us, so that no fault of ours can hurt them.
    assert!(is_cured());
    daemon.signal(Signal::STOP);
    assert!(matches!(lookup(OTHER), Ok((1.., 1..))));
    daemon.signal(Signal::CONT);
    attach.signal(Signal::TERM);
    assert_eq!(attach.ends(), Some(0));

    // It still runs, but programs ask the provider: then only a redirection acts.
    ask_servers(&[PROVIDER]);
    let attach = crate::world::attach("auto", &usual());
    attach.says("attached way=redirect");
    assert!(is_cured());
    drop(attach);
    nothing_is_left();

    let two = config(
        "listen: ['127.0.6.53:53', '169.254.6.53:53']\nadmin: off\naccess: {allow: [0.0.0.0/0]}\nrules: [{hosts: [other.example]}]\n",
    );
    let attach = crate::world::attach("redirect", &two);
    attach.says("does not answer _unsix.other.example. TXT as unsix does");
    assert_eq!(sixes(&Client::from("192.0.2.10", at(PROVIDER))), 3);
}
