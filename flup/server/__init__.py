"""WSGI servers."""


class NoDefault:
    """Stands for an argument that was not given, where None means something."""


__all__ = ["NoDefault"]
