"""Builds the native core of line protocol, and the native readers for plugins. Everything else is in pyproject.toml.

The extension is optional: without Cython or a C++ compiler the install works, and the reference in Python serves.
PYAGENT_REQUIRE_NATIVE=1 makes a failed build an error. PYAGENT_NATIVE=0 leaves the extension out.
PYAGENT_SANITIZE=1 builds it with AddressSanitizer and UndefinedBehaviorSanitizer.
PYAGENT_OPTIMIZE=0, 1 or 2 builds it faster and slower to run, where it is only tried: a third, the half of the time of 3.
"""

import os
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CORE, READERS = "agent/pyagent/lineprotocol/native", "agent/pyagent/kit/native"
MODULES = {CORE: ("_core", "_intake", "_rows"), READERS: ("_exposition", "_records", "_sums")}


def extensions() -> list[Extension]:
    required = os.environ.get("PYAGENT_REQUIRE_NATIVE") == "1"
    if os.environ.get("PYAGENT_NATIVE") == "0" and not required:
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        if required:
            raise
        sys.stderr.write("pyagent: the native core is not built: Cython is missing\n")
        return []
    optimize = f"-O{os.environ.get('PYAGENT_OPTIMIZE', '3')}"
    compile_args = ["-std=c++17", optimize, "-g0", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"]
    # The C++ library is linked in: loading the shared one would cost memory that nothing else of the agent needs.
    link_args = ["-static-libstdc++", "-static-libgcc", "-Wl,--gc-sections"] if sys.platform == "linux" else []
    build_dir = "build/cython"
    if os.environ.get("PYAGENT_SANITIZE") == "1":
        build_dir = "build/cython-sanitized"  # another build may be under way
        sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
        compile_args = [*compile_args, "-O1", "-g", *sanitize]
        link_args = sanitize
    headers = [f"{folder}/{name}" for folder in MODULES for name in sorted(os.listdir(folder)) if name.endswith(".hpp")]
    modules = [
        Extension(
            f"{folder.removeprefix('agent/').replace('/', '.')}.{module}",
            [f"{folder}/{module}.pyx"],
            depends=headers,
            include_dirs=[CORE, READERS],
            extra_compile_args=compile_args,
            extra_link_args=link_args,
            language="c++",
        )
        for folder, names in MODULES.items()
        for module in names
    ]
    built = list(cythonize(modules, build_dir=build_dir))
    for extension in built:
        extension.optional = not required  # given to Extension, cythonize would lose it
    return built


class BuildIfPossible(build_ext):
    """`optional` alone does not survive that there is no compiler at all, which is an OSError."""

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except OSError as error:
            if not ext.optional:
                raise
            self.warn(f"the native core is not built: {error}")


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildIfPossible})
