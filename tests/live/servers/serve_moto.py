"""Serves moto, which plays S3 and CloudFront in memory, on a free port of loopback until its standard input ends; prints its address."""

import logging
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

# Not a line for each request.
logging.getLogger("werkzeug").setLevel(logging.ERROR)
# One request after the other: moto looks whether an object is there and then writes it, so that of two at once both could win.
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
server.shutdown()
