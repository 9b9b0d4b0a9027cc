"""The program flupd, which the wheel has beside its libraries."""

import os
import sys

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_flupd")


def main():
    """Becomes flupd."""
    os.execv(os.path.join(HERE, "flupd"), ["flupd", *sys.argv[1:]])
