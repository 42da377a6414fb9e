# What the scripts of the Xen lab share. Every wait has an end.
TRACE=/sys/kernel/tracing
OUT=/run/xen-lab

# until_true TRIES COMMAND...: runs it until it succeeds, 20 times a second.
until_true() {
    tries=$1
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

# More BUFFERs than so many are in the trace.
checkpoints_above() { [ "$(grep -c 'action=0' "$TRACE/trace")" -gt "$1" ]; }

is_gone() { ! kill -0 "$1" 2>/dev/null; }

begun_or_over() { checkpoints_above "$1" || is_gone "$xl"; }

# begin_replication SCRIPT INTERVAL [ADDRESS]: to the backup at this address, or to nowhere. Returns at the first
# checkpoint, which closes the plug. `xl` is its process.
begin_replication() {
    before=$(grep -c 'action=0' "$TRACE/trace")
    if [ -n "${3-}" ]; then
        setsid xl remus -i "$2" -F -d -N "$1" -s '' guest "exec lab-xen send $3" >"$OUT/xl.log" 2>&1 &
    else
        setsid xl remus -i "$2" -F -b -d -N "$1" guest nowhere >"$OUT/xl.log" 2>&1 &
    fi
    xl=$!
    until_true 600 begun_or_over "$before"
    checkpoints_above "$before" && return
    echo "no checkpoint came:" >&2
    cat "$OUT/xl.log" >&2
    return 1
}

# Right after a release: whoever kills xl or its helper while the domU is suspended has a domU that nobody
# resumes, and maybe an xl that does not end.
releases_above() { [ "$(grep -c 'action=1' "$TRACE/trace")" -gt "$1" ]; }
after_a_release() { until_true 200 releases_above "$(grep -c 'action=1' "$TRACE/trace")"; }

# libxl has no word for "stop": its helper is killed, as a broken link to the backup would do, and libxl tears
# down.
end_replication() {
    after_a_release
    pkill -KILL -f libxl-save-helper
    until_true 400 is_gone "$xl" || echo "xl did not end" >&2
    kill -9 "$xl" 2>/dev/null
    wait "$xl" 2>/dev/null
}

# Rules, queues and IFBs of a replication that are there; fails if there are none.
what_is_left() {
    {
        tc qdisc show
        ip -br link show type ifb
        nft list ruleset
    } | grep -E 'plug|ingress|clsact|table|ifb-'
}
nothing_left() { ! what_is_left; }
