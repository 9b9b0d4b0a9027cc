# Run by the user's own interpreter: PYTHON -c BOOTSTRAP /path/to/libflupd_worker.so
# A function, so that nothing of it stands about in `__main__`.
def bootstrap():
    import os
    import sys

    unfit = None
    if sys.version_info < (3, 9):
        unfit = "Python %d.%d; flupd needs 3.9 or later" % sys.version_info[:2]
    elif sys.implementation.name != "cpython":
        unfit = sys.implementation.name + "; flupd runs apps on CPython"
    elif "t" in sys.abiflags:
        unfit = "a free-threaded build of Python; flupd needs the ordinary one"
    if unfit:
        sys.exit("flupd: " + sys.executable + " is " + unfit)
    from importlib.machinery import ExtensionFileLoader, ModuleSpec

    library = sys.argv[1]
    sys.argv[:] = ["flupd"]
    if sys.path[:1] == [""]:  # from -c; the worker puts the app's directory there
        del sys.path[0]
    del globals()["bootstrap"]

    name = os.path.basename(library)[len("lib"):].partition(".")[0]
    loader = ExtensionFileLoader(name, library)
    worker = loader.create_module(ModuleSpec(name, loader, origin=library))
    loader.exec_module(worker)
    sys.modules.pop(name, None)
    sys.exit(worker.main())


bootstrap()
