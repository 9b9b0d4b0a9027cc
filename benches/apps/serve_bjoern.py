"""serve_bjoern.py MODULE SOCKET WORKERS: bjoern, which has no command of its own."""

import ctypes
import importlib
import os
import signal
import sys

import bjoern

module, path, workers = sys.argv[1:]
application = importlib.import_module(module).application
bjoern.listen(application, "unix:" + path)
PR_SET_PDEATHSIG = 1
for _ in range(int(workers) - 1):
    if not os.fork():
        # SIGTERM ends the parent at once: its children go with it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        break
bjoern.run()
