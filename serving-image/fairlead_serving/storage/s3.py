"""Models in S3 or anything that speaks its API, by obstore."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from fairlead_serving.digest import digest_of_files
from fairlead_serving.errors import LoadError
from fairlead_serving.storage.s3errors import explain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from obstore import ObjectMeta

_PIECE: Final = 8 * 1024 * 1024
_PARALLEL: Final = 4
_CONNECT: Final = timedelta(seconds=5)
_PIECE_TIMEOUT: Final = timedelta(seconds=60)
# Any of these says where credentials are; without them the node's own are asked for.
_CREDENTIALS: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class S3Source:
    """One model below a bucket's prefix, or one object.

    Credentials, region and endpoint come from the usual AWS_ variables, which obstore reads itself; a web identity
    (AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE) works as well. An http:// endpoint is allowed.
    """

    def __init__(self, uri: str, environment: Mapping[str, str]) -> None:
        """Prepare access to an `s3://bucket/prefix`. Raises LoadError for a malformed URI or settings."""
        parts = urlsplit(uri)
        self._uri = uri
        self._bucket = parts.netloc
        self._prefix = parts.path.strip("/")
        if not self._bucket or not self._prefix:
            message = f"{uri} should be s3://bucket/path"
            raise LoadError(message)
        self._endpoint = next((environment[name] for name in _ENDPOINTS if environment.get(name)), "")
        address = urlsplit(self._endpoint)
        if self._endpoint and (address.scheme not in ("http", "https") or not address.hostname):
            message = f"the S3 endpoint {self._endpoint!r} should be http://host:port or https://host:port"
            raise LoadError(message)
        self._where = self._endpoint or "S3"
        if not any(environment.get(name) for name in _CREDENTIALS):
            self._where += " without credentials set"
        self._store = self._open()

    def fetch(self, folder: Path) -> str:
        """Download everything into an empty folder and return the digest.

        Raises LoadError (missing, denied, refused) or StorageUnreachableError (no answer, 5xx, 429). OSError from the
        local disk passes through.
        """
        try:
            objects = self._list()
            with ThreadPoolExecutor(_PARALLEL, "download") as pool:
                hashes = dict(pool.map(lambda name: (name, self._download(objects[name], folder / name)), objects))
        except (BaseError, FileNotFoundError) as error:
            # obstore raises the built-in error for a missing object; the disk's own has an error number.
            if isinstance(error, FileNotFoundError) and error.errno is not None:
                raise
            raise explain(error, self._uri, self._where) from error
        return digest_of_files(hashes)

    def _open(self) -> S3Store:
        try:
            return S3Store(
                self._bucket,
                client_options={
                    "allow_http": self._endpoint.startswith("http://"),
                    "connect_timeout": _CONNECT,
                    "timeout": _PIECE_TIMEOUT,
                },
                # Retries are ours, so that each attempt can be seen in the status.
                retry_config={"max_retries": 0, "retry_timeout": _PIECE_TIMEOUT},
            )
        except BaseError as error:
            first = str(error).splitlines()[0]
            message = f"the S3 settings are wrong: {first}"
            raise LoadError(message) from error

    def _list(self) -> dict[str, ObjectMeta]:
        """Return the objects by their path relative to the model's folder."""
        found: dict[str, ObjectMeta] = {}
        for page in obstore.list(self._store, prefix=self._prefix):
            for item in page:
                name = item["path"].removeprefix(self._prefix).lstrip("/")
                if name:
                    found[name] = item
        for folder in {parent.as_posix() for name in found for parent in PurePosixPath(name).parents}:
            # Some tools mark a folder by an empty object of its name.
            found.pop(folder, None)
        if not found:
            item = obstore.head(self._store, self._prefix)
            found[PurePosixPath(self._prefix).name] = item
        outside = [name for name in found if ".." in PurePosixPath(name).parts]
        if outside:
            message = f"{self._uri}: the object name {outside[0]!r} leads out of the model's folder"
            raise LoadError(message)
        return found

    def _download(self, item: ObjectMeta, target: Path) -> str:
        """Copy one object piece by piece; all pieces must be of the version that was listed."""
        target.parent.mkdir(parents=True, exist_ok=True)
        content = hashlib.sha256()
        etag = item["e_tag"]
        with target.open("wb") as file:
            for start in range(0, item["size"], _PIECE):
                stop = min(start + _PIECE, item["size"])
                options: obstore.GetOptions = {"range": (start, stop)}
                if etag:
                    options["if_match"] = etag
                piece = memoryview(obstore.get(self._store, item["path"], options=options).bytes())
                content.update(piece)
                file.write(piece)
        return content.hexdigest()
