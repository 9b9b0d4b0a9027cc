# Run in a namespace of its own by worker/src/flup.rs.
import sys
from importlib.machinery import ModuleSpec


class Finder:
    """Finds the modules of the package flup in flupd's library."""

    def __init__(self, modules):
        self.modules = modules

    def find_spec(self, name, path=None, target=None):
        if name not in self.modules:
            return None
        file, _ = self.modules[name]
        return ModuleSpec(name, self, origin="flupd", is_package=file.endswith("__init__.py"))

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self.get_code(module.__name__), module.__dict__)

    def get_code(self, name):
        file, text = self.modules[name]
        return compile(text, "<flupd>/flup/" + file, "exec", dont_inherit=True)

    # For tracebacks, by way of linecache.
    def get_source(self, name):
        return self.modules[name][1]


def install(modules):
    sys.meta_path.insert(0, Finder(modules))
