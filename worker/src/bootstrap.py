# Run by the user's own interpreter: PYTHON -c BOOTSTRAP /path/to/libflupd_worker.so
# What it defines stays inside the function, so that `__main__` is empty.
def bootstrap():
    import sys
    from importlib.machinery import ExtensionFileLoader, ModuleSpec

    library = sys.argv[1]
    sys.argv[:] = ["flupd"]
    if sys.path[:1] == [""]:  # from -c; the worker puts the app's directory there
        del sys.path[0]

    loader = ExtensionFileLoader("flupd_worker", library)
    worker = loader.create_module(ModuleSpec("flupd_worker", loader, origin=library))
    loader.exec_module(worker)
    sys.modules.pop("flupd_worker", None)
    return worker.main()


import sys  # noqa: E402

sys.exit(bootstrap())
