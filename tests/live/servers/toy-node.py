#!/usr/bin/env python3
"""A node of the Substrate family in miniature: a chain that grows, a database of append-only and finished files, and its JSON-RPC.

    toy-node.py DIR PORT    keeps everything in DIR/chains/ksmcc3, and serves on 127.0.0.1:PORT until SIGTERM or SIGINT

The block of a height has the same hash in every toy node. SIGTERM is a clean stop: the tail is written, and the exit code is 0. One that was
killed says so at its next start in DIR/unclean, and goes on at the last whole table. It holds `lock` as ParityDB does. The first
block is that of Kusama, of which it says to be.

TOY_NODE_SYNCING=1    says that it is syncing
TOY_NODE_PEERS=N      how many peers it says it has (8)
TOY_NODE_BLOCK_MS=N   how long a block takes (200)
"""

import fcntl
import hashlib
import http.server
import json
import os
import pathlib
import signal
import sys
import threading

BLOCKS_IN_A_TABLE = 50


GENESIS_OF_KUSAMA = "0xb0a8d493285c2df73290dfb7e61f870f17b41801197a149ca93654499ea3dafe"


def block_hash(height):
    if height == 0:
        return GENESIS_OF_KUSAMA
    return "0x" + hashlib.blake2b(f"toy block {height}".encode(), digest_size=32).hexdigest()


class Chain:
    """Blocks in tables of 50: `table_N` once they are full and finished, `tail` for the newest, in memory until the node stops."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = open(folder / "lock", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # By which a directory is known for one of ParityDB.
        (folder / "metadata").write_text("version=8\nsizes=[0]\nsalt=" + "00" * 32 + "\n")
        self.tables = len(list(folder.glob("table_*")))
        tail, running = folder / "tail", folder / "running"
        if running.exists():
            (folder.parent.parent.parent.parent / "unclean").write_text("the last stop was not clean\n")
            self.tail = 0
        else:
            self.tail = len(tail.read_bytes().splitlines()) if tail.exists() else 0
        running.touch()
        self.held = threading.Lock()

    def height(self):
        return self.tables * BLOCKS_IN_A_TABLE + self.tail

    def grow(self):
        with self.held:
            self.tail += 1
            if self.tail == BLOCKS_IN_A_TABLE:
                self.write(self.folder / f"table_{self.tables:06}", BLOCKS_IN_A_TABLE)
                self.tables, self.tail = self.tables + 1, 0

    def write(self, path, count):
        first = self.tables * BLOCKS_IN_A_TABLE
        new = path.with_suffix(".new")
        with open(new, "wb") as file:
            for height in range(first + 1, first + count + 1):
                # Some weight for each block: what does not shrink.
                seed = bytes.fromhex(block_hash(height)[2:])
                file.write(b"%d %s %s\n" % (height, block_hash(height).encode(), hashlib.shake_256(seed).hexdigest(2000).encode()))
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)

    def stop(self):
        with self.held:
            self.write(self.folder / "tail", self.tail)
            (self.folder / "running").unlink()


def answer(chain, method, params):
    height = chain.height()
    finalized = max(height - 2, 0)
    if method == "system_health":
        return {"peers": int(os.environ.get("TOY_NODE_PEERS", "8")), "isSyncing": os.environ.get("TOY_NODE_SYNCING") == "1", "shouldHavePeers": True}
    if method == "system_syncState":
        return {"startingBlock": 0, "currentBlock": height, "highestBlock": height}
    if method == "system_version":
        return "1.0.0-toy"
    if method == "system_chain":
        return "Kusama"
    if method == "chain_getFinalizedHead":
        return block_hash(finalized)
    if method == "chain_getBlockHash":
        wanted = params[0] if params and params[0] is not None else height
        return block_hash(int(wanted)) if int(wanted) <= height else None
    if method == "chain_getHeader":
        return header(height if not params else height_of(params[0], height))
    raise KeyError(method)


def height_of(wanted, height):
    return next((h for h in range(height, -1, -1) if block_hash(h) == wanted), None)


def header(height):
    if height is None:
        return None
    root = "0x" + "00" * 32
    return {"number": hex(height), "parentHash": block_hash(max(height - 1, 0)), "stateRoot": root, "extrinsicsRoot": root, "digest": {"logs": []}}


def handler(chain):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            call = json.loads(self.rfile.read(int(self.headers["content-length"])))
            said = {"jsonrpc": "2.0", "id": call.get("id")}
            try:
                said["result"] = answer(chain, call["method"], call.get("params", []))
            except KeyError:
                said["error"] = {"code": -32601, "message": "Method not found"}
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def main(folder, port):
    base = pathlib.Path(folder)
    chain = Chain(base / "chains" / "ksmcc3" / "paritydb" / "full")
    (base / "chains" / "ksmcc3" / "network").mkdir(exist_ok=True)
    (base / "chains" / "ksmcc3" / "network" / "secret_ed25519").write_bytes(b"0" * 32)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler(chain))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    pause = int(os.environ.get("TOY_NODE_BLOCK_MS", "200")) / 1000
    while not stop.wait(pause):
        chain.grow()
    server.shutdown()
    chain.stop()


main(*sys.argv[1:])
