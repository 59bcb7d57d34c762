"""What every MetaModule can do: be called, be read, be loaded, be kept in a file."""

from __future__ import annotations

import abc
import os
from pathlib import Path
from typing import Any

from ptutils.errors import PtutilsError
from ptutils.meta.formats import table as formats
from ptutils.meta.hybrid import hybrid
from ptutils.meta.values import Value

__all__ = ["MetaModule"]


class MetaModule(abc.ABC):
    """A description of a Module that writes itself down and reads itself back.

    State, Config, Status, Statistic, History and Callbacks are MetaModules. A subclass
    fills :meth:`state_dict`, :meth:`load_state_dict` and the call, its primary verb.
    """

    __slots__ = ()

    @abc.abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do what this kind of MetaModule is for."""

    @abc.abstractmethod
    def state_dict(self) -> Any:
        """Return everything that must survive, as values that the codec can store."""

    @abc.abstractmethod
    def load_state_dict(self, state: Value) -> Any:
        """Take over what :meth:`state_dict` returned."""

    def save(self, path: str | os.PathLike[str], *, trust: bool = False) -> Path:
        """Write to a file; the suffix chooses the format. The file appears whole.

        Args:
            path: The file.
            trust: Allow what only a reader who trusts the file can read: ``.pkl``, and
                objects that the codec does not store in ``.json`` and ``.yaml``.

        Returns:
            The path written.

        Raises:
            FormatError: If the suffix is unknown, or the file cannot be written.
            EncodeError: If a value cannot be stored exactly.
        """
        return formats.write(path, self._to_document(), trust=trust)

    @hybrid
    def load(self: Any, path: str | os.PathLike[str], *, trust: bool = False) -> Any:
        """Read a file: on the class a new instance, on an instance into that instance.

        Args:
            path: A file written by :meth:`save`, or by hand in its format.
            trust: Run the code that the file names, where it needs that.

        Returns:
            The instance.

        Raises:
            FormatError: If the file cannot be read, or needs trust.
            DecodeError: If the file is damaged.
        """
        value = formats.read(path, trust=trust)
        instance = self() if isinstance(self, type) else self
        try:
            instance.load_state_dict(value)
        except PtutilsError as error:
            error.add_note(f"  file:     {os.fspath(path)}")
            raise
        return instance

    def _to_document(self) -> Value:
        """Return what :meth:`save` writes; :meth:`load_state_dict` reads it back."""
        return self.state_dict()
