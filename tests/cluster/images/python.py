"""The operator's and the serving image, built from their Containerfiles when anything in them changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..cache import REPOSITORY, Say, cache_dir, digest_of, locked
from ..errors import ClusterError
from . import oci
from .builders import Builder
from .wheelhouse import ensure_wheels


@dataclass(frozen=True, slots=True)
class PythonImage:
    """An image of one Python project: its Containerfile, its locked requirements, its project folder and code."""

    name: str
    containerfile: Path
    requirements: Path
    project: Path
    code: Path

    @property
    def reference(self) -> str:
        """The image's name on our own clusters."""
        return f"fairlead.local/{self.name}:dev"

    def missing(self) -> str | None:
        """Return what keeps the image from being built, or None."""
        needed = (self.containerfile, self.requirements, self.project / "pyproject.toml", self.code / "__init__.py")
        return next((f"{path.relative_to(REPOSITORY)} is missing" for path in needed if not path.exists()), None)

    def archive(self, builder: Builder, progress: Say) -> Path:
        """Return the image's archive, built if an input changed since (or it is not there)."""
        base = builder.base()
        inputs = (self.containerfile, self.requirements, self.project / "pyproject.toml", self.code)
        key = digest_of(*inputs, *base.values(), type(builder).__name__)
        target = cache_dir() / "images" / f"{self.name}-{key}.tar"
        with locked(f"image-{self.name}", progress):
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                self.build(builder, progress)
                builder.save(self.reference, target)
                oci.forget_others(target)
        return target

    def build(self, builder: Builder, progress: Say) -> None:
        """Build the image under its reference."""
        wheels = ensure_wheels(self.requirements, progress)
        progress(f"building the image {self.reference}")
        with tempfile.TemporaryDirectory(dir=cache_dir()) as folder:
            context = Path(folder)
            shutil.copy(self.containerfile, context / "Containerfile")
            shutil.copy(self.requirements, context / "requirements.txt")
            shutil.copytree(wheels, context / "wheels", copy_function=_link)
            self._wheel(context / "dist")
            builder.build(context, self.reference, builder.base())

    def _wheel(self, target: Path) -> None:
        """Build the project's own wheel, from a copy: the tool writes beside what it reads."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder)
            inside = copy / self.code.relative_to(self.project)
            shutil.copytree(self.code, inside, ignore=shutil.ignore_patterns("__pycache__"))
            for file in ("pyproject.toml", "README.md"):
                if (self.project / file).exists():
                    shutil.copy(self.project / file, copy / file)
                else:
                    (copy / file).touch()
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index",
                       "--no-deps", "--no-build-isolation", f"--wheel-dir={target}", str(copy)]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            message = f"the package of the {self.name} image could not be built: {done.stderr.strip()[-1500:]}"
            raise ClusterError(message)


def _link(source: str, target: str) -> str:
    """Link a file, or copy it where links cannot be."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        return shutil.copy2(source, target)
    return target


OPERATOR = PythonImage(
    name="operator",
    containerfile=REPOSITORY / "operator" / "Containerfile",
    requirements=REPOSITORY / "requirements" / "operator.txt",
    project=REPOSITORY,
    code=REPOSITORY / "operator" / "fairlead",
)
SERVING = PythonImage(
    name="serving",
    containerfile=REPOSITORY / "serving-image" / "Containerfile",
    requirements=REPOSITORY / "requirements" / "serving.txt",
    project=REPOSITORY / "serving-image",
    code=REPOSITORY / "serving-image" / "fairlead_serving",
)
