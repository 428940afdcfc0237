# systemd-resolved without the rest of systemd: arguments are the program, the port on 127.0.0.1 that it forwards to with
# the name of who is there behind a `#` where it matters, and whether it does so over TLS.
# Runs as root of a mount namespace of its own. A bus is not needed; a user of its own neither, so root plays it,
# the only one there is in a user namespace.
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/resolve /run/systemd/resolved.conf.d
echo 'systemd-resolve:x:0:0::/:/bin/false' > /run/passwd
echo 'systemd-resolve:x:0:' > /run/group
mount --bind /run/passwd /etc/passwd
mount --bind /run/group /etc/group
if [ -e /etc/systemd/resolved.conf ]; then mount --bind /dev/null /etc/systemd/resolved.conf; fi
cat > /run/systemd/resolved.conf.d/test.conf <<CONF
[Resolve]
DNS=127.0.0.1:$2
DNSOverTLS=$3
Domains=~.
FallbackDNS=
DNSSEC=no
LLMNR=no
MulticastDNS=no
# As it is with a server that is not on this host.
CacheFromLocalhost=yes
CONF
SYSTEMD_LOG_TARGET=console exec "$1"
