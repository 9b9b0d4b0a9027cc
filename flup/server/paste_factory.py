"""Server runners for PasteDeploy and PasteScript: `use = egg:flup#fcgi_thread`.

Their arguments come from a configuration file, as text.
"""

from . import NoDefault

YES = ("true", "yes", "on", "y", "t", "1")
NO = ("false", "no", "off", "n", "f", "0")


def run_fcgi_thread(
    wsgi_app, global_conf, host=None, port=None, socket=None, umask=None, multiplexed=False,
    debug=NoDefault, minSpare=None, maxSpare=None, maxThreads=None,
):
    """Runs `flup.server.fcgi.WSGIServer`."""
    from .fcgi import WSGIServer

    WSGIServer(
        wsgi_app,
        bindAddress=address(host, port, socket),
        umask=mask(umask),
        multiplexed=asbool(multiplexed),
        debug=debugs(debug, global_conf),
        **numbers(minSpare=minSpare, maxSpare=maxSpare, maxThreads=maxThreads),
    ).run()


def run_fcgi_fork(
    wsgi_app, global_conf, host=None, port=None, socket=None, umask=None, multiplexed=False,
    debug=NoDefault, minSpare=None, maxSpare=None, maxChildren=None, maxRequests=None,
):
    """Runs `flup.server.fcgi_fork.WSGIServer`."""
    from .fcgi_fork import WSGIServer

    WSGIServer(
        wsgi_app,
        bindAddress=address(host, port, socket),
        umask=mask(umask),
        multiplexed=asbool(multiplexed),
        debug=debugs(debug, global_conf),
        **numbers(
            minSpare=minSpare, maxSpare=maxSpare, maxChildren=maxChildren, maxRequests=maxRequests
        ),
    ).run()


def run_scgi_thread(
    wsgi_app, global_conf, scriptName=NoDefault, host="localhost", port="4000",
    allowedServers="127.0.0.1", debug=NoDefault, minSpare=None, maxSpare=None, maxThreads=None,
):
    """Runs `flup.server.scgi.WSGIServer`."""
    from .scgi import WSGIServer

    WSGIServer(
        wsgi_app,
        scriptName=scriptName,
        bindAddress=(host, int(port)),
        allowedServers=aslist(allowedServers),
        debug=debugs(debug, global_conf),
        **numbers(minSpare=minSpare, maxSpare=maxSpare, maxThreads=maxThreads),
    ).run()


def run_scgi_fork(
    wsgi_app, global_conf, scriptName=NoDefault, host="localhost", port="4000",
    allowedServers="127.0.0.1", debug=NoDefault, minSpare=None, maxSpare=None, maxChildren=None,
    maxRequests=None,
):
    """Runs `flup.server.scgi_fork.WSGIServer`."""
    from .scgi_fork import WSGIServer

    WSGIServer(
        wsgi_app,
        scriptName=scriptName,
        bindAddress=(host, int(port)),
        allowedServers=aslist(allowedServers),
        debug=debugs(debug, global_conf),
        **numbers(
            minSpare=minSpare, maxSpare=maxSpare, maxChildren=maxChildren, maxRequests=maxRequests
        ),
    ).run()


def address(host, port, socket):
    """The bindAddress: a path, a host with its port, or neither."""
    if socket:
        if host is not None or port is not None:
            raise ValueError("give either socket or host and port")
        return socket
    if host:
        if port is None:
            raise ValueError("host needs port, too")
        return host, int(port)
    return None


def mask(umask):
    """A umask; with a leading 0 it is octal, as in a shell."""
    if isinstance(umask, str):
        return int(umask, 8 if umask.startswith("0") else 10)
    return umask


def debugs(debug, global_conf):
    """Whether tracebacks are shown; who does not say leaves it to [DEFAULT]."""
    return asbool((global_conf or {}).get("debug", False) if debug is NoDefault else debug)


def numbers(**given):
    """The arguments that were given, as numbers."""
    return {name: int(value) for name, value in given.items() if value is not None}


def asbool(value):
    """True or False, also from their many spellings."""
    if not isinstance(value, str):
        return bool(value)
    word = value.strip().lower()
    if word in YES or word in NO:
        return word in YES
    raise ValueError("neither true nor false: %r" % value)


def aslist(value):
    """A list, also from words with blanks between them."""
    if isinstance(value, str):
        return value.split()
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
