"""A bound on the bytes of all requests that are in a worker at once, from their first byte to their answer."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from fairlead_serving.errors import OverloadedError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fairlead_serving.tensors import Array, Tensor

# Smaller requests are not looked at: their number is bounded, and counting them would cost more than they do.
LARGE_BYTES: Final = 256 * 1024
NO_ROOM: Final = "overloaded: too many large requests are here already"
# A text takes some 64 bytes beside its own, of which an array counts the 8 of its place. Of many, some are measured.
_TEXT: Final = 8
_MOST_MEASURED: Final = 4096
_DEFAULT_BYTES: Final = 256 * 1024 * 1024


class Room:
    """Bytes that large requests may hold. All methods belong to the event loop."""

    def __init__(self, limit: int = _DEFAULT_BYTES) -> None:
        """Start empty."""
        self.limit = limit
        self._held = 0
        # What charges have given back: they may end in another thread.
        self._returned: deque[int] = deque()

    @property
    def held(self) -> int:
        """How many bytes are held now."""
        while self._returned:
            self._held -= self._returned.popleft()
        return self._held

    def fits(self, size: int) -> bool:
        """Whether there is room for so many bytes more; for anything where nothing is held."""
        held = self.held
        return not held or held + size <= self.limit

    def take(self, size: int) -> None:
        """Hold some bytes."""
        self._held += size

    def give(self, size: int) -> None:
        """Hold some bytes no longer. Safe in any thread."""
        self._returned.append(size)


class Charge:
    """What one request holds of a room, for as long as this object lives: whoever needs the bytes keeps it."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: Room) -> None:
        """Hold nothing yet."""
        self._room = room
        self._size = 0

    def grow(self, size: int) -> bool:
        """Hold some bytes more, if there is room beside what others hold; return whether there was."""
        others = self._room.held - self._size
        if others and others + self._size + size > self._room.limit:
            return False
        self._room.take(size)
        self._size += size
        return True

    def __del__(self) -> None:
        """Give everything back."""
        self._room.give(self._size)


def held_by(tensors: Iterable[Tensor]) -> int:
    """Return about how many bytes some tensors take."""
    return sum([_size(item.array) if item.datatype == "BYTES" else item.array.nbytes for item in tensors])


def _size(elements: Array) -> int:
    step = 1 + elements.size // _MOST_MEASURED
    return elements.nbytes * _TEXT + step * sum(map(len, elements.ravel()[::step].tolist()))


class NoRoomError(OverloadedError):
    """The large requests that are here hold all the room there is."""

    def __init__(self) -> None:
        """Say so."""
        RequestError.__init__(self, NO_ROOM)
        self.retry_after = 1
