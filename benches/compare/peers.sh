# The programs that qsync is compared with. Some are needed; a peer that cannot be had is a row that says so.

needed=(nginx:nginx-light ldb:rocksdb-tools time:time jq:jq zstd:zstd curl:curl tar:tar)
peers=(restic:restic rclone:rclone casync:casync aria2c:aria2 aws:awscli radosgw:radosgw ceph-osd:ceph-osd ceph-mon:ceph-mon ceph:ceph-common)

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
    type -P s5cmd >/dev/null || build_s5cmd || say "s5cmd could not be built"
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

build_s5cmd() {
    type -P go >/dev/null || return
    local source
    source=$(go mod download -json github.com/peak/s5cmd/v2@v2.3.0 | jq -r .Dir) || return
    mkdir -p "$work/bin" "$work/s5cmd"
    cp "$source/go.mod" "$source/go.sum" "$work/s5cmd"
    chmod u+w "$work/s5cmd"/*
    (cd "$source" && go build -mod=mod -modfile "$work/s5cmd/go.mod" -o "$work/bin/s5cmd" .) >&2 || return
    export PATH="$work/bin:$PATH"
}

describe_peers() {
    echo "$("$qsync" --version), zstd $(zstd --version | grep -o "v[0-9.]*"), $(tar --version | head -1), $(nginx -v 2>&1 | cut -d' ' -f3)," \
        "$(version restic version | cut -d' ' -f1,2), $(version rclone --version | head -1), $(version casync --version | head -1)," \
        "$(version aria2c --version | head -1)$(type -P desync >/dev/null && echo ', desync v1.0.0')$(type -P s5cmd >/dev/null && echo ', s5cmd v2.3.0'), $(version aws --version | cut -d' ' -f1), $(version radosgw --version | cut -d' ' -f1-3)."
}

version() {
    if type -P "$1" >/dev/null; then "$@"; else echo "no $1"; fi
}
