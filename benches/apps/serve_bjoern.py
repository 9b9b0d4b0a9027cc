"""serve_bjoern.py MODULE SOCKET WORKERS: bjoern, which has no command of its own."""

import importlib
import os
import signal
import sys

import bjoern

module, path, workers = sys.argv[1:]
application = importlib.import_module(module).application
bjoern.listen(application, "unix:" + path)
children = []
for _ in range(int(workers) - 1):
    child = os.fork()
    if not child:
        children.clear()
        break
    children.append(child)
try:
    bjoern.run()
finally:
    for child in children:
        os.kill(child, signal.SIGTERM)
