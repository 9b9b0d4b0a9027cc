"""A collector of spans for the tests: takes what comes over OTLP/HTTP, decodes it with
OpenTelemetry's own messages, and appends a line of JSON to a file for each span.

    collector.py PORT FILE [MODE]

MODE is `takes`; `refuses STATUS`; `busy N`: it is, N times; `slow N`: it takes N seconds for each
message; or `hangs`: no answer at all.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PORT, FILE, MODE, *ARGUMENT = sys.argv[1:]
NUMBER = int(ARGUMENT[0]) if ARGUMENT else 0
LOCK = threading.Lock()
posts = 0


def plain(attributes):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def spans(message, headers):
    for resource_spans in message.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield {
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "state": span.trace_state,
                    "flags": span.flags,
                    "name": span.name,
                    "kind": span.SpanKind.Name(span.kind),
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "attributes": plain(span.attributes),
                    "events": [[event.name, event.time_unix_nano] for event in span.events],
                    "failed": span.status.code == span.status.STATUS_CODE_ERROR,
                    "why": span.status.message,
                    "resource": plain(resource_spans.resource.attributes),
                    "scope": scope_spans.scope.name,
                    "schema": scope_spans.schema_url,
                    "headers": headers,
                }


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global posts
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with LOCK:
            posts += 1
            number = posts
        if MODE == "hangs":
            threading.Event().wait()
        if MODE == "slow":
            time.sleep(NUMBER)
        if MODE == "refuses" or MODE == "busy" and number <= NUMBER:
            return self.answer(NUMBER if MODE == "refuses" else 503, b"no")
        if self.path != "/v1/traces" or self.headers["Content-Type"] != "application/x-protobuf":
            return self.answer(404, b"")
        message = ExportTraceServiceRequest.FromString(body)
        lines = [json.dumps(span) + "\n" for span in spans(message, dict(self.headers))]
        with LOCK, open(FILE, "a", encoding="utf-8") as out:
            out.write("".join(lines))
        self.answer(200, ExportTraceServiceResponse().SerializeToString())

    def answer(self, status, body):
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(PORT)), Collector)
server.daemon_threads = True
server.serve_forever()
