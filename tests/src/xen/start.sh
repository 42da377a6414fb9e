#!/bin/sh
# start.sh alone|primary|backup
#
# From a booted kernel to a dom0 that `xl` works in: what init scripts of Debian's xen-utils-common do, and what
# an installation does once. Then the bridge, and the far side of all traffic behind it. Two boxes have a cable
# between their bridges (eth0) and one for checkpoints (eth1); the far side is then at the backup.
set -e

mount -t xenfs xenfs /proc/xen
for link in fd:/proc/self/fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
    ln -sfn "${link#*:}" "/dev/${link%%:*}"
done
# Xen as built from its own source looks for its programs there.
ln -sfn /usr/lib/xen-4.17 /usr/lib/xen
# libnl's tools look for their modules in another place than Debian 12 has them.
ln -sfn libnl-3 /usr/lib/x86_64-linux-gnu/libnl
mkdir -p /run/xen /run/xenstored /var/lib/xenstored /var/lib/xen /var/log/xen/console /run/lock
# Debian's `xl` is a script that looks for the version that runs.
ln -sfn /usr/lib/xen-4.17/bin/xl /usr/local/bin/xl

/usr/lib/xen-4.17/bin/xenstored --pid-file /run/xenstored.pid
tries=0
until xenstore-write /lab/up 1 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || exit 1
    sleep 0.05
done
/usr/lib/xen-4.17/bin/xen-init-dom0 >/dev/null
/usr/lib/xen-4.17/bin/xenconsoled --pid-file=/run/xenconsoled.pid --log=guest

ip link add xenbr0 type bridge forward_delay 0
ip link set xenbr0 up
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
[ "$1" = alone ] || {
    ip link set eth0 master xenbr0 up
    ip link set eth1 up
}
case $1 in
primary) ip addr add 10.8.0.1/24 dev eth1 ;;
backup) ip addr add 10.8.0.2/24 dev eth1 ;;
esac
[ "$1" = primary ] || {
    ip netns add far
    ip link add far0 type veth peer name eth0 netns far
    ip link set far0 master xenbr0 up
    ip -n far link set eth0 address 02:00:00:00:09:09
    ip netns exec far sh -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad'
    ip -n far link set lo up
    ip -n far link set eth0 up
    ip -n far addr add 10.9.0.9/24 dev eth0
    ip -n far addr add fd09::9/64 dev eth0
}

# When libxl tells a plug what (sch_plug.c, plug_change: 0 BUFFER, 1 RELEASE_ONE, 2 RELEASE_INDEFINITE,
# 3 LIMIT), on a clock that captures can be compared with.
mount -t tracefs tracefs /sys/kernel/tracing
echo 'p:plug plug_change action=+4(%si):s32' >/sys/kernel/tracing/kprobe_events
echo mono >/sys/kernel/tracing/trace_clock
echo 1 >/sys/kernel/tracing/events/kprobes/plug/enable

# Xen's own script wants IFBs that are there before, and asks whether modules exist, which here are loaded and
# gone.
ip link add ifb0 type ifb
printf '#!/bin/sh\nexit 0\n' >/usr/local/bin/modinfo
chmod +x /usr/local/bin/modinfo /etc/xen/scripts/*
