"""Downloading a model from a store that obstore knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from fairlead_serving.digest import digest_of_files
from fairlead_serving.storage.explain import explain
from fairlead_serving.storage.paths import inside
from fairlead_serving.storage.pieces import Remote, copied, hashes

if TYPE_CHECKING:
    from pathlib import Path

    from fairlead_serving.storage.stores import Source


def download(source: Source, partial: Path) -> str:
    """Download a model into `partial/files` and return its digest.

    `partial/pieces` keeps what has come so far. Raises LoadError (missing, denied, refused) or StorageUnreachableError
    (no answer, 5xx, 429). OSError from the local disk passes through.
    """

    def read(remote: Remote, start: int, stop: int) -> memoryview:
        options: obstore.GetOptions = {"range": (start, stop)}
        if remote.version:
            # The piece must be of the version that was listed.
            options["if_match"] = remote.version
        return memoryview(obstore.get(source.store, remote.key, options=options).bytes())

    try:
        objects = {
            inside(name, source.uri): Remote(item["path"], item["size"], item["e_tag"])
            for name, item in source.list().items()
        }
        copies = copied(objects, read, partial / "pieces")
    except (BaseError, FileNotFoundError) as error:
        # obstore raises the built-in error for a missing object; the disk's own has an error number.
        if isinstance(error, FileNotFoundError) and error.errno is not None:
            raise
        raise explain(error, source.uri, source.where) from error
    digests = hashes(copies)
    folder = partial / "files"
    folder.mkdir(exist_ok=True)
    for name, copy in copies.items():
        copy.move(folder / name)
    return digest_of_files(digests)
