"""The page that a client sees when the app raises."""

import html
import sys
import traceback

HEAD = b"Status: 500 Internal Server Error\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"

# Nothing of the inside is in it.
PLAIN = b"""<!DOCTYPE html>
<html><head>
<title>Unhandled Exception</title>
</head><body>
<h1>Unhandled Exception</h1>
<p>An unhandled exception was thrown by the application.</p>
</body></html>
"""

DEBUG = """<!DOCTYPE html>
<html><head>
<title>%s</title>
<style>pre { overflow-x: auto; line-height: 1.4 }</style>
</head><body>
<h1>%s</h1>
<pre>%s</pre>
<p>This page is shown because the server was started with debug=True.</p>
</body></html>
"""


def page(debug):
    """A CGI response for the exception that is being handled; with `debug` its
    traceback, with the values of local variables."""
    return HEAD + (_debug(sys.exc_info()) if debug else PLAIN)


def _debug(info):
    kind, value, _ = info
    title = html.escape("%s: %s" % (kind.__name__, _text(value)))
    try:
        lines = list(traceback.TracebackException(*info, capture_locals=True).format())
    except Exception:  # The repr of a local variable failed.
        lines = traceback.format_exception(*info)
    text = DEBUG % (title, title, html.escape("".join(lines)))
    return text.encode("utf-8", "backslashreplace")


def _text(value):
    try:
        return str(value)
    except Exception:
        return "(its __str__ failed)"
