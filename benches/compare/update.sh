# B4 and B5: publish and update after 2 % of the keys of a RocksDB have new values.

rocks=$work/rocks
# The directory that was published is the one that changes: its files keep their inodes, as a node's do. What is younger than two
# seconds is not recognised by its time.
remake="rm -rf $store $work/state $rocks; mkdir $rocks; cp -r $data/rocksdb $rocks/; sleep 3; sync -f $work
    $qsync init --to $store --name bench"
change="$make_data change $rocks/rocksdb 2; sleep 3; sync -f $work"

job "first publish" "$remake" "$qsync publish bench/rocks $rocks --to $store"
job "publish after the change" "$remake; $qsync publish bench/rocks $rocks --to $store; $change" \
    "$qsync publish bench/rocks $rocks --to $store --json >$work/published.json"
table "B4: publish again after a change of 2 % of a RocksDB"

# Every file that is not what it was, whole: RocksDB writes new files.
new_bytes=$(cd "$rocks/rocksdb" && for file in *; do cmp -s "$file" "$data/rocksdb/$file" || stat -c %s "$file"; done | awk '{ sum += $1 } END { print sum }')
uploaded=$(jq -rs '[.[] | select(.type == "summary") | .stores[].uploaded_bytes] | add' "$work/published.json")
measured B4 "publish after the change ÷ first publish of the same database" "$(printf %.3f "${times_first["publish after the change"]}")" at-most 0.05
if [ -n "${wall["qsync publish"]:-}" ]; then
    measured B4 "publish after the change ÷ first publish of B3" "$(ratio wall "publish after the change" "qsync publish")" at-most 0.05
fi
measured B4 "bytes written ÷ bytes of changed files" "$(awk -v a="$uploaded" -v b="$new_bytes" 'BEGIN { printf "%.3f", a / b }')" at-most 1.1

pin=b3:$(jq -r .repo "$store/store.json")
reader="--from $url/store --to $out --trust $pin --state-dir $work/state-of-reader"
older=$("$qsync" list --from "$store" --trust "$pin" --json | jq -r 'select(.type == "snapshot" and (.latest | not)).snapshot' | head -1)
restore_older="rm -rf $out $work/state-of-reader; $qsync restore bench/rocks@b3:$older $reader; sleep 3; sync -f $work"

job "cold restore" "rm -rf $out $work/state-of-reader; sync -f $work" "$qsync restore bench/rocks $reader"
job "restore --replace" "$restore_older" "$qsync restore bench/rocks $reader --replace --yes --json >$work/updated.json"
gives "$rocks" "$out"
job "restore --in-place" "$restore_older" "$qsync restore bench/rocks $reader --in-place --yes"
gives "$rocks" "$out"
job "curl, zstd -d, tar x of the changed database" "rm -rf $out; mkdir $out; tar -C $rocks -cf - . | zstd -q -1 -T$threads -o $work/rocks.tar.zst -f; sync -f $work" \
    "curl -fsS $url/rocks.tar.zst | zstd -dcq | tar -C $out -xf -; sync -f $out"
peer rclone "rclone sync of the raw files, 16 transfers" "rm -rf $out; cp -r --preserve=timestamps $data/rocksdb $out; sync -f $work" \
    "rclone --config /dev/null sync --http-url $url/rocks/rocksdb :http: $out --transfers 16 -q; sync -f $out"
table "B5: update of a RocksDB after a change of 2 %"
rm -rf "$out" "$rocks" "$work/rocks.tar.zst"

fetched=$(jq -r 'select(.type == "summary").fetched_bytes' "$work/updated.json")
measured B5 "restore --replace ÷ cold restore" "$(printf %.3f "${times_first["restore --replace"]}")" at-most 0.1
measured B5 "bytes fetched ÷ bytes of changed files" "$(awk -v a="$fetched" -v b="$new_bytes" 'BEGIN { printf "%.3f", a / b }')" at-most 1.1
