# B9: manifest and plan of a snapshot of 10 TiB, 10 million chunks, 40,960 lists.

mkdir "$work/ten-tib"
"$ten_tib" generate "$work/ten-tib"
job "manifest, lists and plan of 10 TiB" "true" "$ten_tib plan $work/ten-tib"
table "B9: what comes before the first chunk of a snapshot of 10 TiB"
rm -rf "$work/ten-tib"

measured B9 "seconds" "$(printf %.2f "${wall["manifest, lists and plan of 10 TiB"]}")" at-most 10 s
measured B9 "peak memory" "${rss["manifest, lists and plan of 10 TiB"]}" at-most 500 MiB
