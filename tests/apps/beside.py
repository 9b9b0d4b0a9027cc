"""Short answers, and long ones that begin when the test lets them. Nothing checks
it, so that a short one takes no longer than it must.
"""

import os
import time
from urllib.parse import parse_qs


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if not environ["QUERY_STRING"]:
        return [b"short\n"]
    query = parse_qs(environ["QUERY_STRING"])
    open(query["started"][0], "a").close()
    deadline = time.monotonic() + 60
    while not os.path.exists(query["gate"][0]):
        if time.monotonic() > deadline:
            raise TimeoutError(query["gate"][0])
        time.sleep(0.001)
    return [b"x" * int(query["length"][0])]
