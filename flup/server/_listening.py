"""The socket on which a server listens, and who may connect."""

import errno
import os
import socket
import stat

FCGI_LISTENSOCK_FILENO = 0


def fill_standard_streams():
    """Opens those of descriptors 0, 1 and 2 that the web server has left closed
    (section 2.2): else they would be sockets of ours, which what somebody prints
    would spoil, and which who puts a stream in its place would close.
    """
    while True:
        null = os.open(os.devnull, os.O_RDWR)
        if null > 2:
            os.close(null)
            return
        os.set_inheritable(null, True)


# Before the script opens anything itself.
fill_standard_streams()


def inherited():
    """The listening socket with which the web server has started this process
    (FastCGI 1.0, section 2.2); None if there is none, so that this is CGI.
    """
    try:
        sock = socket.socket(fileno=os.dup(FCGI_LISTENSOCK_FILENO))
    except OSError as error:
        if error.errno in (errno.ENOTSOCK, errno.EBADF):
            return None
        raise
    # A web server may hand a CGI program its request's body on a socket.
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return sock
    sock.close()
    return None


def passed(number):
    """The listening socket with this descriptor."""
    return socket.socket(fileno=number)


def bind(address, umask=None):
    """Listens on a path, on (host, port) or on an IPv6 address of four items."""
    if isinstance(address, (str, bytes, os.PathLike)):
        return _bind_unix(os.fspath(address), umask)
    if not isinstance(address, tuple):
        raise TypeError("bindAddress is a path or a tuple, not %r" % (address,))
    family = socket.AF_INET6 if len(address) > 2 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _listen(sock, address)
    except BaseException:
        sock.close()
        raise


def _bind_unix(path, umask):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Whoever was there before has left it, or is replaced: so flup does it.
        # A file that is no socket is somebody's.
        try:
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                os.unlink(path)
        except FileNotFoundError:
            pass
        if umask is None:
            return _listen(sock, path)
        old = os.umask(umask)
        try:
            return _listen(sock, path)
        finally:
            os.umask(old)
    except BaseException:
        sock.close()
        raise


def _listen(sock, address):
    try:
        sock.bind(address)
    except OSError as error:
        raise OSError(error.errno, "can't listen on %s: %s" % (shown(address), error.strerror)) from error
    sock.listen(socket.SOMAXCONN)
    return sock


def shown(address):
    """An address for people; that of a bound socket's `getsockname()`, too."""
    if isinstance(address, tuple):
        host = "[%s]" % address[0] if ":" in address[0] else address[0]
        return "%s:%s" % (host, address[1])
    return "unix:%s" % os.fsdecode(address) if address else "fd:0"


def allowed_servers():
    """The peers that FCGI_WEB_SERVER_ADDRS allows (section 3.2); None for all."""
    listed = os.environ.get("FCGI_WEB_SERVER_ADDRS")
    if listed is None:
        return None
    return [address.strip() for address in listed.split(",")]
