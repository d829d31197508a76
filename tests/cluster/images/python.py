"""The operator's image and the serving image in its variants, built when anything in them changed."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..cache import REPOSITORY, Say, cache_dir, digest_of, locked
from . import oci
from .builders import Builder
from .wheelhouse import ensure_wheels

_RECIPE = REPOSITORY / "images"
_REQUIREMENTS = REPOSITORY / "requirements"
_TOOLS = _REQUIREMENTS / "build.txt"
_LICENSE = REPOSITORY / "LICENSE"


@dataclass(frozen=True, slots=True)
class PythonImage:
    """An image of one Python project in one variant, which is the set of requirements that it has.

    Building it needs a C compiler if its code is compiled.
    """

    project: str
    sources: tuple[Path, ...]
    variant: str = ""
    compiled: bool = False

    @property
    def name(self) -> str:
        """The image's name, such as `serving-lean`; its locked requirements are called so, too."""
        return f"{self.project}-{self.variant}" if self.variant else self.project

    @property
    def reference(self) -> str:
        """The image's name on our own clusters."""
        return f"fairlead.local/{self.name}:dev"

    @property
    def requirements(self) -> Path:
        """The locked requirements."""
        return _REQUIREMENTS / f"{self.name}.txt"

    def archive(self, builder: Builder, progress: Say) -> Path:
        """Return the image's archive, built if an input changed since (or it is not there)."""
        bases = builder.bases(compiler=self.compiled)
        key = digest_of(*self._inputs(), *bases.values(), type(builder).__name__)
        target = cache_dir() / "images" / f"{self.name}-{key}.tar"
        with locked(f"image-{self.name}", progress):
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                self.build(builder, progress)
                builder.save(self.reference, target)
                oci.forget_others(target)
        return target

    def build(self, builder: Builder, progress: Say, parts: Path | None = None) -> None:
        """Build the image under its reference, and write its list of parts (SBOM) into a folder if one is given."""
        wheels = {"tools": ensure_wheels(_TOOLS, progress), "packages": ensure_wheels(self.requirements, progress)}
        progress(f"building the image {self.reference}")
        arguments = {"IMAGE": self.project, "VARIANT": f"-{self.variant}" if self.variant else ""}
        arguments |= builder.bases(compiler=self.compiled)
        with tempfile.TemporaryDirectory(dir=cache_dir()) as folder:
            context = Path(folder)
            for source in self._inputs():
                _copy(source, context / source.relative_to(REPOSITORY))
            for stage, wheelhouse in wheels.items():
                shutil.copytree(wheelhouse, context / f"wheels-{stage}", copy_function=_link)
            builder.build(context, self.reference, arguments)
            if parts is not None:
                with tempfile.TemporaryDirectory(dir=cache_dir()) as written:
                    builder.extract(context, "sbom", arguments, Path(written))
                    found = next(Path(written).glob("*.json"))
                    parts.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(found, parts / f"fairlead-{self.name}.cdx.json")

    def _inputs(self) -> tuple[Path, ...]:
        return (_RECIPE, _TOOLS, _LICENSE, self.requirements, *self.sources)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _link(source: str, target: str) -> str:
    """Link a file, or copy it where links cannot be."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        return shutil.copy2(source, target)
    return target


def _serving(variant: str = "") -> PythonImage:
    project = REPOSITORY / "serving-image"
    sources = (project / "pyproject.toml", project / "setup.py", project / "fairlead_serving")
    return PythonImage("serving", sources, variant, compiled=True)


OPERATOR = PythonImage(
    "operator",
    (REPOSITORY / "pyproject.toml", REPOSITORY / "README.md", REPOSITORY / "operator" / "fairlead"),
)
SERVING = _serving()
VARIANTS = (_serving("lean"), _serving("litert"), _serving("torch"))
"""The serving image with less or with something else; built only where they are asked for."""
