from plain import application  # noqa: F401
