"""Proof: an experiment run whole, and run, killed and resumed, ends in the same bits.

Both runs save after every step and trace every step; the one is never interrupted. The
other is killed with SIGKILL at chosen steps, and each time a new process goes on from
what the database holds.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ptutils.core.catalogue import find
from ptutils.core.records.checkpoint import Checkpoint
from ptutils.core.records.run import Run
from ptutils.core.verification.divergence import Divergence, divergence_of
from ptutils.core.verification.processes import run_attempt
from ptutils.errors import ConfigError
from ptutils.meta.config import Config
from ptutils.meta.values import Document, Value

__all__ = ["Interruption", "Proof", "verify_resume"]

_SHOWN: Final = 5
_LAST_LINES: Final = 20
_SEEDS: Final = 1 << 32


@dataclass(frozen=True, kw_only=True)
class Interruption:
    """A run killed in one step, that went on after another."""

    step: int
    resumed_from: int


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What became of a run that was killed, beside one that was not.

    It is true if both are the same: the bits of the final State, and all of History.

    Attributes:
        seed: What the steps were chosen by; the same seed chooses the same.
        steps: How many steps the whole run took.
        interruptions: Where the other was killed.
        digests: Of the final State of the whole run, and of the other.
        divergence: The first step that is not the same; None if there is none.
    """

    seed: int
    steps: int
    interruptions: list[Interruption]
    digests: tuple[str, str]
    divergence: Divergence | None

    def __bool__(self) -> bool:
        return self.divergence is None

    @property
    def is_repeatable(self) -> bool:
        """Whether the runs were the same as long as neither was interrupted."""
        if self.divergence is None or not self.interruptions:
            return self.divergence is None
        return self.divergence.step > self.interruptions[0].resumed_from

    def to_dict(self) -> Document:
        """Return everything as plain values."""
        plain = asdict(self)
        plain["digests"] = list(self.digests)
        return {
            "is_exact": bool(self),
            "is_repeatable": self.is_repeatable,
            **plain,
        }

    def __str__(self) -> str:
        killed = "; ".join(
            f"killed in step {each.step}, resumed from {each.resumed_from}"
            for each in self.interruptions
        )
        if self.divergence is None:
            return (
                f"exact: {self.steps} steps, {killed}: the same History, and a State "
                f"of the same bits, {self.digests[0][:12]}"
            )
        found = self.divergence
        more = len(found.paths) - _SHOWN
        lines = [
            f"not exact: {self.steps} steps, {killed or 'never killed'}",
            f"  first difference: in step {found.step}, in the {found.kind}",
            *(f"    {path}" for path in found.paths[:_SHOWN]),
            *([f"    and {more} more"] if more > 0 else []),
        ]
        if not self.is_repeatable:
            lines.append(
                "  neither run had been interrupted before: this experiment is another "
                "each time it is run"
            )
        return "\n".join(lines)


def verify_resume(
    config: Mapping[str, Value] | str | os.PathLike[str],
    *,
    steps: int | None = None,
    kills: int = 1,
    seed: int | None = None,
    trust: Iterable[str] = (),
    report: Callable[[str], None] = lambda line: None,
) -> Proof:
    """Prove that an experiment resumes exactly, or find where it does not.

    It runs the experiment twice in processes of their own, and keeps the runs in a
    temporary folder that is removed.

    Args:
        config: Of a Session. Where it is kept, how often it is saved and whether it
            shows progress is not as the config says.
        steps: Train so many steps, not as long as the schedule says.
        kills: How often to kill the second run.
        seed: Chooses the steps in which it is killed; any by default.
        trust: Packages of the caller's whose classes the config names.
        report: Called with a line about each process.

    Raises:
        ConfigError: If the experiment fails, or is too short to be killed so often.

    Example::

        proof = ptutils.verify_resume("examples/digits.yaml", steps=60)
        assert proof, proof
    """
    seed = random.SystemRandom().randrange(_SEEDS) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="ptutils-") as folder:
        given = config if isinstance(config, Mapping) else Path(config)
        path = _prepared(given, steps).save(Path(folder) / "config.json")
        setting = {"config": str(path), "trust": list(trust)}
        report(f"seed {seed} chooses the steps to be killed in")
        with _Side(Path(folder) / "whole.db", setting) as whole:
            whole.run()
            total = whole.step
            report(f"ran {total} steps without interruption")
            with _Side(Path(folder) / "killed.db", setting) as other:
                interruptions = []
                for step in _chosen(total, kills, seed):
                    if not other.run(kill=step):
                        break  # It ended earlier than the first: that will be found.
                    each = Interruption(step=step, resumed_from=other.step)
                    interruptions.append(each)
                    report(f"killed in step {step}; going on from {other.step}")
                else:
                    other.run()
                return Proof(
                    seed=seed,
                    steps=total,
                    interruptions=interruptions,
                    digests=(whole.newest.digest, other.newest.digest),
                    divergence=divergence_of(whole.read(), other.read()),
                )


def _prepared(given: Mapping[str, Value] | Path, steps: int | None) -> Config:
    config = Config.read(given)
    schedule = config.get("schedule") or {}
    if not isinstance(schedule, Mapping):
        raise ConfigError(
            "cannot save this experiment after every step",
            path="schedule",
            expected="a dict of settings",
            got=repr(schedule),
        )
    changes = {"checkpoint": "1 step", "keep": {"last": 2}}
    duration = {} if steps is None else {"duration": f"{steps} steps"}
    config["schedule"] = {**schedule, **changes, **duration}
    config["progress"] = config["source"] = False
    return config


def _chosen(total: int, kills: int, seed: int) -> list[int]:
    """Choose the steps to be killed in: not the first, before which nothing is done."""
    possible = range(2, total + 1)
    if not 1 <= kills <= len(possible):
        raise ConfigError(
            f"cannot kill an experiment of {total} steps {kills} times",
            expected=f"1 to {len(possible)} times" if possible else "2 steps or more",
            got=str(kills),
            fix="let it train for more steps",
        )
    chance = random.Random(seed)  # noqa: S311 - no secret, and to be repeated
    return sorted(chance.sample(possible, kills))


@dataclass
class _Side:
    """One of the two runs, in a database of its own."""

    file: Path
    setting: Document
    _db: Any = field(default=None, init=False)

    def run(self, kill: int | None = None) -> bool:
        """Run it, or go on with it; return whether it was killed."""
        order = {"database": str(self.file), "kill": kill, "resume": self.file.exists()}
        log = self.file.with_suffix(".log")
        code = run_attempt({**self.setting, **order}, log)
        if code == 0 or (kill is not None and code == -signal.SIGKILL):
            return code != 0
        lines = log.read_text(errors="replace").strip().splitlines()
        raise ConfigError(
            "cannot run the experiment" if not order["resume"] else "cannot resume it",
            expected="a process that ends well",
            got="\n".join([f"exit code {code}", *lines[-_LAST_LINES:]]),
            fix="let it run by itself first: ptutils run CONFIG",
        )

    def read(self) -> Run:
        if self._db is None:
            self._db = find("connect")(str(self.file), create=False)
        (run,) = self._db.runs.find()
        return run  # type: ignore[no-any-return]

    @property
    def step(self) -> int:
        """Of its newest checkpoint."""
        return self.newest.step

    @property
    def newest(self) -> Checkpoint:
        found = self.read().newest()
        if found is None:
            raise ConfigError("cannot compare a run that was never saved")
        return found

    def __enter__(self) -> _Side:
        return self

    def __exit__(self, *reason: object) -> None:
        if self._db is not None:
            self._db.close()
