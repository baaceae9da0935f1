"""Changes of the ledger's tables, in the order in which stores take them; run by Alembic.

A new one is a file in ``versions/`` that names the one before it, changes ``_tables.py`` as well,
and becomes ``HEAD`` in ``hpo/queue/_schema.py``. It must run inside a transaction on SQLite and
PostgreSQL, and must never be changed once it was released.
"""
