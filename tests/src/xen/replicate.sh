#!/bin/sh
# replicate.sh SCRIPT INTERVAL SECONDS: one replication to nowhere, recorded in /run/xen-lab; with `none` for
# the script the same without a replication.
#
# libxl has no word for "stop": its helper is killed, and libxl tears down.
set -u
SCRIPT=$1
INTERVAL=$2
SECONDS_LONG=$3
OUT=/run/xen-lab
TRACE=/sys/kernel/tracing

rm -rf "$OUT"
mkdir -p "$OUT"
echo >"$TRACE/trace"
domid=$(xl domid guest) || exit 1
vif=vif$domid.0
tcpdump -Z root -n -s 66000 -B 8192 -U -w "$OUT/vif.pcap" -i "$vif" 2>"$OUT/vif.log" &
vif_tap=$!
ip netns exec far tcpdump -Z root -n -s 66000 -B 8192 -U -w "$OUT/far.pcap" -i eth0 2>"$OUT/far.log" &
far_tap=$!
ip netns exec far lab-xen far >"$OUT/answers" &
far=$!
sleep 2
lab-xen mark "$TRACE/trace_marker"

begin=$(cut -d' ' -f1 /proc/uptime)
if [ "$SCRIPT" = none ]; then
    sleep "$SECONDS_LONG"
    kill "$vif_tap" "$far_tap" "$far"
    wait "$vif_tap" "$far_tap" 2>/dev/null
    echo "begun $begin first $begin" >"$OUT/times"
    cat "$TRACE/trace" >"$OUT/trace"
    : >"$OUT/left"
    : >"$OUT/xl.log"
    exit 0
fi
setsid xl remus -i "$INTERVAL" -F -b -d -N "$SCRIPT" guest nowhere >"$OUT/xl.log" 2>&1 &
xl=$!
tries=0
# The first checkpoint closes the plug.
until grep -q 'action=0' "$TRACE/trace"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 600 ] || ! kill -0 "$xl" 2>/dev/null; then
        echo "no checkpoint came:" >&2
        cat "$OUT/xl.log" >&2
        kill "$vif_tap" "$far_tap" "$far"
        exit 1
    fi
    sleep 0.05
done
echo "begun $begin first $(cut -d' ' -f1 /proc/uptime)" >"$OUT/times"
sleep "$SECONDS_LONG"
kill "$vif_tap" "$far_tap" "$far"
wait "$vif_tap" "$far_tap" 2>/dev/null
cat "$TRACE/trace" >"$OUT/trace"
pkill -KILL -f libxl-save-helper
tries=0
while kill -0 "$xl" 2>/dev/null && [ "$tries" -lt 200 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
echo "ended after $tries" >>"$OUT/xl.log"
kill -9 "$xl" 2>/dev/null
wait "$xl" 2>/dev/null
{ tc qdisc show; ip -br link show type ifb; nft list ruleset; } >"$OUT/left"
