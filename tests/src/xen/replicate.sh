#!/bin/sh
# replicate.sh SCRIPT INTERVAL SECONDS [ADDRESS]: one replication to nowhere, recorded in /run/xen-lab; with `none`
# for the script the same without a replication. With the address of a backup the replication is to it and goes
# on at the end; the far side is there then, and what leaves is seen on the cable to it.
set -u
. /lab/common.sh
SCRIPT=$1
INTERVAL=$2
SECONDS_LONG=$3
BACKUP=${4-}

uptime() { cut -d' ' -f1 /proc/uptime; }

end_recording() {
    kill "$vif_tap" "$far_tap"
    [ -n "$BACKUP" ] || kill "$far"
    wait "$vif_tap" "$far_tap" 2>/dev/null
    cat "$TRACE/trace" >"$OUT/trace"
}

rm -rf "$OUT"
mkdir -p "$OUT"
: >"$OUT/xl.log"
echo >"$TRACE/trace"
domid=$(xl domid guest) || exit 1
tcpdump -Z root -n -s 66000 -B 8192 -U -w "$OUT/vif.pcap" -i "vif$domid.0" 2>"$OUT/vif.log" &
vif_tap=$!
if [ -n "$BACKUP" ]; then
    tcpdump -Z root -n -s 66000 -B 8192 -U -Q out -w "$OUT/far.pcap" -i eth0 2>"$OUT/far.log" &
    far_tap=$!
    : >"$OUT/answers"
else
    ip netns exec far tcpdump -Z root -n -s 66000 -B 8192 -U -w "$OUT/far.pcap" -i eth0 2>"$OUT/far.log" &
    far_tap=$!
    ip netns exec far lab-xen far >"$OUT/answers" &
    far=$!
fi
sleep 2
lab-xen mark "$TRACE/trace_marker"

begin=$(uptime)
if [ "$SCRIPT" != none ]; then
    begin_replication "$SCRIPT" "$INTERVAL" "$BACKUP" || {
        end_recording
        exit 1
    }
fi
echo "begun $begin first $(uptime)" >"$OUT/times"
sleep "$SECONDS_LONG"
end_recording
[ "$SCRIPT" = none ] || [ -n "$BACKUP" ] || end_replication
what_is_left >"$OUT/left" || : nothing
