#!/bin/sh
# A tc for kernels without sch_plug: plug becomes a byte FIFO that never holds, or on demand a
# blackhole qdisc, which never lets go until it is opened for good: then it becomes the FIFO.
# What the real plug would refuse, or turn into a black hole, is refused here too.
real='@REAL_TC@'
kind=${EPOCHGATE_STAND_IN:-bfifo}
kinds="($kind|bfifo)"

fail() {
    echo "tc stand-in: $1" >&2
    exit 2
}

# A batch about plug is done line by line, each as a call of its own.
if [ "$*" = '-batch -' ]; then
    batch=$(cat)
    case $batch in
        *' plug '*) ;;
        *) printf '%s\n' "$batch" | "$real" -batch - ; exit ;;
    esac
    printf '%s\n' "$batch" | while read -r line; do
        # shellcheck disable=SC2086 # the words of the line
        "$0" $line || exit 1
    done
    exit
fi

object=
verb=
device=
plug=
last=
limit=
previous=
for word in "$@"; do
    case $word in
        qdisc) [ -n "$object" ] || object=qdisc ;;
        filter | class | chain | action | actions) [ -n "$object" ] || object=other ;;
        add | replace | change | del | delete | show | list | ls | get)
            [ "$object" != qdisc ] || [ -n "$verb" ] || verb=$word ;;
        plug) [ "$object" != qdisc ] || plug=yes ;;
    esac
    case $previous in
        dev) device=$word ;;
        limit) limit=$word ;;
    esac
    if [ -n "$plug" ]; then
        case $word in
            block | release | release_indefinite) last=$word ;;
            limit) last=limit ;;
        esac
    fi
    previous=$word
done

if [ "$object" = qdisc ]; then
    case $verb in
        show | list | ls | get)
            listing=$("$real" "$@") || exit
            printf '%s' "$listing" |
                sed -E -e '/^qdisc bfifo/s/ limit [0-9A-Za-z]*$//' -e "s/^qdisc $kinds/qdisc plug/" \
                    -e "s/\"kind\":\"$kinds\"/\"kind\":\"plug\"/g" -e 's/"options":\{"limit":[0-9]*\}/"options":{}/g'
            [ -z "$listing" ] || echo
            exit 0 ;;
    esac
fi
[ -n "$plug" ] || exec "$real" "$@"

is_there() {
    "$real" qdisc show dev "$device" root | grep -Eq "^qdisc $kinds"
}

case $verb in
    add | replace)
        case $last in
            '') limit=48448 ;;
            limit) ;;
            *) fail "plug added with '$last' last has the limit 0: a black hole" ;;
        esac
        handle=
        previous=
        for word in "$@"; do
            [ "$previous" != handle ] || handle=$word
            previous=$word
        done
        size=
        [ "$kind" != bfifo ] || size=$limit
        # shellcheck disable=SC2086 # an empty handle must vanish
        exec "$real" qdisc "$verb" dev "$device" ${handle:+handle $handle} root "$kind" ${size:+limit "$size"} ;;
    change)
        is_there || fail "no plug at the root of '$device' to change"
        case $last:$kind in
            release_indefinite:blackhole)
                exec "$real" qdisc replace dev "$device" root bfifo limit 67108864 ;;
            block:blackhole)
                exec "$real" qdisc replace dev "$device" root blackhole ;;
        esac
        [ "$last:$kind" != limit:bfifo ] || exec "$real" qdisc change dev "$device" root bfifo limit "$limit" ;;
    del | delete)
        is_there || fail "no plug at the root of '$device' to delete"
        exec "$real" qdisc del dev "$device" root ;;
    *)
        fail "don't know how to '$verb' a plug" ;;
esac
