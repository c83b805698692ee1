#!/usr/bin/env bash
# Compares qsync with what one would use instead, and prints tables in Markdown.
#
#   QSYNC_BENCH_MIB   how much data (default 3600)
#   QSYNC_BENCH_RUNS  runs of each job (default 3)
#   QSYNC_BENCH_DIR   where all of it goes (default: a new directory in TMPDIR or /var/tmp); about five times the data
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
mib=${QSYNC_BENCH_MIB:-3600}
runs=${QSYNC_BENCH_RUNS:-3}
threads=$(nproc)

for program in hyperfine:hyperfine restic:restic nginx:nginx-light ldb:rocksdb-tools time:time jq:jq zstd:zstd curl:curl; do
    type -P "${program%%:*}" >/dev/null || { echo "missing: ${program%%:*} (Debian: ${program##*:})" >&2; exit 1; }
done

work=$(mktemp -d "${QSYNC_BENCH_DIR:-${TMPDIR:-/var/tmp}}/qsync-bench.XXXXXX")
nginx=
clean_up() {
    [ -z "$nginx" ] || kill "$nginx"
    rm -rf "$work"
}
trap clean_up EXIT

say() {
    echo "$*" >&2
}

# job NAME PREPARE COMMAND: runs COMMAND with hyperfine, PREPARE before each run. Both are bash.
job() {
    say "$1"
    printf '%s\n' "$2" >"$work/prepare"
    printf 'set -euo pipefail\n%s\n' "$3" >"$work/command"
    : >"$work/rss"
    hyperfine --shell=none --runs "$runs" --style none --export-json "$work/times.json" --prepare "bash -eu $work/prepare" \
        "$(type -P time) --append --output $work/rss --format %M bash $work/command" >&2
    jq -r --arg name "$1" --arg rss "$(sort -n "$work/rss" | tail -1)" '
        def s: . * 100 | round / 100;
        .results[0] | "| \($name) | \(.median | s) | \(.min | s) | \(.max | s) | \(.user + .system | s) | \($rss | tonumber / 1024 | round) |"
    ' "$work/times.json" >>"$work/table"
}

table() {
    printf '\n### %s\n\n| tool | median s | min s | max s | CPU s | peak RSS MiB |\n|---|---|---|---|---|---|\n' "$1"
    cat "$work/table"
    : >"$work/table"
}

check_restored() {
    diff -r --no-dereference "$data" "$out" || { say "$1 did not restore the same bytes"; exit 1; }
}

say "building"
cargo build --release --locked --quiet
qsync=$(realpath "${CARGO_TARGET_DIR:-target}")/release/qsync
export QSYNC_CONFIG=/dev/null QSYNC_STATE_DIR=$work/state QSYNC_QUIET=1 RESTIC_PASSWORD=bench RESTIC_CACHE_DIR=$work/restic-cache

data=$work/data out=$work/out store=$work/store repo=$work/restic tarball=$work/store.tar.zst
say "making $mib MiB of data"
cargo bench --locked --quiet --bench make_data -- "$data" "$mib"
sync

# Each job leaves what the restores below read.
job "qsync publish" "rm -rf $store $work/state; $qsync init --to $store --name bench" \
    "$qsync publish bench/mixed $data --to $store"
job "tar, zstd -3 -T$threads" "rm -f $tarball" \
    "tar -C $data -cf - . | zstd -q -3 -T$threads -o $tarball; sync -f $tarball"
job "restic backup" "rm -rf $repo $work/restic-cache; restic init -q -r $repo" \
    "cd $data; restic backup -q -r $repo .; sync -f $repo"
table "Publish to a local disk" >"$work/publish.md"

port=$(bash -c 'for port in {20080..20180}; do (: </dev/tcp/127.0.0.1/$port) 2>/dev/null || { echo $port; break; }; done')
mkdir "$work/nginx"
cat >"$work/nginx/nginx.conf" <<CONF
daemon off; master_process off; pid nginx.pid; events {}
http {
    access_log off; sendfile on;
    client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
    server { listen 127.0.0.1:$port; root $work; }
}
CONF
nginx -p "$work/nginx" -c nginx.conf -e error.log &
nginx=$!
url=http://127.0.0.1:$port
curl --silent --retry 20 --retry-connrefused --retry-delay 1 --fail --output /dev/null "$url/store/store.json"
pin=b3:$(jq -r .repo "$store/store.json")

job "qsync restore" "rm -rf $out $work/state" \
    "$qsync restore bench/mixed --from $url/store --to $out --trust $pin"
check_restored qsync
job "curl, zstd -d, tar x" "rm -rf $out; mkdir $out" \
    "curl -fsS $url/store.tar.zst | zstd -dcq | tar -C $out -xf -; sync -f $out"
check_restored tar
job "restic restore, local repository" "rm -rf $out" \
    "restic restore latest -q -r $repo --target $out; sync -f $out"
check_restored restic
table "Restore into an empty directory, over HTTP on loopback" >"$work/restore.md"

cpu=$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -1)
echo "$(date -u +%F), ${cpu:-unknown CPU}, $threads cores, $(awk '/MemTotal/ {printf "%.0f", $2 / 1048576}' /proc/meminfo) GiB memory, Linux $(uname -r)," \
    "$(findmnt -no FSTYPE -T "$work"). Data: $(du -sm "$data/rocksdb" | cut -f1) MiB RocksDB, $(du -sm "$data/paritydb" | cut -f1) MiB ParityDB; as tar.zst" \
    "$(du -m "$tarball" | cut -f1) MiB, as store $(du -sm "$store" | cut -f1) MiB. $runs runs of each job."
echo "$("$qsync" --version), zstd $(zstd --version | grep -o "v[0-9.]*"), $(restic version | cut -d' ' -f1,2), $(nginx -v 2>&1 | cut -d' ' -f3), $(tar --version | head -1)."
cat "$work/publish.md" "$work/restore.md"
