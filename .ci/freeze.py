"""Runs schedules/kubernetes/base/freeze against a pretended API server and node, with every way in which it ends.

    freeze.py    prints what went wrong, and fails; needs curl and jq
"""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

SCRIPT = "schedules/kubernetes/base/freeze"


class Cluster:
    """One pod that ends with `code`, and the replicas that were asked for."""

    def __init__(self, code=0, grace=900):
        self.code, self.grace, self.scaled = code, grace, []
        self.stopped = threading.Event()

    def pod(self, state):
        status = {"containerStatuses": [{"name": "node", "state": state}]}
        return {"metadata": {"resourceVersion": "7"}, "spec": {"terminationGracePeriodSeconds": self.grace}, "status": status}

    def events(self):
        yield {"type": "MODIFIED", "object": self.pod({"running": {}})}
        if self.stopped.wait(10):
            yield {"type": "DELETED", "object": self.pod({"terminated": {"exitCode": self.code}})}


def handler(cluster):
    class Handler(http.server.BaseHTTPRequestHandler):
        def say(self, lines):
            self.send_response(200)
            self.end_headers()
            for line in lines:
                self.wfile.write(json.dumps(line).encode() + b"\n")
                self.wfile.flush()

        def do_GET(self):
            assert self.headers["authorization"] == "Bearer secret", self.headers
            self.say(cluster.events() if "watch=1" in self.path else [cluster.pod({"running": {}})])

        def do_PATCH(self):
            wanted = json.loads(self.rfile.read(int(self.headers["content-length"])))["spec"]["replicas"]
            assert self.path == "/apis/apps/v1/namespaces/ns/statefulsets/node/scale", self.path
            cluster.scaled.append(wanted)
            if wanted == 0:
                cluster.stopped.set()
            self.say([{}])

        def do_POST(self):
            method = json.loads(self.rfile.read(int(self.headers["content-length"])))["method"]
            self.say([{"result": {"chain_getFinalizedHead": "0xabc", "chain_getHeader": {"number": "0x10"}}[method]}])

        def log_message(self, *_):
            pass

    return Handler


def run(folder, cluster, *arguments):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(cluster))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    environment = {**os.environ, "API": address, "RPC": address, "ACCOUNT": str(folder), "DATA_DIR": str(folder / "node"), "NO_PROXY": "*"}
    done = subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False)
    server.shutdown()
    return done


def expect(what, found, expected):
    if found != expected:
        print(f"{what}: found {found}, expected {expected}")
        sys.exit(1)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for file, text in {"namespace": "ns", "token": "secret", "ca.crt": ""}.items():
            (folder / file).write_text(text)
        (folder / "node").mkdir()
        (folder / "node" / "block").write_text("a block")
        clone = folder / ".node.qsync-clone"

        cluster = Cluster()
        done = run(folder, cluster)
        expect("a clean stop", (done.returncode, cluster.scaled), (0, [0, 1]))
        expect("what it prints", json.loads(done.stdout), {"dir": str(clone), "height": 16, "block_hash": "0xabc"})
        expect("the clone", (clone / "block").read_text(), "a block")

        cluster = Cluster()
        expect("thaw", (run(folder, cluster, "thaw").returncode, cluster.scaled, clone.exists()), (0, [1], False))

        cluster = Cluster(code=137)
        done = run(folder, cluster)
        expect("a killed node", (done.returncode, cluster.scaled, clone.exists(), "137" in done.stderr), (1, [0, 1], False, True))

        cluster = Cluster(grace=30)
        expect("a pod that may be killed", (run(folder, cluster).returncode, cluster.scaled), (1, []))

        (folder / "node").rename(folder / "elsewhere")
        cluster = Cluster()
        expect("a clone that fails", (run(folder, cluster).returncode, cluster.scaled, clone.exists()), (1, [0, 1], False))


main()
