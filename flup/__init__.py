"""flup's servers and clients, on flupd's gateway.

A script that was written for flup 1.0 runs unchanged. docs/flup.md tells what
differs.
"""

__version__ = "1.0.3+flupd.0.1.0"
