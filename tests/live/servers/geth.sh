#!/usr/bin/env bash
# A real geth on loopback, with a chain of its own that grows by a block every second: a Pebble database, and ancient files.
#
#   geth.sh up DIR [PORT]       starts it on DIR/data unless it runs, and returns when its JSON-RPC answers, whose address it prints. The
#                               port is that of the last time in DIR, or a free one.
#   geth.sh down DIR            SIGINT, and waits until it has ended: a clean stop.
#   geth.sh serve DIR [PORT]    up, and when standard input ends, whatever runs in DIR by then is killed.
#
# `up DIR` and `down DIR` are start and stop commands as qsync takes them: the node outlives the command.
# Needs curl and setsid of Debian, and the program that tests/run builds, or a geth on the PATH.
#
# QSYNC_GETH_ARGUMENTS    more arguments, separated by white space.
set -euo pipefail
# shellcheck source=ports.sh
. "$(dirname "$0")/ports.sh"
geth=${XDG_CACHE_HOME:-$HOME/.cache}/qsync-live/geth
[ -x "$geth" ] || geth=geth

fail() {
    echo "geth.sh: $*" >&2
    [ ! -e "$dir/geth.log" ] || tail -n 20 "$dir/geth.log" >&2
    exit 1
}

# Whether the process that was started last in this folder is still there, and no other has its id.
runs() {
    local pid
    # In a trap a bare return would give back what was true before the trap.
    pid=$(cat "$dir/pid" 2>/dev/null) || return 1
    # A process that has ended and was not waited for has no command line.
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$dir/data"
}

answers() {
    curl --silent --fail --noproxy '*' --max-time 5 --output /dev/null --header 'Content-Type: application/json' \
        --data '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}' "http://127.0.0.1:$(cat "$dir/port")"
}

up() {
    local port=${1:-} began=$SECONDS
    ! runs || { echo "http://127.0.0.1:$(cat "$dir/port")"; return; }
    mkdir -p "$dir"
    [ -n "$port" ] || port=$(cat "$dir/port" 2>/dev/null) || port=$(free_port)
    echo "$port" >"$dir/port"
    # No peers, no discovery, nothing that leaves the machine. In a session of its own it outlives whoever started it.
    # shellcheck disable=SC2086
    setsid "$geth" --dev --dev.period 1 --datadir "$dir/data" --http --http.addr 127.0.0.1 --http.port "$port" --http.api eth,net,web3,admin,debug \
        --ipcdisable --authrpc.port 0 --port 0 --nodiscover --maxpeers 0 --nat none ${QSYNC_GETH_ARGUMENTS:-} </dev/null >>"$dir/geth.log" 2>&1 &
    echo $! >"$dir/pid"
    until answers; do
        kill -0 $! 2>/dev/null || fail "the node has ended"
        [ $((SECONDS - began)) -lt 60 ] || fail "the node does not answer"
        sleep 0.1
    done
    echo "http://127.0.0.1:$port"
}

# A signal that comes before geth listens for it is lost, and the tenth one makes it panic: so another only while it still serves.
down() {
    local tries=0
    while runs; do
        [ $((tries++ % 40)) -ne 0 ] || ! answers || kill -INT "$(cat "$dir/pid")"
        sleep 0.05
    done
}

end() {
    ! runs || kill -KILL "$(cat "$dir/pid")" || true
    while runs; do sleep 0.02; done
}

[ $# -ge 2 ] || { sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 2; }
verb=$1 dir=$(realpath -m "$2")
shift 2
case $verb in
    up) up "$@" ;;
    down) down ;;
    serve)
        trap end EXIT
        trap 'exit 143' TERM HUP
        trap 'exit 130' INT
        up "$@"
        while read -r _; do :; done
        ;;
    *) fail "unknown: $verb" ;;
esac
