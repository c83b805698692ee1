#!/usr/bin/env bash
# Compares qsync with what one would use instead, in one run, and writes the tables into docs/benchmarks.md.
#
#   QSYNC_BENCH_MIB   how much data, half RocksDB and half ParityDB (default 3600)
#   QSYNC_BENCH_RUNS  runs of each job (default 3)
#   QSYNC_BENCH_DIR   where all of it goes (default: a new directory in TMPDIR or /var/tmp); about six times the data
#   QSYNC_BENCH_OUT   the file whose part between the two marks is replaced (default docs/benchmarks.md)
#   QSYNC_BENCH_ONLY  parts to run, by name (default: publish restore limited sources update bounds plan verify s3 ipfs); sources, update and bounds need publish
# What is set here is used in the files that it reads, and the other way round.
# shellcheck disable=SC2034,SC2154
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
mib=${QSYNC_BENCH_MIB:-3600}
runs=${QSYNC_BENCH_RUNS:-3}
parts=${QSYNC_BENCH_ONLY:-publish restore limited sources update bounds plan verify s3 ipfs}
out_file=${QSYNC_BENCH_OUT:-docs/benchmarks.md}
threads=$(nproc)

for file in rig peers; do
    # shellcheck source=/dev/null
    . "benches/compare/$file.sh"
done

check_marks "$out_file"
find_peers
say "building"
cargo build --release --locked --quiet
make_data=$(bench_program make_data) ten_tib=$(bench_program ten_tib)
qsync=$(realpath "${CARGO_TARGET_DIR:-target}")/release/qsync
export QSYNC_CONFIG=/dev/null QSYNC_STATE_DIR=$work/state QSYNC_QUIET=1 RESTIC_PASSWORD=bench RESTIC_CACHE_DIR=$work/restic-cache

data=$work/data out=$work/out store=$work/store repo=$work/restic tarball=$work/data.tar.zst
say "making $mib MiB of data"
"$make_data" "$data" "$mib"
sync
start_web_server

for part in $parts; do
    # shellcheck source=/dev/null
    . "benches/compare/$part.sh"
done
{
    describe_machine
    print_targets
    cat "$work/tables.md"
} | replace_between_marks "$out_file"
