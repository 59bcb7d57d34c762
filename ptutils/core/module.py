"""Module: the one base of everything in an experiment.

A Module is callable, has ``state_dict()`` and has ``load_state_dict()``. Its config is
captured when it is constructed, its children are found among its attributes, and
whatever else must survive lives in ``self.state``. The recursions over a tree are free
functions in :mod:`ptutils.core.tree` and :mod:`ptutils.core.loading`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, final

from ptutils.core import tree
from ptutils.core.building.builder import build
from ptutils.core.building.instances import require_instances
from ptutils.core.building.signature import signature_of
from ptutils.core.building.trust import name_for, spelled
from ptutils.core.collecting import Collection
from ptutils.core.loading import LoadReport, Mode, Part, Rename, Select, load_tree
from ptutils.errors import ConfigError
from ptutils.meta.callbacks import Callbacks
from ptutils.meta.config import Config
from ptutils.meta.history import History
from ptutils.meta.hybrid import hybrid
from ptutils.meta.registry import bind, remember_copies
from ptutils.meta.state import State
from ptutils.meta.status import Status
from ptutils.meta.values import Value

__all__ = ["Module"]

_META = ("config", "state", "status", "history", "callbacks")
_VERBS = ("state_dict", "load_state_dict", "from_meta", "to_meta", "named_modules")


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
    attributes of the same names, and put what else must survive into ``self.state``::

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
        """Capture the constructor's arguments; they become the config."""
        self = super().__new__(cls)
        object.__setattr__(self, "_ptutils", _Internals(_capture(cls, args, kwargs)))
        return self

    def __init_subclass__(cls, **kwargs: Value) -> None:
        """Check that nothing hides what the tree relies on."""
        super().__init_subclass__(**kwargs)
        for base in cls.__mro__[:-1]:
            taken = [name for name in (*_META, *_VERBS) if name in vars(base)]
            if base is not Module and taken:
                raise ConfigError(
                    f"cannot define class {cls.__qualname__!r}",
                    expected="what every Module has to be inherited from it",
                    got=f"{', '.join(taken)} of {base.__qualname__}",
                    fix="hold the other object as a child instead of deriving from it"
                    if base is not cls
                    else "keep what must survive in self.state; fill _before_save() "
                    "and _after_load() to refresh and to react",
                )

    def __setattr__(self, name: str, value: Value) -> None:
        known = vars(self)
        if name in known:
            # A child that is replaced while running changes the config of the tree.
            both = (value, known[name])
            if not tree.is_plain(both) and any(map(tree.holds_child, both)):
                self._ptutils.replaced.add(name)
        elif name in _META:
            raise ConfigError(
                f"cannot set {name!r} of a {type(self).__qualname__}",
                expected="an attribute that is the subclass's own",
                got=f"self.{name} = ..., which every Module has",
                fix=f"choose another name, or change what self.{name} holds",
            )
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._ptutils.replaced.add(name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        vars(twin).update(copy.deepcopy(vars(self), memo))
        remember_copies(memo)
        return twin

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
        return Collection(self).state

    @final
    def load_state_dict(
        self,
        state: Mapping[str, Value],
        strict: bool = True,
        *,
        select: Select | None = None,
        rename: Rename | None = None,
        missing: str | None = None,
        unexpected: str | None = None,
        mismatched: str | None = None,
    ) -> LoadReport:
        """Validate a nested state against the whole tree, then assign it.

        The last three say what to do about paths that do not fit: ``"error"``,
        ``"warn"`` (go on, and say so in the log), ``"skip"`` or ``"initialize"`` (let
        layers begin anew by their ``reset_parameters``, optimizers without moments).
        What an optimizer knows of a parameter that is not loaded begins anew as well.

        Args:
            state: As :meth:`state_dict` returns it.
            strict: ``"error"`` for all that does not fit; otherwise ``"skip"``.
            select: Which dotted paths of this tree to load: a name (with all below it),
                a glob pattern, a compiled regular expression (found anywhere), a list
                of these, or a predicate. All by default.
            rename: Old dotted paths to new ones; None leaves one out. A dict, of which
                the first key that matches decides: a path, the beginning of one (``""``
                of all), or a compiled regular expression. A list of (regular
                expression, replacement), applied one after another. Or a function.
            missing: What to do about selected paths that the state lacks.
            unexpected: About those that the tree lacks; they cannot be initialized.
            mismatched: About those of another shape, dtype or kind.

        Returns:
            What was loaded, missing, unexpected, mismatched, initialized and renamed.

        Raises:
            ConfigError: If a mode is unknown, or ``rename`` cannot be read.
            StateMismatchError: If the state does not fit, or ``select`` or ``rename``
                names what is not there; nothing has been changed then, nor have the
                random streams.
        """
        usual = Mode.ERROR if strict else Mode.SKIP
        part = Part(
            select=select,
            rename=rename,
            missing=missing or usual,
            unexpected=unexpected or usual,
            mismatched=mismatched or usual,
        )
        return load_tree(self, state, part)

    @hybrid
    def from_meta(
        owner: Any,  # noqa: N805 - the class, or the instance
        *,
        config: Mapping[str, Value] | str | Path | None = None,
        state: Mapping[str, Value] | str | Path | None = None,
        status: Mapping[str, Value] | str | Path | None = None,
        history: Mapping[str, Value] | str | Path | None = None,
        callbacks: Mapping[str, Value] | Callbacks | str | Path | None = None,
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
            module = _built(owner, Config.read(config or {}), trust, provide)
        else:
            module = owner
            if config is not None:
                _require_same_config(module, Config.read(config))
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
        arguments = bind(signature_of(cls), args, kwargs)
    except TypeError:
        return {}  # __init__ is called with the same arguments and raises by itself.
    require_instances(cls, arguments)
    return arguments


def _read(kind: type[Any], given: Value) -> Value:
    """Return what a MetaModule's ``load_state_dict`` takes; a path is read."""
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
    """Register copies of ``callbacks`` that are not there yet, by name.

    A file that ``Callbacks.save`` wrote holds their states alone: those are loaded.
    """
    if isinstance(callbacks, str | Path):
        callbacks = Config.load(callbacks)
    states = {}
    for name, callback in callbacks.items():
        is_config = isinstance(callback, Mapping)
        if is_config and "class" not in callback:
            states[name] = callback
        elif name not in module.callbacks:
            config = callback if is_config else tree.config_of(callback)
            # What is here in person is trusted; a config is a text of somebody's.
            known = [] if is_config else [type(callback)]
            built = build(config, trust=trust, known=known)
            module.callbacks.register(built, name=name)
    module.callbacks.load_state_dict(states)
