# B10: verify a restored directory, page cache warm.

rm -rf "$out" "$work/state-of-reader" "$work/state" "$store"
"$qsync" init --to "$store" --name bench >/dev/null
"$qsync" publish bench/mixed "$data" --to "$store" >/dev/null
"$qsync" restore bench/mixed --from "$store" --to "$out" --trust "b3:$(jq -r .repo "$store/store.json")" --state-dir "$work/state-of-reader" >/dev/null
job "qsync verify" "cat $out/*/* >/dev/null" "$qsync verify $out --state-dir $work/state-of-reader"
peer b3sum "b3sum -c" "$qsync verify $out --b3sums --state-dir $work/state-of-reader >$work/b3sums" "b3sum --quiet -c $work/b3sums"
job "sha256sum -c" "cd $out; sha256sum */* >$work/sha256sums" "cd $out; sha256sum --quiet -c $work/sha256sums"
table "B10: verify a restored directory, page cache warm"
rm -rf "$out"

measured B10 "verify" "$(awk -v b="$(du -sb "$data" | cut -f1)" -v s="${wall["qsync verify"]}" 'BEGIN { printf "%.2f", b / s / 1e9 }')" at-least 3 GB/s
