"""Puts images of one small layer into the registry on 127.0.0.1:443, by the OCI distribution API.

Arguments: the file of the CA, then each image with its host."""

import gzip
import hashlib
import http.client
import io
import json
import socket
import ssl
import sys
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry(http.client.HTTPSConnection):
    """One image's place, by a connection to loopback under the host's name."""

    def __init__(self, trust, host, image):
        super().__init__(host)
        self.trust, self.image = trust, image

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", 443), 5)
        self.sock = self.trust.wrap_socket(plain, server_hostname=self.host)

    def call(self, method, path, body=None, kind="application/octet-stream"):
        self.request(method, path, body, {"Content-Type": kind})
        response = self.getresponse()
        said = response.read()
        if response.status >= 300:
            sys.exit(f"{method} {path}: {response.status} {said[:200]}")
        return response

    def blob(self, content, kind):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        place = self.call("POST", f"/v2/{self.image}/blobs/uploads/").getheader("Location")
        place = place[place.index("/v2/"):]
        self.call("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", content)
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    def put(self, layer):
        digest = "sha256:" + hashlib.sha256(layer).hexdigest()
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [digest]},
        }
        packed = gzip.compress(layer, mtime=0)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
            "layers": [self.blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip")],
        }
        self.call("PUT", f"/v2/{self.image}/manifests/latest", json.dumps(manifest), MANIFEST)


def layer(text):
    octets = io.BytesIO()
    with tarfile.open(fileobj=octets, mode="w") as archive:
        entry = tarfile.TarInfo("hello.txt")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return octets.getvalue()


trust = ssl.create_default_context(cafile=sys.argv[1])
for name in sys.argv[2:]:
    host, image = name.split("/", 1)
    Registry(trust, host, image).put(layer(f"hello from {host}\n".encode()))
