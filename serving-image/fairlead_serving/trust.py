"""Whose signature a model must have: what the server is told about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from fairlead_serving.errors import SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_FILE: Final = "model.sig"
_NAMES: Final = ("signature", "verify_key", "verify_certificate", "verify_identity", "verify_identity_provider")


@dataclass(frozen=True, slots=True)
class Trust:
    """The signature's file in the model's folder, and one of what it is verified with, the others empty.

    `key` and `certificate` (CAs) are PEM text or the path of a file; `identity` is one that sigstore knows, vouched for
    by `provider`.
    """

    file: str = _FILE
    key: str = ""
    certificate: str = ""
    identity: str = ""
    provider: str = ""


def add_flags(flags: argparse._ActionsContainer) -> None:
    """Add the flags to the command line."""
    flags.add_argument(
        "--verify-key", metavar="FILE", help="file with the public key that the model must be signed with"
    )
    flags.add_argument(
        "--verify-certificate", metavar="FILE", help="file with the CAs of which one must vouch for the signer"
    )
    flags.add_argument(
        "--verify-identity", metavar="WHO", help="who must have signed the model with sigstore, as an e-mail address"
    )
    flags.add_argument(
        "--verify-identity-provider",
        metavar="URL",
        help="who vouches for that identity, as https://accounts.google.com",
    )
    flags.add_argument(
        "--signature", metavar="FILE", help=f"the signature's file in the model's folder; default {_FILE}"
    )


def read(flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Trust | None:
    """Return whose signature is wanted, None where none is.

    A value that is there and empty is a mistake, not a wish for less. Raises SettingsError in a sentence.
    """
    found: dict[str, str] = {}
    for name in _NAMES:
        variable = f"FAIRLEAD_{name.upper()}"
        given = flags.get(name)
        value = environment.get(variable) if given is None else given
        if value is not None and not value.strip():
            message = (
                f"{variable} (--{name.replace('_', '-')}) is empty; leave it out if no signature is to be verified"
            )
            raise SettingsError(message)
        found[name] = (value or "").strip()
    file, key, certificate, identity, provider = (found[name] for name in _NAMES)
    ways = sum(map(bool, (key, certificate, identity or provider)))
    if not file and not ways:
        return None
    if ways != 1 or bool(identity) != bool(provider):
        message = (
            "a signature is verified with one of FAIRLEAD_VERIFY_KEY, FAIRLEAD_VERIFY_CERTIFICATE, or "
            "FAIRLEAD_VERIFY_IDENTITY together with FAIRLEAD_VERIFY_IDENTITY_PROVIDER"
        )
        raise SettingsError(message)
    path = PurePosixPath(file or _FILE)
    if path.is_absolute() or ".." in path.parts:
        message = f"the signature {file!r} should be a file in the model's folder"
        raise SettingsError(message)
    return Trust(path.as_posix(), key, certificate, identity, provider)
