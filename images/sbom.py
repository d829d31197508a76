"""Write an image's list of parts (SBOM) in CycloneDX: its Python packages, Debian's, interpreter and compiled-in code.

Runs while the image is built: sbom.py PYTHON PYPROJECT FOLDER
"""

# ruff: noqa: INP001  a script of the build, not a package

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

_TOOL = str(Path(sys.executable).with_name("cyclonedx-py"))
_FIELDS = "${db:Status-Status} ${Package} ${Version} ${Architecture}\n"


def main(python: str, pyproject: str, folder: str) -> None:
    """Write the parts of the environment that `python` belongs to, and of this system, into a folder."""
    command = [_TOOL, "environment", python, "--pyproject", pyproject, "--output-reproducible", "--output-file", "-"]
    parts = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603  our own tool
    interpreter = _part("python", platform.python_version(), "generic/python", "")
    parts["components"] += [*_debian(), interpreter, *_compiled_in(Path(pyproject))]
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / f"{parts['metadata']['component']['name']}.cdx.json").write_text(json.dumps(parts, indent=1) + "\n")


def _debian() -> Iterator[dict[str, Any]]:
    system = platform.freedesktop_os_release()
    query = ["/usr/bin/dpkg-query", "--show", f"--showformat={_FIELDS}"]
    shown = subprocess.run(query, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603  nothing from outside
    for line in shown.stdout.splitlines():
        status, name, version, architecture = line.split()
        if status == "installed":
            place = f"?arch={architecture}&distro={system['ID']}-{system['VERSION_ID']}"
            yield _part(name, version, f"deb/{system['ID']}/{quote(name)}", place)


def _compiled_in(pyproject: Path) -> Iterator[dict[str, Any]]:
    """Yield mypy for code that mypyc compiles: its C runtime becomes part of that, though mypy is not in the image."""
    requires = tomllib.loads(pyproject.read_text())["build-system"]["requires"]
    if any(name.startswith("mypy") for name in requires):
        licences = [{"license": {"id": metadata.metadata("mypy")["License-Expression"]}}]
        yield _part("mypy", metadata.version("mypy"), "pypi/mypy", "") | {"licenses": licences}


def _part(name: str, version: str, path: str, place: str) -> dict[str, Any]:
    purl = f"pkg:{path}@{quote(version)}{place}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    main(*sys.argv[1:])
