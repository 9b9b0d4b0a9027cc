"""Builds the wheel: the package flup, and in it flupd and its libraries.

FLUPD_TARGET names a directory with a finished build; else cargo makes one.
"""

import os
import shutil
import subprocess

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

PROGRAMS = ["flupd", "libflupd_worker.so", "libflupd_solo.so"]
WORK = "target/wheel"


class Build(build_py):
    """Puts flupd and its libraries beside each other, as flupd looks for them."""

    def run(self):
        """Builds, and leaves out what only a debugger reads."""
        super().run()
        target = os.environ.get("FLUPD_TARGET")
        if target is None:
            target = "target/release"
            subprocess.run(["cargo", "build", "--release", "--workspace"], check=True)
        into = os.path.join(self.build_lib, "flup", "_flupd")
        os.makedirs(into, exist_ok=True)
        for name in PROGRAMS:
            source = os.path.join(target, name)
            subprocess.run(["strip", "--strip-debug", "-o", os.path.join(into, name), source], check=True)


class Platform(Distribution):
    """Not for every machine, although no extension module is compiled here."""

    def has_ext_modules(self):
        """As far as pip is concerned there are some."""
        return True


class Wheel(bdist_wheel):
    """For every CPython from 3.9 on."""

    def run(self):
        """What a build that failed has left is in nobody's way."""
        shutil.rmtree(os.path.join(WORK, "build"), ignore_errors=True)
        super().run()

    def get_tag(self):
        """Python, ABI and platform."""
        return "cp39", "abi3", super().get_tag()[2]


os.makedirs(WORK, exist_ok=True)
setup(
    distclass=Platform,
    cmdclass={"build_py": Build, "bdist_wheel": Wheel},
    # Nothing is left in the source tree.
    options={"build": {"build_base": WORK + "/build"}, "egg_info": {"egg_base": WORK}},
)
