"""MLflow, trackio and Sacred doing what ptutils is asked for; absent ones are skipped.

Source:
    https://mlflow.org, https://github.com/gradio-app/trackio,
    https://github.com/IDSIA/sacred
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["MLflow", "Sacred", "Trackio"]


class MLflow:
    """MLflow with its SQLite store."""

    name = "MLflow (SQLite)"

    def __init__(self, folder: Path) -> None:
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        self._tracking = importlib.import_module("mlflow.tracking")
        self._entities = importlib.import_module("mlflow.entities")
        importlib.import_module("sqlalchemy")
        self._client = self._tracking.MlflowClient(f"sqlite:///{folder}/mlflow.db")
        self._experiment = self._client.create_experiment("bench")

    def scalar_s(self, count: int) -> float:
        """Return seconds per logged scalar; it is durable then."""
        count = max(1, count // 100)  # It is slow.
        run = self._client.create_run(self._experiment).info.run_id
        started_s = time.perf_counter()
        for step in range(count):
            self._client.log_metric(run, "loss", 1.0 / (step + 1), step=step)
        return (time.perf_counter() - started_s) / count

    def fill(self, points: list[list[float]]) -> None:
        """Write one run per list of points."""
        metric, parameter = self._entities.Metric, self._entities.Param
        for number, values in enumerate(points):
            run = self._client.create_run(self._experiment).info.run_id
            metrics = [metric("loss", v, 0, step) for step, v in enumerate(values)]
            group = [parameter("group", str(number % 2))]
            self._client.log_batch(run, metrics=metrics, params=group)

    def best(self, count: int) -> list[float]:
        """Return the lowest losses ever of the runs of group 1."""
        found, token = [], None
        while True:  # Its own order knows the last value only.
            page = self._client.search_runs(
                [self._experiment], "params.group = '1'", page_token=token
            )
            for run in page:
                values = self._client.get_metric_history(run.info.run_id, "loss")
                found.append(min(point.value for point in values))
            token = page.token
            if not token:
                return sorted(found)[:count]


class Trackio:
    """trackio, which keeps a SQLite file per project."""

    name = "trackio"

    def __init__(self, folder: Path) -> None:
        os.environ["TRACKIO_DIR"] = str(folder / "trackio")
        self._trackio = importlib.import_module("trackio")
        self._storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage

    def scalar_s(self, count: int) -> float:
        """Return seconds per logged scalar until all are durable."""
        with _quiet():
            self._trackio.init(project="scalars", config={})
            started_s = time.perf_counter()
            for step in range(count):
                self._trackio.log({"loss": 1.0 / (step + 1)}, step=step)
            self._trackio.finish()
        return (time.perf_counter() - started_s) / count

    def fill(self, points: list[list[float]]) -> None:
        """Write one run per list of points."""
        for number, values in enumerate(points):
            self._storage.bulk_log(
                "best",
                f"run{number}",
                [{"loss": value} for value in values],
                config={"group": number % 2},
            )

    def best(self, count: int) -> list[float]:
        """Return the lowest losses ever of the runs of group 1."""
        found = []
        for run in self._trackio.Api().runs("best"):
            if run.config["group"] == 1:
                rows = self._storage.get_metric_values(
                    "best", run.name, "loss", run_id=run.id
                )
                found.append(min(row["value"] for row in rows))
        return sorted(found)[:count]


class Sacred:
    """Sacred with its observer that writes files; it answers no queries."""

    name = "Sacred (files)"

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # It imports pkg_resources.
            self._sacred = importlib.import_module("sacred")
            self._observers = importlib.import_module("sacred.observers")
        self._folder = folder / "sacred"

    def scalar_s(self, count: int) -> float:
        """Return seconds per logged scalar until all are written."""
        experiment: Any = self._sacred.Experiment("bench", save_git_info=False)
        experiment.observers.append(
            self._observers.FileStorageObserver(str(self._folder))
        )
        logging.getLogger("bench").setLevel(logging.ERROR)
        started_s = 0.0

        @experiment.main
        def main(_run: Any) -> None:
            nonlocal started_s
            started_s = time.perf_counter()
            for step in range(count):
                _run.log_scalar("loss", 1.0 / (step + 1), step)

        experiment.run()
        return (time.perf_counter() - started_s) / count


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield
