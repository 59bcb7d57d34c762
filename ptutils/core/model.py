"""Model: a net with its loss, its optimizer and its metrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ptutils.core.backend import Backend, load_backend
from ptutils.core.building.late import Late
from ptutils.core.loop.duration import Duration
from ptutils.core.module import Module
from ptutils.errors import ConfigError
from ptutils.meta.values import Value

__all__ = ["Model"]


class Model(Module):
    """One system that learns: what is trained, against what, and how.

    Args:
        net: Maps a batch of inputs to outputs; any ``torch.nn.Module``.
        criterion: Maps (outputs, targets) to a loss of shape ``()``.
        optimizer: A config or late optimizer, given ``net``'s and ``criterion``'s
            parameters here; or one that was made with them already.
        scheduler: A learning-rate scheduler, given the optimizer here.
        scheduler_every: When it steps: ``"1 step"``, ``"1 epoch"``.
        metrics: torchmetrics by name, updated with (outputs, targets) in validation.
        device: ``auto``, ``cpu``, ``cuda:0``.

    Raises:
        ConfigError: If the device is not there, there is nothing to schedule, what is
            given cannot play its part, the optimizer or scheduler needs more than to
            be stepped, or a metric is called ``loss``.
    """

    def __init__(
        self,
        net: Callable[..., Any],
        *,
        criterion: Callable[..., Any] | None = None,
        optimizer: Any = None,
        scheduler: Any = None,
        scheduler_every: str = "1 epoch",
        metrics: dict[str, Any] | None = None,
        device: str = "auto",
    ) -> None:
        _require_net(net)
        _require_criterion(criterion)
        _require_metrics(metrics)
        self.backend: Backend = load_backend()
        self.device = self.backend.device(device)
        self.net: Any = self.backend.place(net, self.device)
        self.criterion: Any = self.backend.place(criterion, self.device)
        self.optimizer: Any = _ready(optimizer, self._parameters())
        if scheduler is not None and optimizer is None:
            raise ConfigError(
                "cannot build the scheduler",
                path="scheduler",
                expected="an optimizer for it to schedule",
                got="optimizer: none",
                fix="give the Model an optimizer, or remove its scheduler",
            )
        self.scheduler: Any = _ready(scheduler, self.optimizer)
        self.scheduler_every = _period(scheduler_every)
        _require_steps("optimizer", self.optimizer)
        _require_steps("scheduler", self.scheduler)
        self.metrics = {
            name: self.backend.place(metric, self.device)
            for name, metric in (metrics or {}).items()
        }

    def __call__(self, inputs: Value) -> Value:
        """Go forward; the same as :meth:`forward`."""
        return self.forward(inputs)

    def forward(self, inputs: Value) -> Value:
        """Return the net's outputs for a batch of inputs."""
        return self.net(inputs)

    def train(self, mode: bool = True) -> None:
        """Put the net into training mode, or into evaluation mode."""
        self.net.train(mode)

    def require_trainable(self) -> None:
        """Check that there is what training needs.

        Raises:
            ConfigError: If the criterion or the optimizer is missing.
        """
        missing = [
            name for name in ("criterion", "optimizer") if getattr(self, name) is None
        ]
        if missing:
            raise ConfigError(
                "cannot train this Model",
                path="trainer.model",
                expected="a criterion and an optimizer",
                got=f"no {' and no '.join(missing)}",
                fix=f"add {missing[0]}, say {{class: torch.optim.AdamW, lr: 0.001}}"
                if missing == ["optimizer"]
                else f"add {missing[0]}, say {{class: torch.nn.CrossEntropyLoss}}",
            )

    def scheduled_by(self, unit: str) -> int:
        """Return every how many ``steps`` or ``epochs`` the scheduler steps, or 0."""
        every = self.scheduler_every
        if self.scheduler is None or every.unit != unit:
            return 0
        return int(every.count)

    def reset_metrics(self) -> None:
        """Forget what the metrics have seen."""
        for metric in self.metrics.values():
            metric.reset()

    def update_metrics(self, outputs: Value, targets: Value) -> None:
        """Let every metric see one batch."""
        for metric in self.metrics.values():
            metric.update(outputs, targets)

    def compute_metrics(self) -> Mapping[str, float]:
        """Return the value of every metric over what it has seen.

        Raises:
            ConfigError: If one of them is more than a number.
        """
        return {
            name: _number(name, metric.compute())
            for name, metric in self.metrics.items()
        }

    def _parameters(self) -> list[Any]:
        parameters = list(self.net.parameters())
        if hasattr(self.criterion, "parameters"):
            parameters += list(self.criterion.parameters())
        return parameters


