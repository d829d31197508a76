"""Verifying a model's signature, as the OpenSSF's model-signing writes it, before anything of the model is read."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fairlead_serving.errors import LoadError, StorageUnreachableError

if TYPE_CHECKING:
    from model_signing import hashing, verifying

    from fairlead_serving.trust import Trust

_PEM: Final = "-----BEGIN "
_LONGEST: Final = 500


def verify(folder: Path, trust: Trust, uri: str) -> None:
    """Verify that all files of a folder are what the right one has signed.

    Files that the signer left out count as added. Raises LoadError; StorageUnreachableError where sigstore cannot be
    asked.
    """
    try:
        import model_signing  # noqa: F401, PLC0415  an extra, and slow
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
        from sigstore.errors import NetworkError, TUFError  # noqa: PLC0415
    except ImportError as error:
        message = f"a signature is to be verified, but this image has no {error.name}; the full image does"
        raise LoadError(message) from error
    path = folder / trust.file
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"{uri} has no signature {trust.file}, and only a signed model is to be served: {error.strerror}"
        raise LoadError(message) from error
    with tempfile.TemporaryDirectory(prefix="fairlead-signature-") as place:
        # What is looked into and what is verified must be the same bytes.
        copy = Path(place) / "signature"
        copy.write_bytes(content)
        try:
            config = _trusting(trust, Path(place))
            config.set_hashing_config(_hashing(content, trust.file)).verify(folder, copy)
        except LoadError:
            raise
        except (NetworkError, TUFError) as error:
            message = f"sigstore cannot be asked about {trust.file}: {error}"
            raise StorageUnreachableError(message) from error
        except InvalidSignature as error:
            message = f"the signature {trust.file} of {uri} is not by the key it should be by"
            raise LoadError(message) from error
        except Exception as error:  # whatever a signature made by others leads the library to
            message = f"the signature {trust.file} of {uri} does not hold: {_words(error)}"
            raise LoadError(message) from error


def _trusting(trust: Trust, place: Path) -> verifying.Config:
    from model_signing import verifying  # noqa: PLC0415

    config = verifying.Config()
    if trust.identity:
        config.use_sigstore_verifier(identity=trust.identity, oidc_issuer=trust.provider)
        return config
    try:
        if trust.key:
            config.use_elliptic_key_verifier(public_key=_file(trust.key, place))
        else:
            config.use_certificate_verifier(certificate_chain=[_file(trust.certificate, place)])
    except (OSError, ValueError, TypeError) as error:
        what = "key" if trust.key else "certificate"
        message = f"the {what} to verify signatures with cannot be read: {_words(error)}"
        raise LoadError(message) from error
    return config


def _file(given: str, place: Path) -> Path:
    """Return the path of a PEM file that is given itself or by its path."""
    if not given.startswith(_PEM):
        return Path(given)
    path = place / "given.pem"
    path.write_text(f"{given}\n")
    return path


def _hashing(content: bytes, signature: str) -> hashing.Config:
    """Return how the model is to be hashed: as the signer did, but without anything left out.

    The way is read from the signature before it is verified; another way only makes the hashes differ.
    """
    from model_signing import hashing  # noqa: PLC0415

    class Everything(hashing.Config):
        """Hashes what the signer left out, too: what nobody vouches for must not be loaded."""

        def add_ignored_paths(self, **_: Any) -> None:
            """Leave out nothing more."""

    payload = json.loads(base64.b64decode(json.loads(content)["dsseEnvelope"]["payload"]))
    way = payload["predicate"].get("serialization", {})
    config = Everything()  # type: ignore[no-untyped-call]
    algorithm = way.get("hash_type", "sha256")
    if way.get("method") == "shards":
        config.use_shard_serialization(hashing_algorithm=algorithm, shard_size=int(way["shard_size"]))
    else:
        config.use_file_serialization(hashing_algorithm=algorithm)
    return config.set_ignored_paths(paths=[signature], ignore_git_paths=False)


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}")[:_LONGEST]
