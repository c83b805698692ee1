#!/usr/bin/env bash
# A real IPFS node on loopback: Kubo, which sends nothing to anybody but nodes on this machine that it is told to connect to.
#
#   kubo.sh [REPOSITORY]    makes a repository, starts a node on it, prints the addresses of its RPC and its gateway, and its repository,
#                           on one line, and serves until its standard input ends. Then it kills the node, and removes the
#                           repository if it was not named. One that is named is kept, and goes on with the same addresses next time.
#
# Needs jq and setpriv of Debian, and the program that tests/run builds, or an ipfs on the PATH.
#
# QSYNC_KUBO_ONLINE=1        talks to other nodes, with its swarm on 127.0.0.1 only; else it is offline.
# QSYNC_KUBO_AUTH=SECRET     its RPC wants this secret (basic:USER:PASSWORD or bearer:TOKEN).
# QSYNC_KUBO_STORAGE_MAX=N   what it takes for the size of its disk, such as 10MB.
set -euo pipefail
# shellcheck source=ports.sh
. "$(dirname "$0")/ports.sh"
ipfs=${XDG_CACHE_HOME:-$HOME/.cache}/qsync-live/ipfs
[ -x "$ipfs" ] || ipfs=ipfs
folder=
node=
# It would tell its makers of itself after 15 minutes.
export IPFS_TELEMETRY=off

end_all() {
    { [ -z "$node" ] || kill -KILL "$node" || true; } 2>/dev/null
    while [ -n "$node" ] && kill -0 "$node" 2>/dev/null; do sleep 0.02; done
    [ -z "$folder" ] || rm -rf "$folder"
}
trap end_all EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT

fail() {
    echo "kubo.sh: $*" >&2
    [ ! -e "$log" ] || tail -n 20 "$log" >&2
    exit 1
}

# No discovery, no routing, no automatic configuration, certificates, relays or announcements, no look for newer releases, and no names to
# resolve: what is not on this machine is not asked.
make_repository() {
    "$ipfs" init --profile=test,announce-off >"$log" 2>&1 || fail "failed: ipfs init"
    jq --arg rpc "$(free_port)" --arg gateway "$(free_port)" --arg auth "${QSYNC_KUBO_AUTH:-}" --arg max "${QSYNC_KUBO_STORAGE_MAX:-10GB}" '
        .Addresses.API = "/ip4/127.0.0.1/tcp/" + $rpc | .Addresses.Gateway = "/ip4/127.0.0.1/tcp/" + $gateway
        | .Addresses.Swarm = ["/ip4/127.0.0.1/tcp/0"]
        | .Bootstrap = [] | .Discovery.MDNS.Enabled = false | .AutoConf.Enabled = false | .AutoTLS.Enabled = false
        | .Routing = {Type: "none", DelegatedRouters: []} | .Ipns.DelegatedPublishers = [] | .DNS.Resolvers = {} | .HTTPRetrieval.Enabled = false
        | .Swarm.DisableNatPortMap = true | .Swarm.EnableHolePunching = false | .Swarm.RelayClient.Enabled = false
        | .Swarm.RelayService.Enabled = false | .Swarm.Transports.Network.Relay = false | .AutoNAT.ServiceMode = "disabled"
        | .Version.SwarmCheckEnabled = false | .Plugins.Plugins.telemetry.Config.Mode = "off"
        | .Datastore.StorageMax = $max
        | if $auth == "" then . else .API.Authorizations = {test: {AuthSecret: $auth, AllowedPaths: ["/api/v0"]}} end
    ' "$IPFS_PATH/config" >"$IPFS_PATH/config.new" && mv "$IPFS_PATH/config.new" "$IPFS_PATH/config"
}

start_node() {
    local began=$SECONDS offline=--offline
    [ "${QSYNC_KUBO_ONLINE:-}" != 1 ] || offline=
    # It ends with this script, however that ends. The proxies of this machine lead away from it.
    env -u http_proxy -u https_proxy -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY -u all_proxy \
        setpriv --pdeathsig KILL "$ipfs" daemon $offline </dev/null >"$log" 2>&1 &
    node=$!
    # Bash says nothing of its end.
    disown "$node"
    until grep -q 'Daemon is ready' "$log"; do
        kill -0 "$node" 2>/dev/null || fail "the node has ended"
        [ $((SECONDS - began)) -lt 60 ] || fail "the node does not answer"
        sleep 0.05
    done
}

address() {
    jq -r ".Addresses.$1" "$IPFS_PATH/config" | sed 's#/ip4/\(.*\)/tcp/#http://\1:#'
}

[ $# -gt 0 ] || folder=$(mktemp -d "${TMPDIR:-/var/tmp}/qsync-kubo.XXXXXX")
export IPFS_PATH=${1:-$folder/repository}
mkdir -p "$IPFS_PATH"
IPFS_PATH=$(cd "$IPFS_PATH" && pwd)
log=$IPFS_PATH/qsync-test.log
[ -e "$IPFS_PATH/config" ] || make_repository
start_node
echo "$(address API) $(address Gateway) $IPFS_PATH"
while read -r _; do :; done
