"""Room on the disk, taken before it is needed."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

__all__ = ["take_room"]

_KEEP_SIZE: Final = 1
"""``FALLOC_FL_KEEP_SIZE`` of fallocate(2): Python's own call makes the file longer."""

_UNSUPPORTED: Final = (errno.EOPNOTSUPP, errno.ENOSYS)
_FALLOCATE: Final = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)


def take_room(descriptor: int, offset: int, size_bytes: int) -> None:
    """Make sure that so much can be written at a place in a file.

    The file ends where it did, so that whoever is killed before writing leaves no
    trace; where the system cannot do that, it ends in zeros.

    Raises:
        OSError: If there is no room.
    """
    number = _taken_behind_the_end(descriptor, offset, size_bytes)
    if number in _UNSUPPORTED:
        os.posix_fallocate(descriptor, offset, size_bytes)
    elif number:
        raise OSError(number, os.strerror(number))


def _taken_behind_the_end(descriptor: int, offset: int, size_bytes: int) -> int:
    """Return 0 if the room was taken, or the number of the error."""
    if _FALLOCATE is None:
        return errno.ENOSYS
    place, size = ctypes.c_int64(offset), ctypes.c_int64(size_bytes)
    while _FALLOCATE(descriptor, _KEEP_SIZE, place, size):
        number = ctypes.get_errno()
        if number != errno.EINTR:
            return number
    return 0
