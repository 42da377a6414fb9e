#!/bin/sh
# backup.sh ADDRESS: listens for checkpoints of a primary, and records what comes from it and what the far side
# sees, in /run/xen-lab, until it is killed.
set -u
. /lab/common.sh

rm -rf "$OUT"
mkdir -p "$OUT"
tcpdump -Z root -n -s 66000 -B 8192 -U -Q in -w "$OUT/primary.pcap" -i eth0 2>"$OUT/primary.log" &
ip netns exec far tcpdump -Z root -n -s 66000 -B 8192 -U -w "$OUT/far.pcap" -i eth0 2>"$OUT/far.log" &
ip netns exec far lab-xen far >"$OUT/answers" &
lab-xen receive "$1" xl migrate-receive -r -e >"$OUT/receive.log" 2>&1
echo "$?" >"$OUT/received"
wait
