"""Verified discovery of a designated resolver (RFC 9462 section 4.2), by dnspython and Python's own TLS.

Arguments: the plain port on 127.0.0.1, and the file of the authority to trust. Ends with a trace at the first thing
that is wrong.
"""

import socket
import ssl
import sys

import dns.message
import dns.query
import dns.rdatatype
from dns.rdtypes.svcbbase import ParamKey

RESOLVER, PORT, AUTHORITY = "127.0.0.1", int(sys.argv[1]), sys.argv[2]

query = dns.message.make_query("_dns.resolver.arpa", "SVCB")
reply = dns.query.udp(query, RESOLVER, port=PORT, timeout=5)
(rrset,) = reply.answer
assert rrset.rdtype == dns.rdatatype.SVCB and 0 < rrset.ttl <= 3600, rrset
(service,) = rrset
assert service.priority == 1 and str(service.target) == "dns.example.", service
assert service.params[ParamKey.ALPN].ids == (b"dot",), service
(address,) = service.params[ParamKey.IPV4HINT].addresses
port = service.params[ParamKey.PORT].port

# The certificate chains up to the authority, is for the designated name, and holds the address of the resolver that told.
context = ssl.create_default_context(cafile=AUTHORITY)
target = str(service.target)[:-1]
with socket.create_connection((address, port), 5) as stream:
    with context.wrap_socket(stream, server_hostname=target) as tls:
        assert ("IP Address", RESOLVER) in tls.getpeercert()["subjectAltName"]
        query = dns.message.make_query("registry-1.docker.io", "AAAA")
        reply = dns.query.tls(query, address, port=port, sock=tls, timeout=5)
        assert not reply.answer and reply.authority, reply
