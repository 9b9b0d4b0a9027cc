"""An app in whose process no fork succeeds."""

import os
import resource
import threading  # noqa: F401  (the interpreter may be out of reach below)

from hello import application  # noqa: F401

resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
if os.getuid() == 0:  # whom the limit does not bind
    os.setuid(65534)
