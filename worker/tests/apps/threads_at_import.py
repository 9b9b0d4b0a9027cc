"""An app that starts threads when it is imported."""

import _thread
import threading
import time

from hello import application  # noqa: F401

threading.Thread(target=time.sleep, args=(60,), name="refresher", daemon=True).start()
_thread.start_new_thread(time.sleep, (60,))
