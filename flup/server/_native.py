"""Finds the library in which the gateway and the WSGI bridge are."""

import os
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec

LIBRARY = "libflupd_solo.so"
NAME = "flupd_solo"


def host():
    """What hands an app to the flupd that runs this script, and returns the number
    of the signal by which that has ended; None without one."""
    return getattr(sys.modules.get("_flupd"), "serve", None)


def library():
    """The module of the library.

    Raises ImportError, with the places where it was looked for.
    """
    module = sys.modules.get("_" + NAME)
    if module is None:
        path = _find()
        loader = ExtensionFileLoader(NAME, path)
        module = loader.create_module(ModuleSpec(NAME, loader, origin=path))
        loader.exec_module(module)
        # Once a process: the library keeps what belongs to it.
        sys.modules["_" + NAME] = module
    return module


def _find():
    places = [os.path.join(place, LIBRARY) for place in _places()]
    for path in places:
        if os.path.isfile(path):
            return path
    if not places:
        raise ImportError(
            "this script runs in a worker of flupd, which serves it: leave out bindAddress, "
            "or run the script with python"
        )
    raise ImportError(
        "%s, which belongs to flupd's package flup, is in none of these places: %s. "
        "Install flup from its wheel (make wheel), or name the library's directory in "
        "FLUPD_WORKER_LIB."
        % (LIBRARY, ", ".join(places))
    )


def _places():
    named = os.environ.get("FLUPD_WORKER_LIB")
    if named:
        # As flupd itself takes it: a directory, or a file in one.
        yield named if os.path.isdir(named) else os.path.dirname(named)
    if "__file__" in globals():  # Else the package is inside the library of a worker.
        package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        yield os.path.join(package, "_flupd")
