"""Asks unsix over QUIC: by dnspython, as people use it, and by aioquic itself for what no client should do.

Prints what came; the test looks at that. Arguments: port, file of the CA, name of the server.
"""

import asyncio
import sys

import dns.edns
import dns.message
import dns.query
import dns.quic
from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamDataReceived

PORT, CA, NAME = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def ask(name, kind, **options):
    query = dns.message.make_query(name, kind, use_edns=0, **options)
    return dns.query.quic(query, "127.0.0.1", timeout=10, port=PORT, verify=CA, server_hostname=NAME)


def by_dnspython():
    for name, kind in (("registry-1.docker.io", "AAAA"), ("registry-1.docker.io", "A"), ("quay.io", "AAAA"), ("big.odd.example", "TXT")):
        reply = ask(name, kind)
        print(name, kind, dns.rcode.to_text(reply.rcode()), "id", reply.id, "records", sum(len(rrset) for rrset in reply.answer))
        print(*(record for rrset in reply.answer for record in rrset if kind != "TXT"))
    padded = ask("quay.io", "A", pad=128)
    print("padded to", len(padded.wire))
    query = dns.message.make_query("quay.io", "A")
    query.id = 0
    with dns.quic.SyncQuicManager(verify_mode=CA, server_name=NAME) as manager:
        connection = manager.connect("127.0.0.1", PORT)
        answered = 0
        for _ in range(1000):
            with connection.make_stream(10) as stream:
                stream.send(query.to_wire(), True)
                answered += dns.message.from_wire(stream.receive(10)).answer != []
        print("on one connection", answered)
    try:
        query = dns.message.make_query("quay.io", "A")
        dns.query.quic(query, "127.0.0.1", timeout=3, port=PORT, verify=CA, server_hostname="dns.other.example")
        print("answered under another name")
    except Exception as error:  # It says that the server is gone, not why.
        print("another name is refused:", type(error).__name__)


class Client(QuicConnectionProtocol):
    """Keeps what came on streams, and how it ended."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.said, self.ended = {}, asyncio.Event()
        self.finished = {}

    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived):
            self.said[event.stream_id] = self.said.get(event.stream_id, b"") + event.data
            if event.end_stream:
                self.finished.setdefault(event.stream_id, asyncio.Event()).set()
        if isinstance(event, ConnectionTerminated):
            self.end = (event.error_code, event.reason_phrase)
            self.ended.set()

    def say(self, octets, one_way=False):
        stream = self._quic.get_next_available_stream_id(is_unidirectional=one_way)
        self._quic.send_stream_data(stream, octets, end_stream=True)
        self.transmit()
        return stream

    async def ask(self):
        query = dns.message.make_query("quay.io", "A")
        query.id = 0
        wire = query.to_wire()
        stream = self.say(len(wire).to_bytes(2, "big") + wire)
        await asyncio.wait_for(self.finished.setdefault(stream, asyncio.Event()).wait(), 10)
        return dns.message.from_wire(self.said[stream][2:]).answer != []


def configuration(ticket=None):
    trust = QuicConfiguration(is_client=True, alpn_protocols=["doq"], server_name=NAME, session_ticket=ticket)
    trust.load_verify_locations(CA)
    return trust


async def by_aioquic():
    tickets = []

    async def talk(ticket=None):
        return connect("127.0.0.1", PORT, configuration=configuration(ticket), create_protocol=Client, session_ticket_handler=tickets.append)

    async with await talk() as client:
        answered = await client.ask()
        # New keys, another id, another port: a client may have all of them at any time.
        client._quic.request_key_update()
        client.change_connection_id()
        answered += await client.ask()
        print("after new keys and another id", answered)
    async with await talk(tickets[0]) as client:
        early = tickets[0].max_early_data_size
        print("resumed", client._quic.tls.session_resumed, "early data", early, "answered", await client.ask())
    async with await talk() as client:
        # It has no credit for one, and takes it.
        client._quic._remote_max_streams_uni = 1
        client.say(b"x", one_way=True)
        await asyncio.wait_for(client.ended.wait(), 10)
        print("a one-way stream ends by", client.end[0])
    async with await talk() as client:
        client.say(b"\0\x0c" + b"\0\1" + b"\0" * 10)
        await asyncio.wait_for(client.ended.wait(), 10)
        print("an id ends by", *client.end)


by_dnspython()
asyncio.run(by_aioquic())
