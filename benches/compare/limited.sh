# B2: a cold restore where each connection is limited to 20 MiB/s. One run of the peer: it takes minutes.

job "qsync restore, 20 MiB/s a connection" "rm -rf $out $work/state-of-reader; sync -f $work" \
    "$qsync restore bench/mixed --from $limited/store --to $out --trust $pin --state-dir $work/state-of-reader"
reads "$store"
job "curl, zstd -d, tar x over one connection (one run)" "rm -rf $out; mkdir $out; sync -f $work" \
    "curl -fsS $limited/data.tar.zst | zstd -dcq | tar -C $out -xf -; sync -f $out" 1
reads "$tarball"
table "B2: the same, each connection limited to 20 MiB/s"
rm -rf "$out"

measured B2 "curl, zstd -d, tar x ÷ restore" \
    "$(ratio wall "curl, zstd -d, tar x over one connection (one run)" "qsync restore, 20 MiB/s a connection")" at-least 10
