"""Serves moto, which plays S3 and CloudFront in memory, on a free port of loopback until its standard input ends; prints its address."""

import logging
import sys

from moto.server import ThreadedMotoServer

# Not a line for each request.
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
host, port = server.get_host_and_port()
print(f"http://{host}:{port}", flush=True)
sys.stdin.read()
server.stop()
