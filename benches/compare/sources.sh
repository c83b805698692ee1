# Many sources as one: one link, two links of the same rate, and three of which one turns slow, wrong or dead in the middle.

rate=100
slow_links=$(bench_program slow_links)
# Half of what each of three sources would give.
middle=$(du -sm "$store" | awk '{ print int($1 / 6) }')

# sources_job NAME LINK...
sources_job() {
    local name=$1 from= n
    shift
    for ((n = 1; n <= $#; n++)); do from+=" --from http://{$n}/store"; done
    job "$name" "rm -rf $out $work/state-of-reader; sync -f $work" \
        "$slow_links $port $* -- $qsync restore bench/mixed$from --to $out --trust $pin --state-dir $work/state-of-reader"
    reads "$store"
    gives "$data" "$out"
}
sources_job "two sources" $rate $rate
sources_job "one source" $rate
for turn in slow wrong dead; do
    sources_job "three sources, one turns $turn" $rate $rate "$rate:$turn:$middle"
done
table "Sources of $rate MiB/s each (CPU with that of the links)"
rm -rf "$out"

measured sources "one source ÷ two" "$(times "one source")" at-least 1.8
for turn in slow wrong dead; do
    measured sources "three, of which one turns $turn, ÷ two" "$(times "three sources, one turns $turn")" at-most 1.3
done
