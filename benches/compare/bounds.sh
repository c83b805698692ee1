# B6, B7 and B8: memory of a sparse directory of 100 GiB, bytes fetched again after a kill, disk used on the way.

sparse=$work/sparse
mkdir "$sparse"
for number in {1..25}; do
    truncate -s 4G "$sparse/$number.db"
    for offset in 0 1000 4095; do
        head -c 1M /dev/urandom | dd of="$sparse/$number.db" bs=1M seek="$offset" conv=notrunc status=none
    done
done
rm -rf "$store" "$work/state"
"$qsync" init --to "$store" --name bench >/dev/null
pin=b3:$(jq -r .repo "$store/store.json")
reader="--to $out --trust $pin --state-dir $work/state-of-reader"
job "publish 100 GiB of holes (one run)" "true" "$qsync publish bench/sparse $sparse --to $store" 1
job "restore 100 GiB of holes (one run)" "rm -rf $out $work/state-of-reader" "$qsync restore bench/sparse --from $url/store $reader" 1
table "B6: a sparse directory of 100 GiB with 75 MiB of data"
cmp "$sparse/7.db" "$out/7.db"
note "The restored directory takes $(du -sm "$out" | cut -f1) MiB on disk, the original $(du -sm "$sparse" | cut -f1) MiB."
measured B6 "peak memory of publish, 100 GiB" "${rss["publish 100 GiB of holes (one run)"]}" at-most 300 MiB
measured B6 "peak memory of restore, 100 GiB" "${rss["restore 100 GiB of holes (one run)"]}" at-most 300 MiB
rm -rf "$sparse" "$out" "$work/state-of-reader"

"$qsync" publish bench/mixed "$data" --to "$store" >/dev/null
partial=$work/.out.qsync-partial
in_mib() {
    { du -sm "$@" 2>/dev/null || true; } | awk '{ sum += $1 } END { print sum + 0 }'
}
# Files are as long as they will be before they are filled, so what was served tells how far the restore is.
served_mib() {
    awk '{ sum += $2 } END { printf "%d", sum / 1048576 }' "$work/nginx/limited.log"
}
half=$(($(in_mib "$store/chunks") / 2))
say "kill -9 at half"
: >"$work/nginx/limited.log"
# shellcheck disable=SC2086
"$qsync" restore bench/mixed --from "$limited/store" $reader >/dev/null &
victim=$!
until [ "$(served_mib)" -ge "$half" ]; do sleep 0.1; done
kill -9 "$victim"
wait "$victim" 2>/dev/null || true
killed_at=$(served_mib)
peak=0
# shellcheck disable=SC2086
"$qsync" restore bench/mixed --from "$limited/store" $reader >/dev/null &
second=$!
while kill -0 "$second" 2>/dev/null; do
    now=$(in_mib "$partial" "$out" "$work/state-of-reader")
    [ "$now" -le "$peak" ] || peak=$now
    sleep 0.1
done
wait "$second"
check_equal "$data" "$out" "qsync after kill -9"
again=$(awk '$1 == 200 && $3 ~ /\/(chunks|raw)\// { all += $2; if ($2 > most[$3]) { once += $2 - most[$3]; most[$3] = $2 } }
    END { printf "%.0f", (all - once) / 1048576 }' "$work/nginx/limited.log")
final=$(in_mib "$out")
note "Killed with SIGKILL when $killed_at of $((half * 2)) MiB had been served; the same command then fetched $again MiB again. On the way at most $peak MiB lay on disk, $final MiB at the end."
measured B7 "fetched again after kill -9 at half" "$again" at-most $((256 + 64)) MiB
measured B8 "most extra disk on the way ÷ snapshot" "$(awk -v p="$peak" -v f="$final" 'BEGIN { printf "%.3f", (p > f ? p - f : 0) / f }')" at-most 0.01
