"""The images that hold one program each: what the node itself runs, the object storage, Prometheus."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..cache import cache_dir, digest_of, locked
from ..commands import run, which
from ..errors import ClusterError
from ..tools import tool
from . import oci


def _busybox() -> Path:
    found = which("busybox")
    if found is None:
        message = "the program busybox is not installed (Debian package busybox-static)"
        raise ClusterError(message)
    return found


@dataclass(frozen=True, slots=True)
class StaticImage:
    """An image of one program and the system libraries it loads; where it comes from is looked up when it is needed."""

    reference: str
    program: str
    source: Callable[[], Path]
    arguments: tuple[str, ...] = ()

    def archive(self) -> Path:
        """Return the image's OCI archive, made if its program changed or it is not there."""
        source = self.source()
        files = {self.program: source.resolve()} | _libraries(source)
        name = self.reference.rpartition("/")[2].replace(":", "-")
        key = digest_of(self.reference, *self.arguments, *files, *files.values(), Path(oci.__file__))
        target = cache_dir() / "images" / f"{name}-{key}.tar"
        with locked(f"image-{name}"):
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                oci.write(target, self.reference, files, [self.program, *self.arguments])
                oci.forget_others(target)
        return target


def _libraries(program: Path) -> dict[str, Path]:
    """Return the shared libraries of a program by the paths it loads them from; none for a static one."""
    if b"/lib64/ld-linux" not in program.read_bytes() or which("ldd") is None:
        return {}
    found: list[str] = re.findall(r"(/\S+) \(0x", run(["ldd", program]))
    return {path: Path(path).resolve() for path in found}


PAUSE = StaticImage("fairlead.local/pause:1", "/busybox", _busybox, ("sleep", "2147483647"))
COREDNS = StaticImage("fairlead.local/coredns:1", "/coredns", lambda: tool("coredns"))
METRICS_SERVER = StaticImage("fairlead.local/metrics-server:1", "/metrics-server", lambda: tool("metrics-server"))
VERSITYGW = StaticImage("fairlead.local/versitygw:dev", "/versitygw", lambda: tool("versitygw"))
PROMETHEUS = StaticImage("fairlead.local/prometheus:dev", "/prometheus", lambda: tool("prometheus"))

SYSTEM = (PAUSE, COREDNS, METRICS_SERVER)
"""What a native node cannot be Ready without."""
