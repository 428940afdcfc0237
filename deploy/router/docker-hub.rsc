# MikroTik RouterOS 7: connections to Docker Hub over IPv6 are refused, so that clients go on over IPv4 at once.
# Import it: /import docker-hub.rsc
#
# It reaches: whatever goes through this router to 2600:1f18::/32, port 443; every program, whatever resolver it has. That
# network is all of one region of a cloud provider: other sites there lose IPv6 as well, and a host that has no
# IPv4 is unreachable. Docker Hub moves: another network needs another rule. What it does not reach: machines on the same link
# that go out by another way, and a router's own Docker. `reject-with=tcp-reset` matters: dropped, each
# connection waits for its time-out instead.
#
# Remove it once unsix runs, which does the same by name:
#   /ipv6 firewall filter remove [find comment="unsix-docker-hub"]
#
# If only large packets are lost, which is a common cause, this cures it for all sites and needs none of the above:
#   /ipv6 firewall mangle add chain=forward protocol=tcp tcp-flags=syn action=change-mss new-mss=clamp-to-pmtu
/ipv6 firewall filter
:if ([:len [find comment="unsix-docker-hub"]] = 0) do={
  add chain=forward action=reject reject-with=tcp-reset protocol=tcp dst-address=2600:1f18::/32 dst-port=443 comment="unsix-docker-hub"
  # Above the rules that accept.
  move [find comment="unsix-docker-hub"] destination=0
}
