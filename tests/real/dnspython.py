"""dnspython as a client: every reply read strictly, and held against what a reply must be.

Argument: the port on 127.0.0.1. Ends with a trace at the first thing that is wrong.
"""

import sys

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

HOST, PORT = "127.0.0.1", int(sys.argv[1])
LISTED = ["registry-1.docker.io", "auth.docker.io", "production.cloudflare.docker.com"]


def ask(name, kind, edns, over):
    """One question; dnspython itself refuses another id, question or sender, and octets after the end."""
    query = dns.message.make_query(name, kind, use_edns=0 if edns else -1, payload=1232)
    query.flags |= dns.flags.CD if edns else 0
    reply = over(query, HOST, port=PORT, timeout=5)
    assert query.is_response(reply), reply
    flags = dns.flags.QR | dns.flags.RA | query.flags & (dns.flags.RD | dns.flags.CD)
    # dnspython keeps the RCODE in the same number.
    assert reply.flags & ~0xF == flags, dns.flags.to_text(reply.flags)
    assert (reply.edns >= 0) == edns, "OPT exactly if the query had one"
    assert str(reply.question[0].name) == name + ".", "letter case"
    # What it read it can write, and read again.
    assert dns.message.from_wire(reply.to_wire()) == reply
    return reply


def check_stripped(reply, owner, chain=0):
    """NODATA with one SOA that covers the name, and the reason for who can hear it."""
    assert reply.rcode() == dns.rcode.NOERROR
    assert len(reply.answer) == chain, reply
    assert all(rrset.rdtype == dns.rdatatype.CNAME for rrset in reply.answer)
    assert len(reply.authority) == 1 and not reply.additional, reply
    soa = reply.authority[0]
    assert soa.rdtype == dns.rdatatype.SOA and len(soa) == 1
    assert dns.name.from_text(owner).is_subdomain(soa.name) and soa.name != dns.name.root, soa
    assert 0 < soa.ttl <= 60 and 0 < soa[0].minimum <= 60, soa
    reasons = [o for o in reply.options if isinstance(o, dns.edns.EDEOption)]
    assert len(reasons) == len(reply.options) == (1 if reply.edns >= 0 else 0), reply
    for reason in reasons:
        assert (int(reason.code), reason.text) == (17, "docker-hub"), reason


def check_messages():
    end = "prodextdefblue-1.us-east-1.elb.amazonaws.com"
    for over in (dns.query.udp, dns.query.tcp):
        for edns in (False, True):
            for name in LISTED + ["rEgIsTrY-1.DoCkEr.Io"]:
                check_stripped(ask(name, "AAAA", edns, over), name)
                assert len(ask(name, "A", edns, over).answer[0]) >= 1
            check_stripped(ask("hub.docker.com", "AAAA", edns, over), end, chain=2)
            both = ask("quay.io", "A", edns, over), ask("quay.io", "AAAA", edns, over)
            assert [len(reply.answer[0]) for reply in both] == [3, 3]
            hints = [
                ask(name, "HTTPS", edns, over).answer[0][0].params
                for name in ("production.cloudflare.docker.com", "quay.io")
            ]
            assert [sorted(map(int, params)) for params in hints] == [[1, 4], [1, 4, 6]]
            gone = ask("nobody.quay.io", "A", edns, over)
            assert gone.rcode() == dns.rcode.NXDOMAIN and len(gone.authority) == 1


def check_resolver():
    """dnspython's own stub, with its search for a usable answer."""
    stub = dns.resolver.Resolver(configure=False)
    stub.nameservers, stub.port, stub.lifetime = [HOST], PORT, 5
    for name in LISTED + ["hub.docker.com"]:
        assert stub.resolve(name, "A", search=False).rrset
        try:
            stub.resolve(name, "AAAA", search=False)
            raise AssertionError(name + " has an IPv6 address")
        except dns.resolver.NoAnswer:
            pass
    assert len(stub.resolve("quay.io", "AAAA", search=False).rrset) == 3
    assert len(stub.resolve("big.odd.example", "TXT", search=False).rrset) == 16


check_messages()
check_resolver()
