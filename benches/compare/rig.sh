# What every part uses: runs jobs, keeps their figures, and writes the tables.

work=$(mktemp -d "${QSYNC_BENCH_DIR:-${TMPDIR:-/var/tmp}}/qsync-bench.XXXXXX")
web_server=
# The jobs of the table that is being made, in its order, and what belongs to each by its name.
jobs=()
warming=()
declare -A prepare command times_to_run inputs expected result missing
# Figures of each job by its name: median wall seconds, CPU seconds, peak MiB, and the median of its ratios to the first job.
declare -A wall cpu rss times_first
: >"$work/tables.md" >"$work/runs.jsonl" >"$work/targets"

clean_up() {
    # What was measured before something failed is not lost.
    [ "$?" -eq 0 ] || cat "$work/targets" "$work/tables.md" >&2
    [ -z "$web_server" ] || kill "$web_server"
    rm -rf "$work"
}
trap clean_up EXIT

say() {
    echo "$*" >&2
}

# job NAME PREPARE COMMAND [RUNS]: one row of the next table. Both are bash; PREPARE goes before each run and is not measured.
job() {
    jobs+=("$1")
    prepare[$1]=$2 command[$1]=$3 times_to_run[$1]=${4:-$runs}
}

# peer PROGRAM NAME PREPARE COMMAND [RUNS]: the same for a program that may be missing.
peer() {
    local program=$1
    shift
    job "$@"
    type -P "$program" >/dev/null || missing[$1]=$program
}

# reads PATH...: what the last job reads; it, and nothing of other jobs, is in the page cache when the job begins.
reads() {
    inputs[${jobs[-1]}]=$*
}

# gives EXPECTED RESULT: the last job must leave a directory that is equal to another.
gives() {
    expected[${jobs[-1]}]=$1 result[${jobs[-1]}]=$2
}

# table TITLE: runs its jobs in turn, as often as each is to be run, and writes the table. A machine that is slow for a while is so for
# all of them; ratios are those to the first job of the same round, and the median of them is shown.
table() {
    local round name
    for ((round = 1; round <= runs; round++)); do
        for name in "${jobs[@]}"; do
            [ -n "${missing[$name]:-}" ] || [ "$round" -gt "${times_to_run[$name]}" ] || run_once "$name" "$round"
        done
    done
    printf '\n### %s\n\n| tool | median s | min–max s | ratio | CPU s | peak MiB |\n|---|---|---|---|---|---|\n' "$1" >>"$work/tables.md"
    for name in "${jobs[@]}"; do
        if [ -n "${missing[$name]:-}" ]; then
            echo "| $name | ${missing[$name]} is missing | | | | |" >>"$work/tables.md"
        else
            keep_figures "$name"
        fi
    done
    jobs=()
    : >"$work/runs.jsonl"
}

# run_once NAME ROUND
run_once() {
    local began ended
    say "$1, $2"
    bash -euc "${prepare[$1]}" >&2
    # shellcheck disable=SC2086
    [ -z "${inputs[$1]:-}" ] || read_first ${inputs[$1]}
    warm_memory
    began=$EPOCHREALTIME
    "$(type -P time)" --output "$work/time" --format '%U %S %M' bash -euo pipefail -c "${command[$1]}" >&2
    ended=$EPOCHREALTIME
    awk -v name="$1" -v round="$2" -v began="$began" -v ended="$ended" \
        '{ printf "{\"name\":\"%s\",\"round\":%d,\"wall\":%.4f,\"cpu\":%.2f,\"rss\":%.0f}\n", name, round, ended - began, $1 + $2, $3 / 1024 }' \
        "$work/time" >>"$work/runs.jsonl"
    [ -z "${expected[$1]:-}" ] || check_equal "${expected[$1]}" "${result[$1]}" "$1"
}

# read_first PATH...: what the jobs before have read leaves the page cache, where that can be asked for; what this job reads is in it.
read_first() {
    { echo 1 >/proc/sys/vm/drop_caches; } 2>/dev/null || true
    find "$@" -type f -exec cat {} + >/dev/null
    for program in "$qsync" bash tar zstd curl "${peers[@]%%:*}" desync; do
        program=$(type -P "$program") && cat "$program" >/dev/null
    done || true
}

# A virtual machine pays when it touches memory first: so that no job pays for the others, free memory is touched before each.
warm_memory() {
    local free_mib each n
    free_mib=$(awk '/^MemFree/ { print int($2 / 1024 * 0.8) }' /proc/meminfo)
    each=$(((free_mib < 2 * mib ? free_mib : 2 * mib) / threads))
    for ((n = 0; n < threads; n++)); do
        head -c "${each}M" /dev/zero >/dev/shm/qsync-bench.warm.$n &
        warming[n]=$!
    done
    wait "${warming[@]}" || true
    rm -f /dev/shm/qsync-bench.warm.*
}

