"""Builds the C core as one static library and the extension modules over it; all metadata is in pyproject.toml.

Where there is no C compiler the extensions are left out and the pure-Python path runs; ZMQSEC_REQUIRE_C=1 makes that
an error. ZMQSEC_CFLAGS adds compiler flags, as CI does with -Werror.
"""

import glob
import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib

EXTRA = os.environ.get("ZMQSEC_CFLAGS", "").split()
C_FLAGS = ["-std=gnu11", "-O2", "-fvisibility=hidden", *EXTRA] if sys.platform != "win32" else ["/O2", "/std:c11"]
SOURCES = sorted(glob.glob("csrc/*.c"))
HEADERS = sorted(glob.glob("csrc/*.h"))
REQUIRED = os.environ.get("ZMQSEC_REQUIRE_C") == "1"


class BuildLibrary(build_clib):
    """A failure to compile leaves the pure-Python path, unless the C core is required."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            if REQUIRED:
                raise
            print(f"zmqsec: the C core was not built ({error}); the pure-Python path will run", file=sys.stderr)


def extension(name: str) -> Extension:
    return Extension(
        f"zmqsec.{name}",
        [f"zmqsec/{name}.pyx"],
        include_dirs=["csrc"],
        depends=HEADERS + SOURCES,
        extra_compile_args=["-O2"],
        libraries=["dl", "pthread"] if sys.platform.startswith("linux") else [],
    )


NAMES = (
    "_library", "_parts", "_attest", "_batch", "_engine", "_open", "_answers", "_aside", "_deliver", "_grip",
    "_channel", "_direct", "_core", "_policy", "_relay",
)  # fmt: skip
MODULES = cythonize([extension(name) for name in NAMES])
for module in MODULES:
    module.optional = not REQUIRED  # cythonize does not hand this on

setup(
    libraries=[
        ("zmqsec_core", {"sources": SOURCES, "include_dirs": ["csrc"], "cflags": C_FLAGS, "obj_deps": {"": HEADERS}})
    ],
    ext_modules=MODULES,
    cmdclass={"build_clib": BuildLibrary},
)
