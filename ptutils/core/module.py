"""Module: the one base of everything in an experiment.

A Module is callable, has ``state_dict()`` and has ``load_state_dict()``. Its config is
captured when it is constructed, its children are found among its attributes, and
whatever else must survive lives in ``self.state``. The recursions over a tree are free
functions in :mod:`ptutils.core.tree` and :mod:`ptutils.core.loading`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, final

from ptutils.core import tree
from ptutils.core.builder import build
from ptutils.core.loading import LoadReport, Rename, Select, load_tree
from ptutils.core.signature import signature_of
from ptutils.core.trust import name_for, spelled
from ptutils.errors import ConfigError
from ptutils.meta.callbacks import Callbacks
from ptutils.meta.config import Config
from ptutils.meta.history import History
from ptutils.meta.hybrid import hybrid
from ptutils.meta.registry import bind
from ptutils.meta.state import State
from ptutils.meta.status import Status
from ptutils.meta.values import Value

__all__ = ["Module"]

_FIXED = ("state_dict", "load_state_dict", "from_meta", "to_meta", "named_modules")


class _Internals:
    """What a Module keeps under its one private name."""

    __slots__ = ("arguments", "callbacks", "history", "replaced", "state", "status")

    def __init__(self, arguments: dict[str, Value]) -> None:
        self.arguments = arguments
        self.replaced: set[str] = set()
        self.state = State()
        self.status: Status | None = None
        self.history: History | None = None
        self.callbacks: Callbacks | None = None


class Module:
    """The base of Session, Trainer, Model, DataProvider, DBInterface and all in them.

    Subclass it, take in the constructor what a config may say, keep children as
    attributes of the same names, and put whatever else must survive into ``self.state``::

        class Counter(ptutils.Module):
            def __init__(self, start: int = 0) -> None:
                self.state.value = start

            def __call__(self) -> int:
                self.state.value += 1
                return self.state.value

    ``super().__init__()`` need not be called. Two hooks are empty and may be filled:
    ``_before_save`` refreshes ``self.state`` before it is read, and ``_after_load``
    reacts to a state that was just loaded.
    """

    _ptutils: _Internals
    _ptutils_is_module = True

    def __new__(cls, *args: Value, **kwargs: Value) -> Self:
        self = super().__new__(cls)
        object.__setattr__(self, "_ptutils", _Internals(_capture(cls, args, kwargs)))
        return self

    def __init_subclass__(cls, **kwargs: Value) -> None:
        super().__init_subclass__(**kwargs)
        taken = [name for name in _FIXED if name in vars(cls)]
        if taken:
            raise ConfigError(
                f"cannot define class {cls.__qualname__!r}",
                expected="the tree's fixed methods to be inherited",
                got=f"an own {', '.join(taken)}",
                fix="keep what must survive in self.state; fill _before_save() and "
                "_after_load() to refresh and to react",
            )

    def __setattr__(self, name: str, value: Value) -> None:
        # A child that is replaced while running changes the config of the tree.
        if name in self.__dict__ and tree.holds_child(value):
            self._ptutils.replaced.add(name)
        object.__setattr__(self, name, value)

    def __call__(self, *args: Value, **kwargs: Value) -> Value:
        """Do what this kind of Module is for; each kind says what that is."""
        raise NotImplementedError(f"{type(self).__qualname__} defines no __call__")

    @property
    def config(self) -> Config:
        """The constructor's arguments, with what the children are at this moment."""
        return Config(tree.config_of(self))

    @property
    def state(self) -> State:
        """What the next step depends on besides the children; owned by this Module."""
        return self._ptutils.state

    @property
    def status(self) -> Status:
        """The phase, progress and failure of this instance."""
        if self._ptutils.status is None:
            self._ptutils.status = Status()
        return self._ptutils.status

    @property
    def history(self) -> History:
        """Statistics by step and epoch, append-only."""
        if self._ptutils.history is None:
            self._ptutils.history = History()
        return self._ptutils.history

    @property
    def callbacks(self) -> Callbacks:
        """The reactions registered on this Module."""
        if self._ptutils.callbacks is None:
            self._ptutils.callbacks = Callbacks()
        return self._ptutils.callbacks

    def register_callback(self, callback: Value, **arguments: Value) -> Value:
        """Register a callback by instance, or by name (case-blind) with its arguments.

        Raises:
            ConfigError: If the name or an argument is unknown.
            CallbackError: If it reacts to nothing.
        """
        if isinstance(callback, str):
            callback = build(spelled(callback), **arguments)
        return self.callbacks.register(callback)

    @final
    def state_dict(self) -> State:
        """Return the nested state of this Module and everything below it.

        Tensors are live, not copies. A child reachable by two paths appears as one
        object under both.
        """
        return State(tree.state_of(self))

    @final
    def load_state_dict(
        self,
        state: Mapping[str, Value],
        strict: bool = True,
        *,
        select: Select | None = None,
        rename: Rename | None = None,
    ) -> LoadReport:
        """Validate a nested state against the whole tree, then assign it.

        Args:
            state: As :meth:`state_dict` returns it.
            strict: Raise if anything is missing, unexpected or mismatched; otherwise
                load what fits and report the rest.
            select: Which dotted paths to load: a name (with all below it), a glob
                pattern, a list of these, or a predicate. All by default.
            rename: Old dotted paths (or prefixes) to new ones: a dict or a function.

        Returns:
            The paths that were loaded, missing, unexpected and mismatched.

        Raises:
            StateMismatchError: If ``strict`` and the state does not fit; nothing has
                been assigned then.
        """
        return load_tree(self, state, strict=strict, select=select, rename=rename)

    @hybrid
    def from_meta(
        owner: Any,  # noqa: N805 - the class, or the instance
        *,
        config: Mapping[str, Value] | str | Path | None = None,
        state: Mapping[str, Value] | str | Path | None = None,
        status: Mapping[str, Value] | str | Path | None = None,
        history: Mapping[str, Value] | str | Path | None = None,
        callbacks: Value = None,
        trust: tuple[str, ...] | list[str] = (),
        provide: Mapping[str, Value] | None = None,
    ) -> Any:
        """Build an instance from its meta; on an instance, apply what is given.

        Each argument is a MetaModule, a dict, or the path of a file that holds one.

        Args:
            config: What to build; ``class:`` may be left out.
            state: What to load into it.
            status: Its status.
            history: Its history.
            callbacks: Its registered callbacks, as configs.
            trust: Packages of the caller's whose classes the config may name.
            provide: Objects to use at dotted paths, for nets built by hand.

        Returns:
            The instance.

        Raises:
            ConfigError: If the config cannot be built; every fault is listed.
        """
        if isinstance(owner, type):
            module = _built(owner, _read(Config, config or {}), trust, provide)
        else:
            module = owner
            if config is not None:
                _require_same_config(module, _read(Config, config))
        if callbacks is not None:
            _attach(module, callbacks, trust)
        if state is not None:
            module.load_state_dict(_read(State, state))
        if status is not None:
            module.status.load_state_dict(_read(Status, status))
        if history is not None:
            module.history.load_state_dict(_read(History, history))
        return module

    def to_meta(self) -> dict[str, Value]:
        """Return what :meth:`from_meta` takes: the five MetaModules of this Module."""
        return {
            "config": self.config,
            "state": self.state_dict(),
            "status": self.status,
            "history": self.history,
            "callbacks": self.callbacks,
        }

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Yield every Module of this tree once, with its dotted path (``""`` first)."""
        for path, child in tree.walk(self):
            if isinstance(child, Module):
                yield path, child

    def __repr__(self) -> str:
        return tree.draw(self)

    @classmethod
    def _ptutils_takes(cls, name: str) -> bool:
        return name in signature_of(cls).parameters

    @classmethod
    def _before_build(cls, arguments: Mapping[str, Value]) -> None:
        """Prepare the process before the arguments are built. Empty by default."""

    def _before_save(self) -> None:
        """Refresh ``self.state``; called before it is read. Empty by default."""

    def _after_load(self) -> None:
        """React to a state that was just loaded. Empty by default."""


def _capture(
    cls: type[Module], args: tuple[Value, ...], kwargs: Mapping[str, Value]
) -> dict[str, Value]:
    try:
        return _own(bind(signature_of(cls), args, kwargs))
    except TypeError:
        return {}  # __init__ is called with the same arguments and raises by itself.


def _own(value: Value) -> Value:
    """Copy the plain containers, so that a later change of them changes no config."""
    if type(value) in (list, tuple):
        return type(value)(_own(item) for item in value)
    if type(value) is dict:
        return {key: _own(item) for key, item in value.items()}
    return value


def _read(kind: type[Any], given: Value) -> Value:
    """Return what a MetaModule's ``load_state_dict`` takes, reading a file for a path."""
    if isinstance(given, str | Path):
        given = kind().load(given)
    return given.state_dict() if isinstance(given, kind) else given


