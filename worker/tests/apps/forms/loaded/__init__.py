from plain import app  # noqa: F401
