"""Config: what to build, as plain nested dicts that are read and written by dots.

A Config holds plain containers only (dict, list, tuple), its own copies: what it was
made from may change without changing it. ``config["trainer.model"]`` is the stored
value itself; ``config.trainer.model`` is the same seen through dots.

Equality is that of dicts: key order does not count, and ``1 == 1.0 == True``. Where the
type matters, ask :meth:`Config.diff`, for which those differ, and NaN equals itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from ptutils.errors import ConfigError, PtutilsError
from ptutils.meta.codec.mappings import register_mapping
from ptutils.meta.dots import Dots
from ptutils.meta.formats import table as formats
from ptutils.meta.metamodule import MetaModule
from ptutils.meta.plain import copied, differences, merged, resolved
from ptutils.meta.values import Document, Value
from ptutils.meta.yaml import read_yaml

__all__ = ["Config", "Configuration"]

_SYNONYMS = ("_target_", "func")


class Config(MetaModule, Dots, dict[str, Value]):
    """What to build: ``class`` names it, the other keys are its arguments.

    Args:
        source: A mapping, taken as it is, or a path to a ``.yaml`` or ``.json`` file,
            read by :meth:`read`.
        **arguments: Further keys.

    Example:
        >>> config = Config({"class": "Adam", "lr": 0.1, "schedule": {"warmup": 10}})
        >>> config.schedule.warmup = 20
        >>> config["schedule.warmup"], config.override("lr=1e-3").lr
        (20, 0.001)
        >>> config.diff(config.override("lr=1e-3"))
        {'lr': (0.1, 0.001)}
    """

    builder: ClassVar[Callable[..., Any] | None] = None
    """What :meth:`configure` calls; :mod:`ptutils.core.building.builder` sets it."""

    def __init__(
        self,
        source: Mapping[str, Value] | str | Path | None = None,
        /,
        **arguments: Value,
    ) -> None:
        held = Config.read(source) if isinstance(source, str | Path) else source
        dict.__init__(self, copied({**(held or {}), **arguments}))

    @classmethod
    def read(cls, source: Mapping[str, Value] | str | Path) -> Config:
        """Read a config as people write it; it reads the file at ``source``.

        ``_target_`` and ``func``, as other tools spell it, become ``class``.

        Args:
            source: A mapping, or a path to a file whose suffix tells its format.

        Raises:
            ConfigError: If the file cannot be read or holds no mapping; it names the
                file and, where there is one, the line.
        """
        held = source if isinstance(source, Mapping) else _read_file(source)
        return cls(_respelled(copied(held)))

    def merge(self, other: Mapping[str, Value]) -> Config:
        """Return a new config with ``other`` laid over this one, dict by dict."""
        return Config(merged(self.state_dict(), copied(other)))

    def override(self, *changes: str | Mapping[str, Value]) -> Config:
        """Return a new config with single values changed.

        Args:
            *changes: Texts such as ``"trainer.lr=1e-3"``, whose value is read as YAML,
                or mappings of dotted paths to values. A value replaces what was there
                as a whole. Positions count from 0: ``"net.args.0.out_features=64"``.

        Raises:
            ConfigError: If a path leads nowhere; only the last name may be new, and
                only in a dict that exists. All faults are reported at once.
        """
        result = Config(self)
        faults: list[ConfigError] = []
        for path, value in _pairs(changes, faults):
            try:
                result[path] = value
            except ConfigError as fault:
                faults.append(fault)
        _report("cannot override the config", faults)
        return result

    def diff(self, other: Mapping[str, Value]) -> dict[str, tuple[Value, Value]]:
        """Return where the two differ, in value or in type: path -> (ours, theirs).

        Exact: 1, 1.0 and True differ, as do a tuple and a list; NaN equals itself.
        :data:`ABSENT` stands for the side that has nothing there.
        """
        return dict(differences(self.state_dict(), copied(other)))

    def interpolate(self) -> Config:
        """Return a new config with each ``${path}`` replaced by the value at that path.

        A text that is one reference takes the value with its type; inside a longer
        text, numbers, booleans and texts are written out.

        Raises:
            ConfigError: If references lead nowhere, in a circle, or put something into
                a text that cannot be written there. All faults are reported at once.
        """
        faults: list[ConfigError] = []
        result = Config(resolved(self.state_dict(), faults))
        _report("cannot resolve the config's references", faults)
        return result

    def configure(
        self,
        trust: Iterable[str] = (),
        provide: Mapping[str, Value] | None = None,
    ) -> Value:
        """Build what the config describes.

        Args:
            trust: Packages of yours whose classes the config may name.
            provide: Objects to put in at dotted paths instead of building them.

        Raises:
            ConfigError: If the config cannot be built; every fault is listed.
        """
        build = type(self).builder
        if build is None:
            raise ConfigError(
                "cannot build the config: nothing that builds is loaded",
                fix="import ptutils.core.building.builder first",
            )
        return build(self, trust=trust, provide=provide)

    def __call__(
        self,
        trust: Iterable[str] = (),
        provide: Mapping[str, Value] | None = None,
    ) -> Value:
        """Build what the config describes; see :meth:`configure`."""
        return self.configure(trust, provide)

    def state_dict(self) -> Document:
        """Return all of it as a plain dict of the caller's own."""
        result: Document = copied(self)
        return result

    def load_state_dict(self, state: Mapping[str, Value]) -> None:
        """Become what ``state`` says, forgetting what was here."""
        if not isinstance(state, Mapping):
            raise ConfigError(
                "cannot load a config",
                expected="a mapping of names to values at the top",
                got=type(state).__name__,
            )
        held = copied(state)
        self.clear()
        dict.update(self, held)

    def copy(self) -> Config:
        """Return a config of its own with the same content."""
        return Config(self)

    # The dict's own would go past dotted paths and share containers.
    pop = MutableMapping.pop
    setdefault = MutableMapping.setdefault
    update = MutableMapping.update

    def _held(self) -> dict[str, Value]:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return Config, (dict(self),)


