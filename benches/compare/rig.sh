# What every part uses: runs jobs, keeps their figures, and writes the tables.

work=$(mktemp -d "${QSYNC_BENCH_DIR:-${TMPDIR:-/var/tmp}}/qsync-bench.XXXXXX")
web_server=
# Figures of each job by its name: median wall seconds, CPU seconds, peak MiB.
declare -A wall cpu rss
: >"$work/tables.md" >"$work/rows" >"$work/targets"

clean_up() {
    [ -z "$web_server" ] || kill "$web_server"
    rm -rf "$work"
}
trap clean_up EXIT

say() {
    echo "$*" >&2
}

# job NAME PREPARE COMMAND [RUNS]: runs COMMAND with hyperfine, PREPARE before each run. Both are bash.
job() {
    say "$1"
    printf '%s\n' "$2" >"$work/prepare"
    printf 'set -euo pipefail\n%s\n' "$3" >"$work/command"
    : >"$work/rss"
    hyperfine --shell=none --runs "${4:-$runs}" --style none --export-json "$work/times.json" --prepare "bash -eu $work/prepare" \
        "$(type -P time) --append --output $work/rss --format %M bash $work/command" >&2
    wall[$1]=$(jq -r '.results[0].median' "$work/times.json")
    cpu[$1]=$(jq -r '.results[0] | .user + .system' "$work/times.json")
    rss[$1]=$(sort -n "$work/rss" | awk 'END { printf "%.0f", $1 / 1024 }')
    jq -r --arg name "$1" --arg rss "${rss[$1]}" --argjson first "${wall[${first:-$1}]}" '
        def s: . * 100 | round / 100;
        .results[0] | "| \($name) | \(.median | s) | \(.min | s)–\(.max | s) | \(.median / $first | s) | \(.user + .system | s) | \($rss) |"
    ' "$work/times.json" >>"$work/rows"
    first=${first:-$1}
}

# peer PROGRAM NAME PREPARE COMMAND [RUNS]: the same for a program that may be missing.
peer() {
    local program=$1
    shift
    if type -P "$program" >/dev/null; then job "$@"; else echo "| $1 | $program is missing | | | | |" >>"$work/rows"; fi
}

# table TITLE: ends a table of jobs; ratios are to its first job.
table() {
    {
        printf '\n### %s\n\n| tool | median s | min–max s | ratio | CPU s | peak MiB |\n|---|---|---|---|---|---|\n' "$1"
        cat "$work/rows"
    } >>"$work/tables.md"
    : >"$work/rows"
    first=
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
