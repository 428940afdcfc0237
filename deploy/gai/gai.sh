#!/bin/sh
# Puts IPv4 first in the node's /etc/gai.conf, and takes it back when it ends.
#
# It reaches: programs that resolve names by glibc's getaddrinfo: curl, apt, Python; podman, skopeo and CRI-O on Fedora and
# RHEL. Those try IPv4 first, for every host, and still have IPv6 after it.
# It does not reach: Go's own resolver (Debian's containerd, dockerd, RKE2, Talos, kubelet), musl (k3s), pods. So it cures
# `curl` on the node and seldom the pull: a curl that works proves nothing.
#
# Remove it once unsix runs: kubectl delete -k deploy/gai. If it was killed, on the node: sed -i '/ # unsix-gai$/d' /etc/gai.conf
set -eu
file=${GAI_CONF:-/host/etc/gai.conf}
line='precedence ::ffff:0:0/96 100 # unsix-gai'

undo() {
    [ -e "$file" ] || return 0
    # The shell would eat line ends at the end: an `x` stands behind them.
    rest=$(sed '/ # unsix-gai$/d' "$file" && echo x)
    if [ "$rest" = x ]; then
        rm "$file"
    else
        printf '%s' "${rest%x}" >"$file"
    fi
}

nap=
trap '[ -z "$nap" ] || kill "$nap" || true; undo; exit 0' TERM INT
undo
# A last line without its end would swallow ours.
[ -z "$(tail -c 1 "$file" 2>/dev/null)" ] || echo >>"$file"
printf '%s\n' "$line" >>"$file"
echo "IPv4 comes first in $file"
while :; do
    sleep 3600 &
    nap=$!
    wait "$nap"
done
