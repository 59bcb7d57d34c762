"""Arrays as numpy's ``.npy`` content: a header that tells dtype and sizes, then bytes.

A dtype that numpy lacks, such as bfloat16, is a record of one field that is named for
it and holds its bits as an unsigned int.

Source:
    The layout: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np

from ptutils.errors import FormatError
from ptutils.meta.codec import Buffer
from ptutils.meta.formats.entries import Entry

__all__ = ["array_of", "bytes_of", "read_npy", "write_npy"]

_BITS: Final = {"bfloat16": "<u2", "float8_e4m3fn": "u1", "float8_e5m2": "u1"}
_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def array_of(entry: Entry, artifact: Buffer) -> np.ndarray[Any, Any]:
    """Return the bytes of an artifact as the array that an entry tells of."""
    bits = _BITS.get(entry.dtype)
    dtype = np.dtype([(entry.dtype, bits)] if bits else entry.dtype)
    return np.frombuffer(artifact, dtype=dtype).reshape(entry.shape)


def bytes_of(array: np.ndarray[Any, Any]) -> Buffer:
    """Return the bytes of an array's elements in order."""
    content: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return memoryview(content)


def write_npy(array: np.ndarray[Any, Any]) -> bytes:
    """Return the content of an ``.npy`` file.

    Args:
        array: Without objects.
    """
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=False)
    return file.getvalue()


def read_npy(content: bytes) -> np.ndarray[Any, Any]:
    """Return the array that the content of an ``.npy`` file holds, looking at it.

    Raises:
        FormatError: If it is not in this format, is damaged, or holds objects, which
            only code could make.
    """
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        shape, is_fortran, dtype = _HEADERS[version](file)
        if dtype.hasobject:
            raise ValueError("objects, which only code could make")
        array = np.frombuffer(content, dtype, offset=file.tell())
        return array.reshape(shape, order="F" if is_fortran else "C")
    except (KeyError, ValueError, TypeError) as error:
        raise FormatError(
            "cannot read an array",
            expected="the content of an .npy file of version 1 or 2",
            got=str(error),
        ) from error
