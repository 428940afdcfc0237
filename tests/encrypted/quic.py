"""A server for DNS over QUIC and over HTTP/3 by aioquic, which is strict: all that a client must not do ends the program.

Arguments: port, certificate, key. Each question for A gets 192.0.2.7, others no record. It takes TCP connections at that port
once it is ready.
"""

import asyncio
import os
import sys
import traceback

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, StreamDataReceived

WANTED = {
    b":method": b"POST",
    b":scheme": b"https",
    b":path": b"/dns-query",
    b"content-type": b"application/dns-message",
    b"accept": b"application/dns-message",
}


def answer(query):
    end = 12
    while query[end]:
        end += 1 + query[end]
    end += 5
    assert query[:2] == b"\0\0", "RFC 9250 4.2.1: an id other than 0"
    is_a = query[end - 4 : end - 2] == b"\0\1"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7" if is_a else b""
    return b"\0\0\x81\x80\0\1\0" + bytes([is_a]) + b"\0\0\0\0" + query[12:end] + record


class Peer(QuicConnectionProtocol):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.http = None
        self.streams = {}

    def quic_event_received(self, event):
        try:
            self.take(event)
        except Exception:
            traceback.print_exc()
            os._exit(1)

    def take(self, event):
        if isinstance(event, ProtocolNegotiated) and event.alpn_protocol == "h3":
            self.http = H3Connection(self._quic)
        if self.http:
            for said in self.http.handle_event(event):
                self.take_http(said)
        elif isinstance(event, StreamDataReceived):
            octets = self.streams.pop(event.stream_id, b"") + event.data
            if not event.end_stream:
                self.streams[event.stream_id] = octets
                return
            length = int.from_bytes(octets[:2], "big")
            assert length == len(octets) - 2, "RFC 9250 4.2: a length and one message"
            reply = answer(octets[2:])
            framed = len(reply).to_bytes(2, "big") + reply
            self._quic.send_stream_data(event.stream_id, framed, end_stream=True)
        self.transmit()

    def take_http(self, said):
        if isinstance(said, HeadersReceived):
            headers = dict(said.headers)
            for name, value in WANTED.items():
                assert headers.get(name) == value, (name, headers)
            assert headers[b":authority"].startswith(b"dns.test:"), headers
        elif isinstance(said, DataReceived):
            query = self.streams.pop(said.stream_id, b"") + said.data
            if not said.stream_ended:
                self.streams[said.stream_id] = query
                return
            reply = answer(query)
            headers = [
                (b":status", b"200"),
                (b"content-type", b"application/dns-message"),
                (b"content-length", str(len(reply)).encode()),
            ]
            self.http.send_headers(said.stream_id, headers)
            self.http.send_data(said.stream_id, reply, end_stream=True)


async def main(port, certificate, key):
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["doq", "h3"])
    configuration.load_cert_chain(certificate, key)
    await serve("127.0.0.1", port, configuration=configuration, create_protocol=Peer)
    ready = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
    await ready.serve_forever()


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
