"""The whole contract in one class."""

from __future__ import annotations

from ptutils.testing.contract.artifacts import ArtifactsContract
from ptutils.testing.contract.documents import DocumentsContract
from ptutils.testing.contract.exactness import ExactnessContract
from ptutils.testing.contract.queries import QueriesContract
from ptutils.testing.contract.runs import RunsContract
from ptutils.testing.contract.transactions import TransactionsContract
from ptutils.testing.contract.updates import UpdatesContract
from ptutils.testing.contract.verbs import VerbsContract

__all__ = ["DBInterfaceContract"]


class DBInterfaceContract(
    DocumentsContract,
    UpdatesContract,
    TransactionsContract,
    ArtifactsContract,
    VerbsContract,
    ExactnessContract,
    QueriesContract,
    RunsContract,
):
    """What every database must do; subclass it with a fixture ``db``.

    The fixture gives an empty database. See
    :class:`ptutils.testing.contract.base.Contract` for what else a subclass may say.
    """
