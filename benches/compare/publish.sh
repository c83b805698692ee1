# B3: the first publish to a local store. Each job leaves what the restores read.

job "qsync publish" "rm -rf $store $work/state; $qsync init --to $store --name bench; sync -f $work" \
    "$qsync publish bench/mixed $data --to $store"
reads "$data"
job "tar, zstd -3 -T$threads" "rm -f $tarball; sync -f $work" \
    "tar -C $data -cf - . | zstd -q -3 -T$threads -o $tarball; sync -f $tarball"
reads "$data"
job "tar, zstd -1 -T$threads" "rm -f $work/level-1.tar.zst; sync -f $work" \
    "tar -C $data -cf - . | zstd -q -1 -T$threads -o $work/level-1.tar.zst; sync -f $work"
reads "$data"
peer desync "desync tar, chunks of 1 MiB" "rm -rf $work/desync-store; mkdir $work/desync-store; sync -f $work" \
    "desync tar -i -n $threads -m 512:1024:4096 -s $work/desync-store $work/data.caidx $data; sync -f $work"
reads "$data"
peer restic "restic backup" "rm -rf $repo $work/restic-cache; restic init -q -r $repo; sync -f $work" \
    "cd $data; restic backup -q -r $repo .; sync -f $repo"
reads "$data"
peer casync "casync make (one run)" "rm -rf $work/casync-store; sync -f $work" \
    "casync make --store=$work/casync-store $work/casync.caidx $data >/dev/null; sync -f $work" 1
reads "$data"
table "B3: publish to a local disk"
rm -f "$work/level-1.tar.zst"

measured B3 "publish ÷ tar, zstd -3" "$(share "tar, zstd -3 -T$threads")" at-most 0.45
measured B3 "publish ÷ desync tar" "$(share "desync tar, chunks of 1 MiB")" at-most 0.3
measured B6 "peak memory of publish" "${rss["qsync publish"]}" at-most 300 MiB
pin=b3:$(jq -r .repo "$store/store.json")
