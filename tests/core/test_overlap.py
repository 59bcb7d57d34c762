"""Parameters are copied while the next step begins, if nothing changes them."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
import torch

from ptutils import (
    Callback,
    Epoch,
    Fit,
    FitBatch,
    Looper,
    Model,
    NaNDetector,
    Schedule,
    Session,
    Trainer,
    Update,
    build,
    register,
)
from ptutils.core.loop.overlap import leaves_parameters
from ptutils.core.records.run import Run
from ptutils.core.records.writing.snapshot import Snapshot
from tests.core.training import provider

WIDE = 70_000


@register
class Wide(torch.nn.Module):
    """A net that is too large to be copied at once, and may change itself."""

    def __init__(self, clamps_at: int = 0, scales_at: int = 0) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(3, 1)
        self.wide = torch.nn.Parameter(torch.ones(WIDE, 4))
        self.clamps_at, self.scales_at = clamps_at, scales_at
        self.num_calls = 0

    def forward(self, inputs: Any) -> Any:
        if self.training:
            self.num_calls += 1
            if self.clamps_at and self.num_calls >= self.clamps_at:
                self.wide.data.mul_(0.5)
            if self.num_calls == self.scales_at:
                with torch.no_grad():
                    self.wide.mul_(0.5)
        return self.inner(inputs) + self.wide.mean()


@register
class Intruder(Callback):
    """Could do anything where it reacts."""

    def before_gradient(self) -> None:
        """React."""


@register
class Observer(Intruder):
    """Promises not to."""

    observes = True


@register
class MyUpdate(Update):
    """Another one."""


def session(callbacks: Any = (), looper: Any = None, **settings: int) -> Session:
    torch.manual_seed(0)
    model = Model(
        build(Wide, **settings),
        criterion=build(torch.nn.MSELoss),
        optimizer=build(torch.optim.Adam, lr=0.1),
    )
    return Session(
        Trainer(model, callbacks=list(callbacks), looper=looper),
        dataprovider=provider(),
        dbinterface="memory:",
        schedule=Schedule("2 epochs", checkpoint="1 step", validate=None),
        progress=False,
        source=False,
    )


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make the thread that writes leave the copies to Update; count them."""
    counts: list[int] = []
    complete = Snapshot.complete

    def counting(snapshot: Snapshot) -> None:
        is_training = threading.current_thread() is threading.main_thread()
        if is_training:
            counts.append(len(snapshot._late))
        complete(snapshot)

    monkeypatch.setattr(Snapshot, "complete", counting)
    return counts


def digests(run: Run | None) -> list[str]:
    assert run is not None
    return [each.digest for each in run.checkpoints]


def without_overlap(monkeypatch: pytest.MonkeyPatch, **settings: int) -> list[str]:
    with monkeypatch.context() as patch:
        patch.setattr("ptutils.core.trainer.leaves_parameters", lambda *_: False)
        return digests(session(**settings).run())


def test_checkpoints_are_those_that_are_copied_at_once(
    late: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = digests(session().run())
    assert len(late) > 3
    assert found == without_overlap(monkeypatch)


def test_net_that_changes_itself_unseen_is_copied_at_once(
    late: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = digests(session(clamps_at=1).run())
    assert not any(late)
    assert found == without_overlap(monkeypatch, clamps_at=1)


def test_checkpoint_that_was_spoiled_is_given_up_and_the_next_step_saved(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    complete = Snapshot.complete

    def slowly(snapshot: Snapshot) -> None:
        if threading.current_thread() is not threading.main_thread() and snapshot._late:
            has_updated.wait(10)
        complete(snapshot)

    has_updated = threading.Event()
    monkeypatch.setattr(Snapshot, "complete", slowly)
    update = Update.run

    def telling(stage: Update, values: Any) -> None:
        update(stage, values)
        if values["step"] == 3:
            has_updated.set()

    monkeypatch.setattr(Update, "run", telling)
    with caplog.at_level(logging.WARNING, "ptutils"):
        run = session(scales_at=3).run()
    assert "the checkpoint of step 2 is given up" in caplog.text
    assert run is not None
    steps = [each.step for each in run.checkpoints]
    assert 2 not in steps
    assert steps[-1] == 8


def test_parameters_stay_in_the_default_loop_with_callbacks_that_observe() -> None:
    made = session([NaNDetector(), Observer()])
    assert leaves_parameters(made.trainer.looper, [made.trainer.callbacks])


@pytest.mark.parametrize(
    ("callbacks", "looper"),
    [
        ([Intruder()], None),
        ([], Looper(epoch=Epoch(fit=None))),
        ([], Looper(epoch=Epoch(fit=Fit(fit_batch=FitBatch(update=MyUpdate()))))),
    ],
)
def test_parameters_may_change_where_a_person_has_a_hand(
    callbacks: Any, looper: Any
) -> None:
    made = session(callbacks, looper)
    assert not leaves_parameters(made.trainer.looper, [made.trainer.callbacks])
