"""What a worker knows of its supervisor."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """A worker's end of it.

    `digest` is the model's, once a worker serves it; `lifeline` becomes readable when the supervisor is gone.
    """

    number: int
    digest: str | None
    reports: int
    lifeline: int

    def serves(self, digest: str) -> None:
        """Tell the supervisor that this worker has loaded the model and listens."""
        # Shorter than a pipe's atomic write, so that the lines of several workers do not mix.
        os.write(self.reports, f"{self.number} {digest}\n".encode())
