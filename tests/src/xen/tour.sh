#!/bin/sh
# tour.sh: from a plain dom0 to a protected domU, each command with what it says, as docs/xen.md shows it.
set -u
. /lab/common.sh
cd /root || exit 1
rm -rf "$OUT"
mkdir -p "$OUT"
cp /lab/refined.gate voip.gate

# say COMMAND: shows it and runs it. What ends badly says so, as a shell with that prompt would.
say() {
    echo "\$ $1"
    eval "$1" 2>&1 || echo "[exit status $?]"
}

ip netns exec far lab-xen far >"$OUT/answers" &
far=$!

say "xl info | grep -E '^(release|xen_version|total_memory) '"
say "xl list"
say "grep -c 'plug qdisc is not installed' /lab/debian/libxenlight.so.4.17"
say "LD_LIBRARY_PATH=/lab/debian xl remus -F -b -d guest nowhere 2>&1 | grep -Ev '^xc: (info|progress)'"
say "grep -c 'plug qdisc is not installed' /usr/lib/x86_64-linux-gnu/libxenlight.so.4.17"
say "epochgate probe | grep -E '^kernel|  plug  |work here'"
say "epochgate check voip.gate"
say "epochgate compile voip.gate --emit xen-hook -o /etc/xen/scripts"
say "mv /etc/xen/scripts/xen-hook.sh /etc/xen/scripts/remus-voip"
before=$(grep -c 'action=0' "$TRACE/trace")
say "xl remus -i 300 -F -b -d -N /etc/xen/scripts/remus-voip guest nowhere >remus.log 2>&1 &"
until_true 600 checkpoints_above "$((before + 3))"
say "grep -Ev '^xc: (info|progress)' remus.log"
say "epochgate audit voip.gate --vif vif1.0"
say "tc -s qdisc show dev ifb-vif1.0"
say "xenstore-ls /libxl/1/remus/netbuf"
say "nft list tables"
after_a_release
say "pkill -KILL -f libxl-save-helper"
until_true 400 sh -c '! pgrep -f "[x]l remus" >/dev/null'
say "tail -n 8 remus.log"
say "ip -br link show type ifb"
say "xl list"
kill "$far"
