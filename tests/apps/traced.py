"""A Flask app with spans of its own, as people instrument one; its settings are the
variables of OpenTelemetry."""

import json
import time

from flask import Flask, Response, request
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)

app = Flask(__name__)
FlaskInstrumentor().instrument_app(app)


@app.route("/")
@app.route("/items/<int:item>", methods=["GET", "POST"])
def told(item=0):
    time.sleep(float(request.args.get("sleep", 0)))
    names = ("HTTP_TRACEPARENT", "HTTP_TRACESTATE")
    text = json.dumps({name: request.environ.get(name) for name in names})
    # Without a length the web server stays to the end: spans are exported after the body.
    return Response(iter([text]), mimetype="application/json")


@app.route("/fails")
def fails():
    raise ValueError("as asked")
