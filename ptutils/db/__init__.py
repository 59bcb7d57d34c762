"""The databases: one contract (``ptutils.core.dbinterface``), one file per backend."""