# Writes the row of a job, and remembers its figures.
keep_figures() {
    local figures
    figures=$(jq -s --arg name "$1" --arg first "${jobs[0]}" '
        def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
        (map(select(.name == $first)) | map({key: (.round | tostring), value: .wall}) | from_entries) as $firsts
        | map(select(.name == $name))
        | {wall: (map(.wall) | median), min: (map(.wall) | min), max: (map(.wall) | max),
           ratio: (map(.wall / $firsts[.round | tostring]) | median), cpu: (map(.cpu) | median), rss: (map(.rss) | max)}' "$work/runs.jsonl")
    wall[$1]=$(jq .wall <<<"$figures") cpu[$1]=$(jq .cpu <<<"$figures") rss[$1]=$(jq .rss <<<"$figures") times_first[$1]=$(jq .ratio <<<"$figures")
    jq -r --arg name "$1" 'def s: . * 100 | round / 100;
        "| \($name) | \(.wall | s) | \(.min | s)–\(.max | s) | \(.ratio | s) | \(.cpu | s) | \(.rss) |"' <<<"$figures" >>"$work/tables.md"
}

note() {
    printf '\n%s\n' "$*" >>"$work/tables.md"
}

# measured ID WHAT VALUE at-most|at-least LIMIT [UNIT]: one row of the table of targets. An empty value says that a peer was missing.
measured() {
    local met="not measured"
    if [ -n "$3" ]; then
        met=$(awk -v v="$3" -v l="$5" -v how="$4" 'BEGIN { print (how == "at-most" ? v <= l : v >= l) ? "yes" : "no" }')
    fi
    echo "| $1 | $2 | ${4/-/ } $5${6:+ $6} | ${3:-–}${3:+${6:+ $6}} | $met |" >>"$work/targets"
}

# share JOB: the time of a table's first job as a share of this one's, the median of all rounds; nothing when it was not run.
share() {
    [ -z "${times_first[$1]:-}" ] || awk -v r="${times_first[$1]}" 'BEGIN { printf "%.3f", 1 / r }'
}

# times JOB: this one's time as a multiple of the first job's, the median of all rounds; nothing when it was not run.
times() {
    [ -z "${times_first[$1]:-}" ] || printf '%.3f' "${times_first[$1]}"
}

# ratio FIGURES JOB JOB: the quotient of two jobs' figures; nothing when one was not run.
ratio() {
    local -n figures=$1
    [ -n "${figures[$2]:-}" ] && [ -n "${figures[$3]:-}" ] || return 0
    awk -v a="${figures[$2]}" -v b="${figures[$3]}" 'BEGIN { printf "%.3f", a / b }'
}

# The compiled form of a program of benches/.
bench_program() {
    cargo bench --locked --no-run --message-format=json --bench "$1" 2>/dev/null | jq -r --arg name "$1" 'select(.target.name == $name).executable // empty'
}

# check_equal EXPECTED RESULT WHO
check_equal() {
    diff -r --no-dereference "$1" "$2" >&2 || { say "$3 did not restore the same bytes"; exit 1; }
}

print_targets() {
    printf '\n### Targets\n\n| id | what | target | measured | met |\n|---|---|---|---|---|\n'
    sort -V "$work/targets"
}

describe_machine() {
    local model
    model=$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -1)
    echo "$(date -u +%F), ${model:-unknown CPU}, $threads cores, $(awk '/MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB memory," \
        "Linux $(uname -r), $(findmnt -no FSTYPE -T "$work"). Data: $mib MiB. Runs of each job: $runs, unless a row says otherwise."
    echo
    describe_peers
}

# Ends the run when a file has no place for the tables.
check_marks() {
    local mark
    for mark in '<!-- tables -->' '<!-- end of tables -->'; do
        grep -qF -- "$mark" "$1" || { say "$1 has no line $mark"; exit 1; }
    done
}

# Replaces what lies between the two marks of a file by standard input.
replace_between_marks() {
    cat >"$work/between"
    awk -v between="$work/between" '
        /<!-- end of tables -->/ { skip = 0 }
        !skip
        /<!-- tables -->/ { skip = 1; while ((getline line < between) > 0) print line }
    ' "$1" >"$work/replaced"
    cat "$work/replaced" >"$1"
    say "written to $1"
}

# One nginx for all: port for everything, limited_port for connections of 20 MiB/s each. Requests for chunks are logged.
start_web_server() {
    port=$(free_port 20080)
    limited_port=$(free_port $((port + 1)))
    mkdir "$work/nginx"
    cat >"$work/nginx/nginx.conf" <<CONF
daemon off; master_process off; pid nginx.pid; events {}
http {
    access_log off; sendfile on; root $work; autoindex on;
    log_format bytes '\$status \$body_bytes_sent \$uri';
    client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
    server { listen 127.0.0.1:$port; }
    server { listen 127.0.0.1:$limited_port; limit_rate 20m; access_log $work/nginx/limited.log bytes; }
}
CONF
    nginx -p "$work/nginx" -c nginx.conf -e error.log &
    web_server=$!
    url=http://127.0.0.1:$port limited=http://127.0.0.1:$limited_port
    curl --silent --retry 20 --retry-connrefused --retry-delay 1 --fail --output /dev/null "$url/"
}

free_port() {
    local port
    for ((port = $1; port < $1 + 100; port++)); do
        (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null || { echo "$port"; return; }
    done
    return 1
}
