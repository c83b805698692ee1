# B12: a real node of IPFS on loopback (Kubo, offline). Publishing beside `ipfs add`, restoring by CID through the node's gateway beside `ipfs get`.

ipfs=${XDG_CACHE_HOME:-$HOME/.cache}/qsync-live/ipfs
[ -x "$ipfs" ] || ipfs=$(type -P ipfs || true)
if [ -z "$ipfs" ]; then
    measured B12 "restore by CID ÷ ipfs get of the tree" "" at-most 0.7
    note "B12 was not measured: there is no Kubo (tests/run builds it)."
    return 0
fi

say "starting Kubo"
coproc KUBO { QSYNC_KUBO_STORAGE_MAX=200GB exec tests/live/servers/kubo.sh "$work/ipfs"; }
read -r rpc gateway repository <&"${KUBO[0]}"
export IPFS_PATH=$repository
files=$data/rocksdb
state=$work/state-of-ipfs

# An empty node, and a provider who has published nothing.
empty="rm -rf $state; $ipfs pin ls -q --type recursive | xargs -r $ipfs pin rm >/dev/null; $ipfs repo gc -q >/dev/null; sync -f $work"
publish="$qsync publish bench/ipfs $files --to ipfs+$rpc --state-dir $state --json"
job "qsync publish, archive and tree" "$empty; $qsync init --to ipfs+$rpc --state-dir $state >/dev/null" "$publish > $work/published"
reads "$files"
job "ipfs add, BLAKE3, blocks of 1 MiB" "$empty" \
    "$ipfs add -rHQ --hash=blake3 --cid-version=1 --raw-leaves --chunker=size-1048576 --max-file-links=1024 $files > $work/added"
reads "$files"
table "B12: publish to a node of IPFS"
sent=$(jq 'select(.type == "summary").ipfs.uploaded_bytes' "$work/published")
added=$(du -sb --apparent-size "$files" | cut -f1)
# Bytes a second of the one, as a share of those of the other.
measured B12 "publish ÷ ipfs add, per byte sent" \
    "$(awk -v t="$(share "ipfs add, BLAKE3, blocks of 1 MiB")" -v s="$sent" -v a="$added" 'BEGIN { printf "%.3f", s / a / t }')" at-least 0.7
note "The tree alone has $added bytes; qsync sends $sent, since the archive is sent too."

bash -euc "$empty; $qsync init --to ipfs+$rpc --state-dir $state >/dev/null; $publish > $work/published"
root=$(jq -r 'select(.type == "summary").ipfs.root' "$work/published")
# Nothing changed, and 2 % of the keys.
again=$(bash -euc "$publish" | jq 'select(.type == "summary").ipfs.blocks')
measured B12 "blocks sent when nothing changed" "$again" at-most 0

by_cid="restore --from ipfs://$root --to $out --state-dir $work/state-of-reader"
fresh="rm -rf $out $work/state-of-reader; sync -f $work"
job "qsync restore by CID, one gateway" "$fresh" "$qsync $by_cid --gateway $gateway"
gives "$files" "$out"
job "ipfs get of the tree" "$fresh" "$ipfs get -p=false -o $out $root/tree; sync -f $out"
gives "$files" "$out"
job "ipfs cat of the archive, zstd -d, tar x" "$fresh; mkdir $out" "$ipfs cat -p=false $root/archive.tar.zst | zstd -dq | tar x -C $out; sync -f $out"
gives "$files" "$out"
table "B12: restore from a node of IPFS"
measured B12 "restore by CID ÷ ipfs get of the tree" "$(share "ipfs get of the tree")" at-most 0.7

slow_links=$(bench_program slow_links)
gateway_port=${gateway##*:}
for links in "100 100" "100"; do
    gateways=$(for n in $(seq "$(wc -w <<<"$links")"); do printf -- ' --gateway http://{%s}' "$n"; done)
    job "restore by CID, gateways of ${links/ / and } MB/s" "$fresh" "$slow_links $gateway_port $links -- $qsync $by_cid$gateways"
    gives "$files" "$out"
done
table "B12: two gateways of 100 MB/s each, and one"
measured B12 "one gateway of 100 MB/s ÷ two" "$(times "restore by CID, gateways of 100 MB/s")" at-least 1.8
rm -rf "$out"
exec {KUBO[1]}>&-