def _built(
    kind: type[Module],
    config: Mapping[str, Value],
    trust: Iterable[str],
    provide: Mapping[str, Value] | None,
) -> Module:
    named = {"class": name_for(kind), **config}
    module = build(named, trust=trust, provide=provide, known=(kind,))
    if isinstance(module, kind):
        return module
    raise ConfigError(
        f"cannot build a {kind.__qualname__} from this config",
        expected=f"class: {kind.__qualname__}, or one derived from it",
        got=f"class: {config.get('class')}",
        fix=f"call {type(module).__qualname__}.from_meta, or correct 'class'",
    )


def _require_same_config(module: Module, config: Mapping[str, Value]) -> None:
    named = {"class": name_for(type(module)), **config}
    if module.config != named:
        different = ", ".join(module.config.diff(named))
        raise ConfigError(
            f"cannot apply another config to this {type(module).__qualname__}",
            expected="the config it was built with",
            got=f"differences at {different}",
            fix=f"build anew: {type(module).__qualname__}.from_meta(config=...)",
        )


def _attach(module: Module, callbacks: Value, trust: Iterable[str]) -> None:
    """Register copies of ``callbacks`` that are not there yet, by name."""
    for name, callback in callbacks.items():
        if name not in module.callbacks:
            config = callback if isinstance(callback, dict) else tree.config_of(callback)
            module.callbacks.register(build(config, trust=trust), name=name)
