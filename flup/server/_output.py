"""A CGI response that is written piece by piece, passed on as WSGI wants it."""


class Output:
    """`stdout` of a request: what is written is the head of a CGI response
    (RFC 3875, section 6), then its body."""

    # How long a head may be, in bytes.
    LONGEST = 1 << 20

    def __init__(self, start_response, exc_info=None):
        self._start_response = start_response
        self._exc_info = exc_info
        self._head = b""
        self._write = None
        self.dataWritten = False
        self.closed = False

    def write(self, data):
        """Takes bytes, or a str of latin-1 characters."""
        assert not self.closed
        if isinstance(data, str):
            data = data.encode("latin-1")
        if not data:
            return
        self.dataWritten = True
        if self._write is not None:
            self._write(data)
            return
        self._head += data
        end, after = _end_of_head(self._head)
        if end < 0:
            if len(self._head) > self.LONGEST:
                raise ValueError("the response's head does not end")
            return
        head, body = self._head[:end], self._head[after:]
        status, headers = parse(head)
        self._write = self._start_response(status, headers, self._exc_info)
        self._exc_info = None
        if body:
            self._write(body)

    def writelines(self, lines):
        """Takes an iterable of what `write` takes."""
        for line in lines:
            self.write(line)

    def flush(self):
        """Nothing is kept back."""

    def close(self):
        """Nothing more comes."""
        self.closed = True


def _end_of_head(data):
    """Where the head ends and where the body begins."""
    ends = [(at, at + len(mark)) for mark in (b"\r\n\r\n", b"\n\n") if (at := data.find(mark)) >= 0]
    return min(ends, default=(-1, -1))


def parse(head):
    """Status and headers of the head of a CGI response."""
    status, headers = None, []
    for line in head.decode("latin-1").split("\n"):
        name, colon, value = line.rstrip("\r").partition(":")
        if not colon:
            if name.strip():
                raise ValueError("not a header: %.200r" % name)
            continue
        name, value = name.strip(), value.strip()
        if name.lower() == "status":
            status = value
        else:
            headers.append((name, value))
    if status is None:
        moved = any(name.lower() == "location" for name, _ in headers)
        status = "302 Found" if moved else "200 OK"
    elif " " not in status:
        status += " Status"
    return status, headers
