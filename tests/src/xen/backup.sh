#!/bin/sh
# backup.sh listen ADDRESS: listens for checkpoints of a primary, and records what comes from it and what the far
# side sees, in /run/xen-lab; returns when it does.
# backup.sh call COMMAND: starts a call from the far side.
# backup.sh end SECONDS COMMAND: waits until the domU runs here, listens for as long, and hangs up.
set -u
. /lab/common.sh
VERB=$1
WHAT=$2

exists() { [ -e "$1" ]; }

case $VERB in
listen)
    rm -rf "$OUT"
    # A process that has no session of its own yet would end with the job that has started it.
    setsid sh "$0" record "$WHAT" >/dev/null 2>&1 &
    until_true 200 exists "$OUT/answers"
    ;;
record)
    mkdir -p "$OUT"
    tcpdump -Z root -n -s 66000 -B 8192 -U -Q in -w "$OUT/primary.pcap" -i eth0 2>"$OUT/primary.log" &
    ip netns exec far tcpdump -Z root -n -s 66000 -B 8192 -U -w "$OUT/far.pcap" -i eth0 2>"$OUT/far.log" &
    ip netns exec far lab-xen far >"$OUT/answers" &
    lab-xen receive "$WHAT" xl migrate-receive -r -e >"$OUT/receive.log" 2>&1
    echo "$?" >"$OUT/received"
    wait
    ;;
call)
    setsid sh "$0" caller "$WHAT" >/dev/null 2>&1 &
    until_true 200 pgrep -x sipp >/dev/null
    ;;
caller)
    ip netns exec far sh -c "$WHAT" >"$OUT/call.log" 2>&1
    echo "$?" >"$OUT/call"
    ;;
end)
    until_true 600 exists "$OUT/received" || {
        tail -n 5 "$OUT/receive.log" >&2
        exit 1
    }
    sleep "$WHAT"
    ! exists "$OUT/call" || {
        echo "the call was over before" >&2
        exit 1
    }
    ip netns exec far sh -c "$3"
    until_true 600 exists "$OUT/call" || echo "none" >"$OUT/call"
    pkill tcpdump
    pkill lab-xen
    pkill sipp
    sleep 0.5
    ;;
esac
