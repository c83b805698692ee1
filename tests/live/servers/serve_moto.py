"""Serves moto, which plays S3, CloudFront, CloudWatch, SNS and SQS in memory, on a free port of loopback until its standard input ends; prints its address."""

import gzip
import io
import json
import logging
import sys
import threading

import cbor2
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


class Cbor:
    """Clients of CloudWatch speak CBOR, moto does not: this is between them, and changes nothing but the language.

    https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
    """

    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        if environ.get("HTTP_SMITHY_PROTOCOL") != "rpc-v2-cbor":
            return self.application(environ, start_response)
        _, _, service, _, operation = environ["PATH_INFO"].split("/")
        told = []
        body = b"".join(self.application(self.request(environ, service, operation), lambda *head: told.append(head)))
        status, headers = told[0][:2]
        answer = cbor2.dumps(of_json(json.loads(body or b"{}")))
        others = [(name, value) for name, value in headers if name.lower() not in ("content-type", "content-length")]
        start_response(status, [*others, ("Content-Type", "application/cbor"), ("Smithy-Protocol", "rpc-v2-cbor"), ("Content-Length", str(len(answer)))])
        return [answer]

    def request(self, environ, service, operation):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ.pop("HTTP_CONTENT_ENCODING", None) == "gzip":
            body = gzip.decompress(body)
        body = json.dumps(cbor2.loads(body) if body else {}, default=lambda time: time.timestamp()).encode()
        return {
            **environ,
            "PATH_INFO": "/",
            "CONTENT_TYPE": "application/x-amz-json-1.0",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_X_AMZ_TARGET": f"{service}.{operation}",
            "wsgi.input": io.BytesIO(body),
        }


def of_json(value, name=None):
    """JSON has one kind of number; CBOR tells times from others."""
    if isinstance(value, dict):
        return {key: of_json(of_key, key) for key, of_key in value.items()}
    if isinstance(value, list):
        return [of_json(one, name) for one in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return cbor2.CBORTag(1, value) if name == "Timestamps" else float(value)
    return value


# Not a line for each request.
logging.getLogger("werkzeug").setLevel(logging.ERROR)
# One request after the other: moto looks whether an object is there and then writes it, so that of two at once both could win.
server = make_server("127.0.0.1", 0, Cbor(DomainDispatcherApplication(create_backend_app)), threaded=False)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
server.shutdown()
