#!/bin/sh
# faults.sh HOOK OTHER_HOOK: what goes wrong while a hook of ours is in use. The first is that of
# /lab/refined.gate. One line for each claim: `ok CLAIM` or `WRONG CLAIM`.
set -u
. /lab/common.sh
HOOK=$1
OTHER=$2

claim() {
    name=$1
    shift
    if "$@" >"$OUT/claim" 2>&1; then
        echo "ok $name"
    else
        echo "WRONG $name"
        sed 's/^/    /' "$OUT/claim"
    fi
}

rm -rf "$OUT"
mkdir -p "$OUT"
ip netns exec far lab-xen far >"$OUT/answers" &
far=$!

vif() { echo "vif$(xl domid guest).0"; }

# come_out FILTER: how many frames of the domU come out behind the bridge in two seconds.
come_out() {
    ip netns exec far timeout 2 tcpdump -Z root -n -l --immediate-mode -i eth0 \
        "ether src 00:16:3e:00:00:01 and $1" 2>/dev/null | grep -c IP
}
# comes AT_LEAST AT_MOST FILTER
comes() {
    count=$(come_out "$3")
    echo "$count frames; the domU: $(xl list guest | tail -n 1)"
    [ "$count" -ge "$1" ] && [ "$count" -le "$2" ]
}
held_stay() { comes 0 0 'udp port 5060'; }
held_come() { comes 80 999 'udp port 5060'; }
media_pass() { comes 20 999 'udp src port 16384'; }
nothing_comes() { comes 0 0 ip; }
checkpoints_come() {
    before=$(grep -c 'action=0' "$TRACE/trace")
    until_true 100 checkpoints_above "$((before + 3))"
}
audits() { epochgate audit "$1" --vif "$(vif)"; }
does_not_audit() { ! audits "$1"; }
start_domu() {
    xl create /lab/guest.cfg && until_true 60 ip netns exec far ping -q -W 1 -c 1 10.9.0.2
}
teardown() {
    vifname=$1 XENBUS_PATH=/libxl/$2/remus/netbuf/0 "$HOOK" teardown
}

kill_xl() {
    after_a_release
    kill -9 "$xl"
    wait "$xl" 2>/dev/null
}

# --- while it replicates -------------------------------------------------------------------------

claim 'it replicates' begin_replication "$HOOK" 300
claim 'audit: the running rules are the policy' audits /lab/refined.gate
claim 'audit: they are not another policy' does_not_audit /lab/held.gate
epochgate compile /lab/refined.gate --vif "$(vif)" -o /lab/refined >"$OUT/log" 2>&1
epochgate compile /lab/held.gate --vif "$(vif)" -o /lab/held >>"$OUT/log" 2>&1
claim 'status of the deploy script' sh "/lab/refined/$(vif).sh" status
claim 'swap to another policy' sh "/lab/refined/$(vif).sh" swap "/lab/held/$(vif).sh"
claim 'audit: the running rules are that policy now' audits /lab/held.gate
claim 'checkpoints go on' checkpoints_come
claim 'swap back' sh "/lab/held/$(vif).sh" swap "/lab/refined/$(vif).sh"
claim 'audit: and the first one again' audits /lab/refined.gate

# --- its processes are killed --------------------------------------------------------------------

kill_xl
claim 'xl remus killed: media pass' media_pass
claim 'xl remus killed: what is held stays' held_stay
# netback lends its 256 slots to what the plug holds (drivers/net/xen-netback, MAX_PENDING_REQS). With all of
# them lent, nothing of the domU passes any more.
claim 'until the plug holds all slots of netback: nothing comes out' nothing_comes
echo "note $(tc -s qdisc show dev "ifb-$(vif)" | grep backlog)"
claim 'xl remus killed: the next one takes over what it left' begin_replication "$HOOK" 300
claim 'and replicates' checkpoints_come
kill_xl
claim 'xl remus killed: teardown by hand' teardown "$(vif)" "$(xl domid guest)"
claim 'and nothing is left' nothing_left
claim 'and the domU has its network' held_come

claim 'it replicates again' begin_replication "$HOOK" 300
end_replication
claim 'its helper killed: nothing is left' nothing_left
claim 'and the domU has its network again' held_come

# --- setup is killed -----------------------------------------------------------------------------

# The tools that the hook starts count its steps, and at one of them kill it before they do their work.
mkdir -p /run/steps
for tool in ip nft tc xenstore-rm xenstore-write; do
    cat >"/run/steps/$tool" <<EOF
#!/bin/sh
step=\$((\$(cat /run/step) + 1))
echo \$step >/run/step
[ \$step -ne "\$(cat /run/kill-at)" ] || kill -9 "\$(cat /run/hook)"
exec $(command -v "$tool") "\$@"
EOF
    chmod +x "/run/steps/$tool"
done
cat >/run/killed-hook <<EOF
#!/bin/sh
[ "\$1" = setup ] || exec $HOOK "\$@"
echo 0 >/run/step
PATH=/run/steps:\$PATH sh -c 'echo \$\$ >/run/hook; exec "\$0" "\$@"' $HOOK "\$@"
EOF
chmod +x /run/killed-hook
kill_at=1
until [ "$kill_at" -gt 20 ]; do
    echo $kill_at >/run/kill-at
    if begin_replication /run/killed-hook 300 2>/dev/null; then
        # It has no such step.
        end_replication
        break
    fi
    claim "setup killed at step $kill_at: nothing is left" nothing_left
    kill_at=$((kill_at + 1))
done
claim 'setup was killed at each of its steps' expr "$kill_at" '>' 5 '&' "$kill_at" '<=' 20
claim 'the domU has its network' held_come

# --- the domU is destroyed -----------------------------------------------------------------------

claim 'another policy' begin_replication "$OTHER" 300
old=$(vif)
id=$(xl domid guest)
xl destroy guest
until_true 200 is_gone "$xl"
kill -9 "$xl" 2>/dev/null
wait "$xl" 2>/dev/null
claim 'domU destroyed: teardown by hand' teardown "$old" "$id"
claim 'and nothing is left' nothing_left
claim 'and its vif goes' until_true 200 test ! -e "/sys/class/net/$old"
claim 'a new domU' start_domu
claim 'is replicated' begin_replication "$HOOK" 300
end_replication
claim 'and nothing is left of that' nothing_left
kill "$far"