Configuration: TypeAlias = Config
register_mapping(Config)


def _respelled(value: Value) -> Value:
    """Return ``value`` with ``class`` for its synonyms, where it names a class."""
    if type(value) is dict:
        texts = (name for name in _SYNONYMS if isinstance(value.get(name), str))
        spelled = "class" if "class" in value else next(texts, "class")
        return {
            "class" if key == spelled else key: _respelled(item)
            for key, item in value.items()
        }
    if type(value) in (list, tuple):
        return type(value)(_respelled(item) for item in value)
    return value


def _read_file(path: str | Path) -> Document:
    if Path(path).is_dir():
        raise _no_mapping(path, "a folder")
    with _as_config_errors():
        value = formats.read(path)
    if not isinstance(value, dict):
        raise _no_mapping(path, "nothing" if value is None else type(value).__name__)
    return value


def _no_mapping(path: str | Path, got: str) -> ConfigError:
    return ConfigError(
        f"cannot read the config {path}",
        expected="a file with a mapping of names to values at its top",
        got=got,
    )


@contextmanager
def _as_config_errors() -> Iterator[None]:
    try:
        yield
    except PtutilsError as error:
        fields = {"path": error.path, "expected": error.expected, "got": error.got}
        raise ConfigError(error.what, fix=error.fix, **fields) from error


def _pairs(
    changes: Iterable[str | Mapping[str, Value]], faults: list[ConfigError]
) -> Iterator[tuple[str, Value]]:
    for change in changes:
        try:
            yield from [_pair(change)] if isinstance(change, str) else change.items()
        except ConfigError as fault:
            faults.append(fault)


def _pair(change: str) -> tuple[str, Value]:
    path, equals, text = change.partition("=")
    if not (path and equals):
        raise ConfigError(
            f"cannot read the override {change!r}",
            expected="a dotted path, '=' and a value",
            fix="write it like 'trainer.lr=0.1'",
        )
    with _as_config_errors():
        value = read_yaml(text, f"the override {change!r}")
    return path.strip(), _respelled(value)


def _report(what: str, faults: list[ConfigError]) -> None:
    """Raise all faults as one, if there are any."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        text = "\n".join(dict.fromkeys(str(fault) for fault in faults))
        raise ConfigError(f"{what}: {len(faults)} faults\n{text}")
