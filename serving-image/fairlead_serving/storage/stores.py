"""The stores a model may lie in, all by obstore: what a URI means, and how to get in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, HTTPStore, S3Store

from fairlead_serving.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_CONNECT: Final = timedelta(seconds=5)
_PIECE_TIMEOUT: Final = timedelta(seconds=60)
# Any of these says where credentials are; without them the node's own are asked for.
_CREDENTIALS: Final = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_SKIP_SIGNATURE",
    ),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"),
    "az": (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_CLIENT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
    ),
}
_ENDPOINTS: Final = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_NAMES: Final = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}
_CONTAINERS: Final = {"s3": "bucket", "gs": "bucket", "az": "container"}
_KINDS: Final[dict[str, Any]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}


@dataclass(frozen=True, slots=True)
class Source:
    """A model's place in a store. `where` names the store in messages.

    `prefix` is a folder or an object. `names` are the objects below it where the store cannot list them itself.
    """

    uri: str
    where: str
    store: ObjectStore
    prefix: str
    names: tuple[str, ...] | None = None

    def list(self) -> Mapping[str, ObjectMeta]:
        """Return the objects by their path relative to the model's folder; raises obstore's errors."""
        if self.names is not None:
            folder = f"{self.prefix}/" if self.prefix else ""
            return {name: obstore.head(self.store, folder + name) for name in self.names}
        found: dict[str, ObjectMeta] = {}
        for page in obstore.list(self.store, prefix=self.prefix):
            for item in page:
                name = item["path"].removeprefix(self.prefix).lstrip("/")
                if name:
                    found[name] = item
        for folder in {parent.as_posix() for name in found for parent in PurePosixPath(name).parents}:
            # Some tools mark a folder by an empty object of its name.
            found.pop(folder, None)
        if not found:
            found[PurePosixPath(self.prefix).name] = obstore.head(self.store, self.prefix)
        return found


def open_source(uri: str, environment: Mapping[str, str]) -> Source:
    """Prepare access to a URI; credentials, region and endpoint come from the cloud's usual variables.

    obstore reads those itself, web and workload identities included. Raises LoadError for a malformed URI or settings.
    """
    scheme = urlsplit(uri).scheme
    if scheme in ("https", "http"):
        return _file_on_the_web(uri)
    if scheme == "hf":
        from fairlead_serving.storage.huggingface import open_model  # noqa: PLC0415  it opens stores by this module

        return open_model(uri, environment)
    return _bucket(scheme, uri, environment)


def _bucket(scheme: str, uri: str, environment: Mapping[str, str]) -> Source:
    parts = urlsplit(uri)
    prefix = parts.path.strip("/")
    if not parts.netloc or not prefix:
        message = f"{uri} should be {scheme}://{_CONTAINERS[scheme]}/path"
        raise LoadError(message)
    name = _NAMES[scheme]
    endpoint = next((environment[variable] for variable in _ENDPOINTS[scheme] if environment.get(variable)), "")
    address = urlsplit(endpoint)
    if endpoint and (address.scheme not in ("http", "https") or not address.hostname):
        message = f"the {name} endpoint {endpoint!r} should be http://host:port or https://host:port"
        raise LoadError(message)
    where = endpoint or name
    if not any(environment.get(variable) for variable in _CREDENTIALS[scheme]):
        where += " without credentials set"
    return Source(uri, where, opened(_KINDS[scheme], parts.netloc, name, http=address.scheme == "http"), prefix)


def _file_on_the_web(uri: str) -> Source:
    parts = urlsplit(uri)
    folder, _, file = parts.path.strip("/").rpartition("/")
    if not parts.hostname or not file:
        message = f"{uri} should be {parts.scheme}://host/path/file: a web server does not list its folders"
        raise LoadError(message)
    host = f"{parts.scheme}://{parts.netloc}"
    return Source(uri, host, opened(HTTPStore, host, host, http=parts.scheme == "http"), folder, (file,))


def opened(
    kind: Any, place: str, name: str, *, http: bool = False, headers: Mapping[str, str] | None = None
) -> ObjectStore:
    """Open a store at a place. Raises LoadError where the settings are wrong."""
    options: dict[str, Any] = {"allow_http": http, "connect_timeout": _CONNECT, "timeout": _PIECE_TIMEOUT}
    if headers:
        options["default_headers"] = dict(headers)
    try:
        store: ObjectStore = kind(
            place,
            client_options=options,
            # Retries are ours, so that each attempt can be seen in the status.
            retry_config={"max_retries": 0, "retry_timeout": _PIECE_TIMEOUT},
        )
    except BaseError as error:
        message = f"the {name} settings are wrong: {str(error).splitlines()[0]}"
        raise LoadError(message) from error
    return store
