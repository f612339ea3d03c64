"""Insert many rows with statements that MariaDB accepts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db.models import Model

from remediation.values.json_values import sent_bytes

ROWS_MAX = 500  # rows of one statement
# Characters of one statement. Each takes at most four bytes of SQL, far below MariaDB's default
# max_allowed_packet of 16 MiB.
CHARACTERS_MAX = 2 << 20


def insert(rows: Sequence[Model]) -> None:
    """Insert unsaved rows of one model in as few statements as possible; set their ids."""
    if len(rows) == 1:
        # Outside a transaction this saves the BEGIN and COMMIT of bulk_create.
        rows[0].save(force_insert=True)
        return
    for batch in _batches(rows):
        type(batch[0])._default_manager.bulk_create(batch)


def _batches(rows: Sequence[Model]) -> Iterator[list[Model]]:
    batch: list[Model] = []
    free = CHARACTERS_MAX
    for row in rows:
        size = _characters(row)
        if batch and (len(batch) == ROWS_MAX or size > free):
            yield batch
            batch, free = [], CHARACTERS_MAX
        batch.append(row)
        free -= size
    if batch:
        yield batch


def _characters(row: Model) -> int:
    values = (getattr(row, field.attname) for field in row._meta.concrete_fields)
    return sum(
        len(value) if isinstance(value, str) else sent_bytes(value)
        for value in values
        if isinstance(value, str | dict | list)
    )
