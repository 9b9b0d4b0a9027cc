raise RuntimeError("a sick wsgi module")
