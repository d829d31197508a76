"""`python -m tests.fuzz TARGET --seconds N`: fuzz one target, from its seeds and from what earlier runs kept."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests import compiled
from tests.cluster.cache import REPOSITORY, cache_dir
from tests.fuzz.environment import python
from tests.fuzz.targets import TARGETS, seeds
from tests.fuzz.words import WORDS

_MEMORY_MB: Final = 1024
_SLOW_SECONDS: Final = 10
_MOST_BYTES: Final = 4096


def main() -> int:
    """Return 0 when nothing was found in the time."""
    flags = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    flags.add_argument("target", choices=TARGETS)
    flags.add_argument("--seconds", type=int, default=60)
    flags.add_argument("--compiled", action="store_true", help="as it is shipped, of which libFuzzer sees no branches")
    given = flags.parse_args()
    folder = cache_dir() / "fuzz-found" / given.target
    corpus, begin = folder / "corpus", folder / "seeds"
    for each in (corpus, begin):
        each.mkdir(parents=True, exist_ok=True)
    for name, data in seeds(given.target).items():
        (begin / name.replace(" ", "-")).write_bytes(data)
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS[given.target]))
    before = set(folder.glob("*-*"))
    command = [
        str(python()), "-m", "tests.fuzz.driver", given.target, str(corpus), str(begin),
        f"-max_total_time={given.seconds}", f"-timeout={_SLOW_SECONDS}", f"-rss_limit_mb={_MEMORY_MB}",
        f"-max_len={_MOST_BYTES}", f"-dict={words}", f"-artifact_prefix={folder}/", "-print_final_stats=1",
    ]  # fmt: skip
    package = compiled.build(Path(sys.executable)) if given.compiled else compiled.SOURCES
    environment = {**os.environ, "PYTHONPATH": f"{package}:{REPOSITORY}"}
    status = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode  # noqa: S603
    for path in sorted(set(folder.glob("*-*")) - before):
        _tell(path)
    return status


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def _tell(path: Path) -> None:
    sys.stdout.write(f"found; as a seed: {path.name[:14]} = {path.read_bytes()!r}\n")


if __name__ == "__main__":
    sys.exit(main())
