#!/usr/bin/env bash
# Debian's systemd as the first process of namespaces of its own, to run units for real. Needs root, and systemd and util-linux of Debian.
#
#   systemd.sh boot FOLDER       boots it with the units of FOLDER/units and the programs of FOLDER/bin, prints its process id on one line,
#                                and serves until its standard input ends. Then it is killed, with everything in it.
#   systemd.sh run PID PROGRAM…  runs a program in there, such as systemctl.
#
# What is in there can change FOLDER and nothing else of this machine. The root file system is mounted read-only; /tmp, /var, /run and /dev
# are new and empty; none of the machine's own units can be found, since some of these empty /tmp or change what the kernel does. Its
# processes are not seen, the network is the machine's. What units print is in FOLDER/log.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
own_units=(/usr/lib/systemd/system /usr/lib/systemd/system-generators)

fail() {
    echo "systemd.sh: $*" >&2
    [ ! -e "${folder:-}/boot.log" ] || tail -n 20 "$folder/boot.log" >&2
    exit 1
}

# A root that shows what this machine has, without its other file systems, and keeps nothing.
make_root() {
    local path node
    mount --bind / "$root"
    mount -o remount,bind,ro "$root"
    for path in tmp var run dev usr/local/sbin "${own_units[@]#/}"; do
        mount -t tmpfs -o mode=0755 none "$root/$path"
    done
    chmod 1777 "$root/tmp"
    mkdir -p "$root"/var/{lib,log,cache} "$root"/run/{units,old,systemd/system} "$root"/dev/{shm,pts}
    install -d -m 1777 "$root/var/tmp"
    for node in null zero full random urandom tty; do
        touch "$root/dev/$node"
        mount --bind "/dev/$node" "$root/dev/$node"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    mount -t proc proc "$root/proc"
    mount --bind "$root/proc/sys" "$root/proc/sys"
    mount -o remount,bind,ro "$root/proc/sys"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mkdir -p "$root$folder"
    mount --bind "$folder" "$root$folder"
}

# The few targets that our units name, as empty ones; what units print goes to a file, since there is no journal.
make_units() {
    local name
    for name in boot sysinit basic shutdown umount multi-user timers network-online time-sync; do
        printf '[Unit]\nDescription=%s\nDefaultDependencies=no\nAllowIsolate=yes\n' "$name" >"$root/run/units/$name.target"
    done
    mkdir "$root/run/units/service.d"
    printf '[Service]\nStandardOutput=append:%s\nStandardError=inherit\n' "$folder/log" >"$root/run/units/service.d/log.conf"
    cp -R "$folder/units/." "$root/run/units/"
    cp "$folder"/bin/* "$root/usr/local/sbin/"
}

# Nothing of this machine may be writable but the folder.
refuse_writable() {
    local writable
    writable=$(findmnt --raw --noheadings --output TARGET,FSTYPE,VFS-OPTIONS | awk -v folder="$folder" '
        $3 ~ /(^|,)rw(,|$)/ && $2 !~ /^(tmpfs|proc|cgroup2|devpts)$/ && $1 != folder && $1 !~ /^\/dev\/(null|zero|full|random|urandom|tty)$/')
    [ -z "$writable" ] || fail "this could be changed from inside: $writable"
    if [ -w /etc ] || [ -w /usr ] || [ -w /root ]; then fail "the root can be written"; fi
}

# The first process in there.
enter() {
    root=$folder/root
    make_root
    make_units
    cd "$root"
    pivot_root . run/old
    cd /
    umount -l /run/old
    refuse_writable
    # `container` tells systemd to leave the kernel alone.
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=qsync LANG=C.UTF-8 SYSTEMD_UNIT_PATH=/run/units \
        SYSTEMD_GENERATOR_PATH=/run/none SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/none \
        "${QSYNC_TEST_INIT:-/usr/lib/systemd/systemd}" --system --unit=boot.target --log-target=console --log-level=notice --show-status=no
}

end_all() {
    { [ -z "$init" ] || kill -KILL "$init"; [ -z "$parent" ] || wait "$parent"; } 2>/dev/null || true
    # Processes leave their groups a moment after they have ended.
    local tries=0
    while [ -d "$group" ] && [ $((tries++)) -lt 100 ]; do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.05
    done
    rmdir "$folder/root" 2>/dev/null || true
}

boot() {
    local began=$SECONDS
    [ "$(id -u)" -eq 0 ] || fail "only root can do that"
    if [ ! -d "$folder/units" ] || [ ! -d "$folder/bin" ]; then fail "$folder has no units or no bin"; fi
    mkdir -p "$folder/root"
    # A group of its own is the root of what it sees, so that it leaves those of this machine alone.
    group=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)/qsync-test.$$
    mkdir "$group" || fail "there is no cgroup2 to be written to"
    trap end_all EXIT
    trap 'exit 143' TERM HUP
    trap 'exit 130' INT
    # shellcheck disable=SC2016
    setpriv --pdeathsig KILL bash -c 'echo $$ >"$1/cgroup.procs" && exec unshare --pid --fork --kill-child --mount --propagation private --uts --ipc --cgroup \
        "$0" enter "$2"' "$0" "$group" "$folder" </dev/null >"$folder/boot.log" 2>&1 &
    parent=$!
    until [ -n "$init" ] && run "$init" systemctl is-active --quiet boot.target 2>/dev/null; do
        kill -0 "$parent" 2>/dev/null || fail "it has ended"
        [ $((SECONDS - began)) -lt 60 ] || fail "it does not boot"
        sleep 0.1
        init=$(cat "/proc/$parent/task/$parent/children" 2>/dev/null || true)
        init=${init// /}
    done
    echo "$init"
}

run() {
    local pid=$1
    shift
    nsenter --target "$pid" --all env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"
}

verb=${1:-} init='' parent='' group=''
case $verb in
    boot)
        folder=$(realpath -e "${2:?the folder}")
        boot
        while read -r _; do :; done
        ;;
    enter) folder=$2 && enter ;;
    run)
        shift
        run "$@"
        ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
