# shellcheck shell=bash
# Read by the scripts beside it.

# A port that nothing listens on, below those that the kernel gives to connections of its own choice.
free_port() {
    local port
    while port=$((20000 + RANDOM % 10000)); do
        (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null || { echo "$port"; return; }
    done
}
