# B1: a cold restore over HTTP on loopback, verified and durable.

job "qsync restore" "rm -rf $out $work/state-of-reader; sync -f $work" \
    "$qsync restore bench/mixed --from $url/store --to $out --trust $pin --state-dir $work/state-of-reader"
reads "$store"
gives "$data" "$out"
job "curl, zstd -d, tar x" "rm -rf $out; mkdir $out; sync -f $work" \
    "curl -fsS $url/data.tar.zst | zstd -dcq | tar -C $out -xf -; sync -f $out"
reads "$tarball"
gives "$data" "$out"
peer aria2c "aria2c -x16, then tar x" "rm -rf $out $work/fetched; mkdir $out $work/fetched; sync -f $work" \
    "aria2c -q -x16 -s16 -d $work/fetched -o data.tar.zst $url/data.tar.zst; zstd -dcq $work/fetched/data.tar.zst | tar -C $out -xf -; sync -f $out"
reads "$tarball"
peer rclone "rclone copy of the raw files, 16 transfers" "rm -rf $out; sync -f $work" \
    "rclone --config /dev/null copy --http-url $url/data :http: $out --transfers 16 -q; sync -f $out"
reads "$data"
gives "$data" "$out"
peer desync "desync untar, 16 workers" "rm -rf $out; mkdir $out; sync -f $work" \
    "desync untar -i -n 16 -s $url/desync-store/ $work/data.caidx $out; sync -f $out"
reads "$work/desync-store"
gives "$data" "$out"
peer restic "restic restore, local repository" "rm -rf $out; sync -f $work" \
    "restic restore latest -q -r $repo --target $out; sync -f $out"
reads "$repo"
gives "$data" "$out"
peer casync "casync extract (one run)" "rm -rf $out; sync -f $work" \
    "casync extract --store=$url/casync-store $url/casync.caidx $out >/dev/null; sync -f $out" 1
reads "$work/casync-store"
gives "$data" "$out"
table "B1: restore into an empty directory, over HTTP on loopback"
rm -rf "$out" "$work/fetched" "$repo" "$work"/casync* "$work/desync-store" "$work/data.caidx" "$work/restic-cache"

measured B1 "restore ÷ curl, zstd -d, tar x" "$(share "curl, zstd -d, tar x")" at-most 0.5
measured B1 "restore ÷ desync untar" "$(share "desync untar, 16 workers")" at-most 0.4
measured B1 "restore ÷ rclone copy, which verifies nothing" "$(share "rclone copy of the raw files, 16 transfers")" at-most 1.3
measured B1 "CPU of restore ÷ desync untar" "$(ratio cpu "qsync restore" "desync untar, 16 workers")" at-most 0.35
measured B6 "peak memory of restore" "${rss["qsync restore"]}" at-most 300 MiB
