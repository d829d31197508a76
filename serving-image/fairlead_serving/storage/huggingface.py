"""Models on the Hugging Face hub, by the two addresses it takes: the list of a revision's files, and the files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import HTTPStore

from fairlead_serving.errors import LoadError
from fairlead_serving.storage.explain import explain
from fairlead_serving.storage.stores import Source, opened

if TYPE_CHECKING:
    from collections.abc import Mapping

_URI: Final = re.compile(
    r"^hf://(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?(?:/(?P<path>[^@]*))?$", re.ASCII
)
_HUB: Final = "https://huggingface.co"
# Files of the repository's own, which signatures leave out too.
_ASIDE: Final = ".git"


class _File(msgspec.Struct):
    rfilename: str


class _Revision(msgspec.Struct):
    sha: str
    siblings: list[_File]


def open_model(uri: str, environment: Mapping[str, str]) -> Source:
    """Look up the files of `hf://owner/name[@revision][/path]`, all of one commit.

    HF_TOKEN and HF_ENDPOINT are the hub's own variables. Raises LoadError or StorageUnreachableError.
    """
    match = _URI.match(uri)
    if not match:
        message = f"{uri} should be hf://owner/name, hf://owner/name@revision or hf://owner/name/path"
        raise LoadError(message)
    hub = (environment.get("HF_ENDPOINT") or _HUB).rstrip("/")
    if not hub.startswith(("http://", "https://")):
        message = f"HF_ENDPOINT {hub!r} should be a URL that begins with https://"
        raise LoadError(message)
    token = environment.get("HF_TOKEN")
    headers = {"authorization": f"Bearer {token}"} if token else None
    store = opened(HTTPStore, hub, hub, http=hub.startswith("http://"), headers=headers)
    where = hub if token else f"{hub} without HF_TOKEN set"
    repository, path = match["repository"], (match["path"] or "").strip("/")
    asked = f"api/models/{repository}/revision/{match['revision'] or 'main'}"
    try:
        revision = msgspec.json.decode(bytes(obstore.get(store, asked).bytes()), type=_Revision)
    except (BaseError, FileNotFoundError) as error:
        raise explain(error, uri, where) from error
    except msgspec.MsgspecError as error:
        message = f"{hub} does not answer as the Hugging Face hub does: {error}"
        raise LoadError(message) from error
    below = f"{path}/" if path else ""
    files = [file.rfilename for file in revision.siblings]
    names = [name.removeprefix(below) for name in files if name.startswith(below) and not name.startswith(_ASIDE)]
    folder = f"{repository}/resolve/{revision.sha}/{path}".rstrip("/")
    if path in files:
        folder, _, name = folder.rpartition("/")
        names = [name]
    if not names:
        message = f"{uri} has no files at {where}"
        raise LoadError(message)
    return Source(uri, where, store, folder, tuple(names))
