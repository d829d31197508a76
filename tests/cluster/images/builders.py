"""The two programs that build from a Containerfile: buildah (no daemon, Debian) and Docker."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ..cache import Say, cache_dir, locked
from ..commands import attempt, run, which
from ..debian import IMAGE_PROGRAMS, ensure_programs
from ..errors import ClusterError
from . import base

_FILE = "images/Containerfile"
# Those of the Containerfile from which others are copied, each with all that it builds on.
_STAGES = ("wheel", "code")


class Builder(Protocol):
    """Builds images and hands them on."""

    def build(self, context: Path, reference: str, arguments: Mapping[str, str]) -> None:
        """Build a folder by its images/Containerfile, with build arguments. Raises ClusterError."""

    def extract(self, context: Path, target: str, arguments: Mapping[str, str], folder: Path) -> None:
        """Build one stage of the Containerfile and write its files into a folder. Raises ClusterError."""

    def save(self, reference: str, archive: Path) -> None:
        """Write a built image as an archive that appears whole or not at all."""

    def push(self, reference: str, remote: str) -> None:
        """Push a built image to a registry under another name."""

    def bases(self, *, compiler: bool) -> dict[str, str]:
        """Return the build arguments that name the base images, if need be one with a C compiler among them.

        There are none where the Containerfile's own can be pulled.
        """


class Docker:
    """Builds by the Docker engine, from the base images the Containerfile names."""

    def build(self, context: Path, reference: str, arguments: Mapping[str, str]) -> None:
        """See Builder."""
        run(["docker", "build", "--file", context / _FILE, "--tag", reference, *_given(arguments), context])

    def extract(self, context: Path, target: str, arguments: Mapping[str, str], folder: Path) -> None:
        """See Builder."""
        output = ["--target", target, "--output", f"type=local,dest={folder}"]
        run(["docker", "build", "--file", context / _FILE, *output, *_given(arguments), context])

    def save(self, reference: str, archive: Path) -> None:
        """See Builder."""
        partial = archive.with_name(f".{archive.name}.partial")
        run(["docker", "save", "--output", partial, reference])
        partial.replace(archive)

    def push(self, reference: str, remote: str) -> None:
        """See Builder."""
        run(["docker", "tag", reference, remote])
        run(["docker", "push", remote])

    def bases(self, *, compiler: bool) -> dict[str, str]:  # noqa: ARG002  both can be pulled
        """See Builder."""
        return {}


class Buildah:
    """Builds without a daemon or a registry, on base images made from Debian packages."""

    def __init__(self, progress: Say) -> None:
        """Make sure that buildah is there."""
        ensure_programs(IMAGE_PROGRAMS, progress)
        self._say = progress
        self._store = cache_dir() / "buildah"

    def build(self, context: Path, reference: str, arguments: Mapping[str, str]) -> None:
        """See Builder."""
        # What the image copies from is named too, so that it is there for the next build, and for other variants.
        for stage in _STAGES:
            name = f"localhost/fairlead-stages:{stage}-{re.sub('[^a-z]+', '-', reference)}"
            self._build(context, arguments, "--target", stage, "--tag", name)
        self._build(context, arguments, "--tag", reference)
        # Steps of earlier builds.
        self._run("rmi", "--prune")

    def extract(self, context: Path, target: str, arguments: Mapping[str, str], folder: Path) -> None:
        """See Builder."""
        self._build(context, arguments, "--target", target, "--output", f"type=local,dest={folder}")

    def save(self, reference: str, archive: Path) -> None:
        """See Builder."""
        partial = archive.with_name(f".{archive.name}.partial")
        partial.unlink(missing_ok=True)
        # This kind of archive is not compressed; an OCI one would be, for an image store that unpacks it at once.
        self._run("push", "--quiet", reference, f"docker-archive:{partial}:{reference}")
        partial.replace(archive)

    def push(self, reference: str, remote: str) -> None:
        """See Builder."""
        # As Docker does: a registry on this very machine may speak plain http.
        local = re.split("[:/]", remote, maxsplit=1)[0] in {"localhost", "127.0.0.1"}
        self._run("push", "--quiet", f"--tls-verify={str(not local).lower()}", reference, f"docker://{remote}")

    def bases(self, *, compiler: bool) -> dict[str, str]:
        """See Builder; they are made on first use."""
        return {"BASE": self._base()} | ({"BUILDER": self._base(compiler=True)} if compiler else {})

    def _base(self, *, compiler: bool = False) -> str:
        reference = base.reference(compiler=compiler)
        if self._attempt("inspect", "--type", "image", reference) != 0:
            with locked("base-image", self._say), tempfile.TemporaryDirectory(dir=cache_dir()) as folder:
                archive = base.make(Path(folder), self._say, compiler=compiler)
                container = self._run("from", "scratch").strip()
                self._run("add", "--quiet", container, str(archive), "/")
                self._run("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", "--cmd", "python3", container)
                self._run("commit", "--quiet", "--rm", container, reference)
        return reference

    def _build(self, context: Path, arguments: Mapping[str, str], *more: str) -> None:
        self._run("build", "--layers", "--isolation=chroot", "--pull-never", *more, *_given(arguments),
                  "--file", str(context / _FILE), str(context))  # fmt: skip

    def _run(self, *arguments: str) -> str:
        with locked("buildah", self._say):
            return run([*self._command(), *arguments])

    def _attempt(self, *arguments: str) -> int:
        with locked("buildah", self._say):
            return attempt([*self._command(), *arguments]).returncode

    def _command(self) -> list[str]:
        kind = run(["stat", "--file-system", "--format=%T", cache_dir()]).strip()
        driver = "vfs" if kind in {"overlayfs", "aufs"} else "overlay"
        folders = [f"--root={self._store}/root", f"--runroot={self._store}/run"]
        return ["buildah", *folders, f"--storage-driver={driver}"]


def _given(arguments: Mapping[str, str]) -> list[str]:
    return [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]


def docker_answers() -> bool:
    """Tell whether a Docker engine answers."""
    question = ["docker", "version", "--format", "{{.Server.Version}}"]
    return which("docker") is not None and attempt(question).returncode == 0


def any_builder(progress: Say) -> Builder:
    """Return Docker where it answers, else buildah; raise ClusterError when there is neither."""
    if docker_answers():
        return Docker()
    try:
        return Buildah(progress)
    except ClusterError as error:
        message = f"images are built by Docker, which does not answer, or by buildah: {error}"
        raise ClusterError(message) from error