def _require_net(net: Value) -> None:
    if _is_one(net, "parameters", "train"):
        return
    raise ConfigError(
        "cannot use this as the net",
        path="net",
        expected="a torch.nn.Module",
        got=_shown(net),
        fix=_called(net, "wrap it in a torch.nn.Module"),
    )


def _require_criterion(criterion: Value) -> None:
    if criterion is None or _is_one(criterion, "__call__"):
        return
    raise ConfigError(
        "cannot use this as the criterion",
        path="criterion",
        expected="a function of outputs and targets",
        got=_shown(criterion),
        fix=_called(criterion, "pass torch.nn.CrossEntropyLoss(), say"),
    )


def _require_metrics(metrics: Value) -> None:
    if metrics is not None and not hasattr(metrics, "items"):
        raise ConfigError(
            "cannot tell the names of these metrics",
            path="metrics",
            expected="a dict of metrics by name",
            got=_shown(metrics),
            fix="write {'accuracy': ...}",
        )
    for name, metric in (metrics or {}).items():
        if name == "loss":
            raise ConfigError(
                "cannot call a metric 'loss'",
                path="metrics.loss",
                expected="another name: valid.loss is the mean of the criterion",
                got="loss",
                fix="rename it, or leave it out if it is the criterion",
            )
        if not _is_one(metric, "update", "compute", "reset"):
            raise ConfigError(
                f"cannot use this as the metric {name!r}",
                path=f"metrics.{name}",
                expected="a torchmetrics.Metric: with update, compute and reset",
                got=_shown(metric),
                fix=_called(metric, "use a metric of torchmetrics, or subclass one"),
            )


def _is_one(given: Value, *methods: str) -> bool:
    """Tell whether ``given`` is an object, made already, with these methods."""
    is_made = not isinstance(given, type | Late)
    return is_made and all(callable(getattr(given, name, None)) for name in methods)


def _shown(given: Value) -> str:
    if isinstance(given, type):
        return f"class {given.__qualname__}"
    name = getattr(given, "__name__", "")
    return f"function {name}" if name else f"{type(given).__qualname__}: {given!r:.80}"


def _called(given: Value, otherwise: str) -> str:
    """Return how to mend ``given`` where it is a class instead of an object of it."""
    return f"{given.__name__}(...)" if isinstance(given, type) else otherwise


def _ready(given: Any, value: Value) -> Any:
    return given(value) if isinstance(given, Late) else given


def _period(text: str) -> Duration:
    every = Duration.parse(text)
    if every.unit not in ("steps", "epochs"):
        raise ConfigError(
            "cannot schedule by this",
            path="scheduler_every",
            expected="steps or epochs",
            got=repr(text),
            fix="write '1 step' or '1 epoch'",
        )
    return every


def _require_steps(name: str, given: Any) -> None:
    """Refuse what could not step at the first update, or at the end of an epoch."""
    if given is None:
        return
    step = None if isinstance(given, type) else getattr(given, "step", None)
    if step is None:
        raise ConfigError(
            f"cannot use this as the {name}",
            path=name,
            expected=f"a config of one, or ptutils.build(...) of an {name} class",
            got=repr(given),
            fix="write ptutils.build(torch.optim.AdamW, lr=0.001), without parameters",
        )
    # Of the class: a scheduler wraps the step of the optimizer itself.
    _, *takes = inspect.signature(type(given).step).parameters.values()
    needed = [
        parameter.name
        for parameter in takes
        if parameter.default is parameter.empty and parameter.kind not in _SPREADS
    ]
    if needed:
        raise ConfigError(
            f"cannot step {type(given).__qualname__} at fixed times",
            path=name,
            expected="a step() without arguments",
            got=f"step({', '.join(needed)})",
            fix="step it in a callback: def after_validate(self, model, metrics)",
        )


_SPREADS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _number(name: str, value: Value) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"cannot record the metric {name!r}",
            path=f"trainer.model.metrics.{name}",
            expected="one number",
            got=f"{type(value).__name__}: {value!r:.80}",
            fix="choose an average, or one metric for each number",
        ) from error
