//! flup on flupd: scripts that were written for flup, unchanged.

mod callers;
mod fcgid;
mod hosted;
mod moin;
mod options;
mod package;
mod site;
mod workers;

/// The demo of Python's old "HOWTO Use Python in the web". `cgi.escape` has gone
/// since; the rest is as it was, also that its last row raises.
const HOWTO: &str = "\
# -*- coding: UTF-8 -*-

try:
    from cgi import escape
except ImportError:
    from html import escape
import sys, os
from flup.server.fcgi import WSGIServer

def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/html')])

    yield '<h1>FastCGI Environment</h1>'
    yield '<table>'
    for k, v in sorted(environ.items()):
        yield '<tr><th>%s</th><td>%s</td></tr>' % (escape(k), escape(v))
    yield '</table>'

";
