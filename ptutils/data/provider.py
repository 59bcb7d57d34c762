"""DataProvider: named datasets and loaders, and an answer to every request for data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ptutils.core.dataprovider import Request
from ptutils.core.module import Module
from ptutils.data.batching import MapDataset
from ptutils.data.loader import Batches, DataLoader
from ptutils.errors import ConfigError, DataError, nearest
from ptutils.meta.values import Value

__all__ = ["DataProvider"]

_FIELDS = ("split", "epoch", "start", "indices")


class DataProvider(Module):
    """Hold the splits of an experiment, and provide batches from them.

    Args:
        datasets: By name: Datasets, or map-style datasets of torch.
        loaders: By split. A loader reads the dataset of its own name, or the one that
            its ``dataset`` names.
        seed: For loaders without a seed; the Session's by default, or 0.

    Raises:
        ConfigError: If either is no mapping, a loader is none of ptutils, or loaders
            name datasets that are not there; all are listed.

    Example:
        >>> from ptutils.data.readers.array import ArrayReader
        >>> from ptutils.data.dataset import Dataset
        >>> data = Dataset(ArrayReader([[1.0], [2.0], [3.0]], [0, 1, 0]))
        >>> loaders = {"train": DataLoader(batch_size=2)}
        >>> provider = DataProvider({"train": data}, loaders)
        >>> [len(targets) for inputs, targets in provider.provide("train")]
        [2, 1]
    """

    def __init__(
        self,
        datasets: Mapping[str, MapDataset],
        loaders: Mapping[str, DataLoader],
        *,
        seed: int | None = None,
    ) -> None:
        _require_mapping("datasets", datasets)
        _require_mapping("loaders", loaders)
        for name, loader in loaders.items():
            _require_loader(name, loader)
        self.datasets = dict(datasets)
        self.loaders = dict(loaders)
        self.seed = seed
        self._check_names()
        self._bind(0 if seed is None else seed)

    def __call__(self, request: Request) -> DataLoader | Batches:
        """Return :meth:`provide`."""
        return self.provide(request)

    def provide(self, request: Request) -> DataLoader | Batches:
        """Return the batches asked for.

        Args:
            request: The name of a split, for its loader, which continues at its
                position. Or a dict that has besides ``split`` any of ``epoch``
                (0 by default), ``start`` (how many batches to skip) and ``indices``
                (samples to read, in this order), for batches that leave every position
                alone.

        Raises:
            DataError: If the split is unknown, or a field of the request is.
        """
        if isinstance(request, str):
            return self._loader(request)
        fields = dict(request)
        for name in fields:
            if name not in _FIELDS:
                raise _unknown("request field", name, _FIELDS)
        loader = self._loader(fields.pop("split", None))
        return loader.batches(**fields) if fields else loader

    def adopt_seed(self, seed: int) -> None:
        """Use ``seed`` for order and augmentation where none was chosen."""
        if self.seed is None:
            self._bind(seed)

    def _loader(self, split: Value) -> DataLoader:
        if split not in self.loaders:
            raise _unknown("split", split, list(self.loaders))
        return self.loaders[split]

    def _bind(self, seed: int) -> None:
        for name, loader in self.loaders.items():
            source = loader.dataset
            if source is None or isinstance(source, str):
                named = source or name
                path = f"datasets.{named}"
                loader.bind(self.datasets[named], seed=seed, path=path)
            else:
                loader.bind(source, seed=seed, path=f"loaders.{name}.dataset")

    def _check_names(self) -> None:
        faults = []
        for name, loader in self.loaders.items():
            wanted = name if loader.dataset is None else loader.dataset
            if isinstance(wanted, str) and wanted not in self.datasets:
                faults.append(f"loaders.{name} reads {wanted!r}")
        if faults:
            raise ConfigError(
                "cannot find the datasets of all loaders",
                expected=f"one of {', '.join(self.datasets) or 'no datasets at all'}",
                got="; ".join(faults),
                fix="name a dataset with DataLoader(dataset='...'), or add it",
            )


def _require_mapping(path: str, given: Value) -> None:
    if not isinstance(given, Mapping):
        kind = type(given).__qualname__
        raise ConfigError(
            f"cannot tell the names of these {path}",
            path=path,
            expected=f"a dict of {path} by name",
            got=kind,
            fix=f"write {{'train': {kind}(...)}}",
        )


def _require_loader(name: str, loader: Value) -> None:
    if not isinstance(loader, DataLoader):
        kind = type(loader)
        raise ConfigError(
            f"cannot load the split {name!r} with this",
            path=f"loaders.{name}",
            expected="a ptutils.DataLoader, which can be resumed inside an epoch",
            got=f"{kind.__module__}.{kind.__qualname__}",
            fix="write ptutils.DataLoader(dataset, batch_size=...)",
        )


def _unknown(what: str, name: Value, known: Sequence[str]) -> DataError:
    near = nearest(str(name), known)
    return DataError(
        f"cannot provide data: unknown {what} {name!r}",
        expected=f"one of {', '.join(known)}",
        got=repr(name),
        fix=f"did you mean {near!r}?" if near else "",
    )
