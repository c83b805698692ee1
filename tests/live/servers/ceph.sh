#!/usr/bin/env bash
# A real S3 server on loopback that enforces "requester pays": the gateway of Ceph, above one monitor and one small disk in a file.
#
#   ceph.sh [DIR]    makes a folder in DIR, starts everything, prints the gateway's address and its configuration file on one line,
#                    and serves until its standard input ends. Then it ends what it started and removes the folder.
#
# Needs ceph-mon, ceph-osd, radosgw and ceph-common of Debian, and no root. Buckets are addressed by path, the region is us-east-1. Users:
#   owner     OWNERKEY     owner-secret
#   reader    READERKEY    reader-secret
#   stranger  STRANGERKEY  stranger-secret
#
# QSYNC_CEPH_DISK_BYTES and QSYNC_CEPH_CACHE_BYTES: the size of the disk, of which only what is written takes room, and of its cache.
set -euo pipefail
# shellcheck source=ports.sh
. "$(dirname "$0")/ports.sh"
PATH=$PATH:/usr/sbin:/sbin
dir=$(mktemp -d "${1:-${TMPDIR:-/var/tmp}}/qsync-ceph.XXXXXX")
dir=$(cd "$dir" && pwd)
export CEPH_CONF=$dir/ceph.conf
daemons=()

end_all() {
    # Without bash's words about what was killed.
    { [ ${#daemons[@]} -eq 0 ] || kill -KILL "${daemons[@]}" || true; wait; } 2>/dev/null
    rm -rf "$dir"
}
trap end_all EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT

fail() {
    echo "ceph.sh: $*" >&2
    tail -n 20 "$dir"/log/* >&2
    exit 1
}

# daemon NAME PROGRAM…: starts a server that ends with this script, however that ends.
daemon() {
    local name=$1
    shift
    setpriv --pdeathsig KILL "$@" </dev/null >"$dir/log/$name.out" 2>&1 &
    daemons+=($!)
}

# setup PROGRAM…: runs a program to its end.
setup() {
    timeout 60 "$@" </dev/null >>"$dir/log/setup.out" 2>&1 || fail "failed: $*"
}

# told PROGRAM…: tells the monitor something that may be said twice. A command that arrives before the monitor has told the client the name
# of the cluster is dropped, and the client waits for its answer.
told() {
    local attempt
    for attempt in 1 2 3 4; do
        timeout 20 "$@" </dev/null >>"$dir/log/setup.out" 2>&1 && return
        echo "attempt $attempt: $*" >>"$dir/log/setup.out"
    done
    fail "failed: $*"
}

# Authentication inside is off and everything is bound to loopback. Changes of the cluster's maps do not wait for others to join them,
# which makes the start four times as fast. Gateways tell each other of changes to buckets, and wait for one that was killed for 4 s.
write_configuration() {
    cat >"$CEPH_CONF" <<CONF
[global]
fsid = $fsid
mon initial members = a
mon host = [v1:127.0.0.1:$mon_port]
auth cluster required = none
auth service required = none
auth client required = none
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind msgr2 = false
run dir = $dir
admin socket =
pid file =
log file = $dir/log/\$name.log
mon cluster log file = $dir/log/cluster.log
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 1
mon max pg per osd = 1000
paxos propose interval = 0.02
paxos min wait = 0.01
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd client watch timeout = 4
objecter tick interval = 1
[mon.a]
mon data = $dir/mon
[osd.0]
osd data = $dir/osd
osd objectstore = bluestore
osd crush update on start = false
osd class update on start = false
bluestore block create = true
bluestore block size = ${QSYNC_CEPH_DISK_BYTES:-8589934592}
bluestore cache autotune = false
bluestore cache size = ${QSYNC_CEPH_CACHE_BYTES:-134217728}
bluestore rocksdb options = compression=kNoCompression,write_buffer_size=33554432,max_write_buffer_number=4,recycle_log_file_num=4
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$rgw_port
rgw run sync thread = false
CONF
}

start_cluster() {
    local osd
    osd=$(cat /proc/sys/kernel/random/uuid)
    setup monmaptool --create --addv a "[v1:127.0.0.1:$mon_port]" --fsid "$fsid" "$dir/monmap"
    setup ceph-mon --mkfs -i a --monmap "$dir/monmap"
    daemon mon ceph-mon -f -i a
    told ceph osd new "$osd"
    told ceph osd crush add osd.0 1.0 host=here root=default
    setup ceph-osd -i 0 --mkfs --osd-uuid "$osd"
    daemon osd ceph-osd -f -i 0
}

start_gateway() {
    local began=$SECONDS
    daemon gateway radosgw -f -n client.rgw
    until curl --silent --fail --output /dev/null "http://127.0.0.1:$rgw_port"; do
        [ "$(jobs -pr | wc -l)" -eq ${#daemons[@]} ] || fail "one of the servers has ended"
        [ $((SECONDS - began)) -lt 90 ] || fail "the gateway does not answer"
        sleep 0.1
    done
}

make_users() {
    local user
    for user in owner reader stranger; do
        setup radosgw-admin -n client.rgw user create --uid $user --display-name $user --access-key "${user^^}KEY" --secret "$user-secret"
    done
}

mkdir "$dir"/{mon,osd,log}
fsid=$(cat /proc/sys/kernel/random/uuid)
mon_port=$(free_port)
rgw_port=$(free_port)
write_configuration
start_cluster
start_gateway
make_users
echo "http://127.0.0.1:$rgw_port $CEPH_CONF"
while read -r _; do :; done
