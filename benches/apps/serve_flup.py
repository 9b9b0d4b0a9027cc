"""serve_flup.py MODULE SOCKET: flup's threaded FastCGI server."""

import importlib
import sys

from flup.server.fcgi import WSGIServer

module, path = sys.argv[1:]
WSGIServer(importlib.import_module(module).application, bindAddress=path).run()
