"""Which file holds each public name: strings only, so that nothing above is imported.

The same names work in Python (``ptutils.Trainer``), in configs (``class: Trainer``)
and in stored documents; only those of them that are Modules can be built.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["CATALOGUE", "find"]

CATALOGUE = {
    "ArrayReader": "ptutils.data.readers.array",
    "Callback": "ptutils.core.callback",
    "Callbacks": "ptutils.meta.callbacks",
    "Config": "ptutils.core.building.builder",
    "Configuration": "ptutils.core.building.builder",
    "DBInterface": "ptutils.core.dbinterface",
    "DataLoader": "ptutils.data.loader",
    "DataProvider": "ptutils.data.provider",
    "DataReader": "ptutils.data.readers.reader",
    "Dataset": "ptutils.data.dataset",
    "Digits": "ptutils.data.digits",
    "Duration": "ptutils.core.loop.duration",
    "EarlyStopping": "ptutils.callbacks.early_stopping",
    "Epoch": "ptutils.core.loop.stages",
    "FileInterface": "ptutils.db.files.interface",
    "Fit": "ptutils.core.loop.stages",
    "FitBatch": "ptutils.core.loop.stages",
    "Gradient": "ptutils.core.loop.stages",
    "History": "ptutils.meta.history",
    "Looper": "ptutils.core.loop.looper",
    "Loss": "ptutils.core.loop.stages",
    "MemoryInterface": "ptutils.db.memory",
    "Model": "ptutils.core.model",
    "Module": "ptutils.core.module",
    "MongoInterface": "ptutils.db.mongo.interface",
    "NaNDetector": "ptutils.callbacks.nan_detector",
    "Noise": "ptutils.data.transforms",
    "Progress": "ptutils.callbacks.progress",
    "PtutilsError": "ptutils.errors",
    "Run": "ptutils.core.records.run",
    "SQLiteInterface": "ptutils.db.sqlite.interface",
    "Sampler": "ptutils.data.sampler",
    "Schedule": "ptutils.core.loop.schedule",
    "SequentialSampler": "ptutils.data.sampler",
    "Session": "ptutils.core.session",
    "Shift": "ptutils.data.transforms",
    "ShuffledSampler": "ptutils.data.sampler",
    "Stage": "ptutils.core.loop.stage",
    "State": "ptutils.meta.state",
    "StateDiff": "ptutils.core.comparing",
    "Statistic": "ptutils.meta.statistic",
    "Status": "ptutils.meta.status",
    "StopTraining": "ptutils.errors",
    "TorchBackend": "ptutils.backends.torch",
    "Trace": "ptutils.callbacks.trace",
    "Trainer": "ptutils.core.trainer",
    "Transform": "ptutils.data.transforms",
    "Update": "ptutils.core.loop.stages",
    "Validate": "ptutils.core.loop.stages",
    "ValidateBatch": "ptutils.core.loop.stages",
    "build": "ptutils.core.building.builder",
    "connect": "ptutils.db.connect",
    "diff": "ptutils.core.comparing",
    "register": "ptutils.meta.registry",
    "seed": "ptutils.core.backend",
    "trust": "ptutils.core.building.trust",
    "verify_resume": "ptutils.core.verification.proof",
}


def find(name: str) -> Any:
    """Import and return the public object called ``name``.

    Raises:
        KeyError: If the catalogue has no such name.
    """
    return getattr(importlib.import_module(CATALOGUE[name]), name)
