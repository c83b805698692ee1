# The programs that qsync is compared with. Some are needed; a peer that cannot be had is a row that says so.

needed=(nginx:nginx-light ldb:rocksdb-tools time:time jq:jq zstd:zstd curl:curl tar:tar)
peers=(restic:restic rclone:rclone casync:casync aria2c:aria2)

find_peers() {
    local entry missing=()
    for entry in "${needed[@]}" "${peers[@]}"; do
        type -P "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
    done
    if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" -eq 0 ] && type -P apt-get >/dev/null; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 || say "could not install: ${missing[*]}"
    fi
    for entry in "${needed[@]}"; do
        type -P "${entry%%:*}" >/dev/null || { say "missing: ${entry%%:*} (Debian: ${entry##*:})"; exit 1; }
    done
    type -P desync >/dev/null || build_desync || say "desync could not be built"
}

# Its `go install` needs a list of versions that not every module proxy gives; downloading this one and building it does not.
build_desync() {
    type -P go >/dev/null || return
    local source
    source=$(go mod download -json github.com/folbricht/desync@v1.0.0 | jq -r .Dir) || return
    mkdir -p "$work/bin" "$work/desync"
    cp "$source/go.mod" "$source/go.sum" "$work/desync"
    chmod u+w "$work/desync"/*
    (cd "$source" && go build -modfile "$work/desync/go.mod" -o "$work/bin/desync" ./cmd/desync) >&2 || return
    export PATH="$work/bin:$PATH"
}

describe_peers() {
    echo "$("$qsync" --version), zstd $(zstd --version | grep -o "v[0-9.]*"), $(tar --version | head -1), $(nginx -v 2>&1 | cut -d' ' -f3)," \
        "$(version restic version | cut -d' ' -f1,2), $(version rclone --version | head -1), $(version casync --version | head -1)," \
        "$(version aria2c --version | head -1)$(type -P desync >/dev/null && echo ', desync v1.0.0')."
}

version() {
    if type -P "$1" >/dev/null; then "$@"; else echo "no $1"; fi
}
