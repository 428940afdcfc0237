"""Puts an image of one small layer into the registry on 127.0.0.1:443, by the OCI distribution API.

Arguments: the file of the CA, the host's name, the image's name."""

import gzip
import hashlib
import http.client
import io
import json
import socket
import ssl
import sys
import tarfile

CA, HOST, IMAGE = sys.argv[1:]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Connection(http.client.HTTPSConnection):
    """To loopback, under the host's name."""

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", 443), 5)
        self.sock = ssl.create_default_context(cafile=CA).wrap_socket(plain, server_hostname=HOST)


def call(method, path, body=None, kind="application/octet-stream"):
    connection = Connection(HOST)
    connection.request(method, path, body, {"Content-Type": kind})
    response = connection.getresponse()
    said = response.read()
    if response.status >= 300:
        sys.exit(f"{method} {path}: {response.status} {said[:200]}")
    return response


def blob(content, kind):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    place = call("POST", f"/v2/{IMAGE}/blobs/uploads/").getheader("Location")
    place = place[place.index("/v2/"):]
    call("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", content)
    return {"mediaType": kind, "digest": digest, "size": len(content)}


layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as archive:
    text = f"hello from {HOST}\n".encode()
    entry = tarfile.TarInfo("hello.txt")
    entry.size = len(text)
    archive.addfile(entry, io.BytesIO(text))
layer = layer.getvalue()
config = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Cmd": ["/hello"]},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
}
manifest = {
    "schemaVersion": 2,
    "mediaType": MANIFEST,
    "config": blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
    "layers": [blob(gzip.compress(layer, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")],
}
call("PUT", f"/v2/{IMAGE}/manifests/latest", json.dumps(manifest), MANIFEST)
