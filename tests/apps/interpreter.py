"""Tells which Python it runs on, and from where that takes its packages."""

import json
import sys
from wsgiref.validate import validator


@validator
def application(environ, start_response):
    told = {
        "version": list(sys.version_info[:3]),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "path": sys.path,
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode("ascii")]
