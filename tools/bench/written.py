"""What MariaDB writes: rows and index entries by table, redo log and flushes."""

from tools.bench.databases import Database
from tools.bench.meters import Reading

# For each table, the rows inserted, updated or deleted, and these times the number of the table's
# indexes with the primary key: the most index entries that change. An update changes fewer.
CHANGES = (
    "SELECT table_name, rows_changed, rows_changed_x_indexes"
    " FROM information_schema.table_statistics WHERE table_schema = 'poundcake'"
)
ROWS, ENTRIES, ALL = "rows", "rows times indexes", "all tables"


def start(database: Database) -> None:
    """Let a server count the changed rows of each table."""
    if database.counters():
        database.fetch("SET GLOBAL userstat = 1")


def read(database: Database) -> Reading:
    """Return the totals so far by name, empty without a server."""
    counters = database.counters()
    if not counters:
        return {}
    reading: Reading = {f"{ALL}: {ROWS}": 0, f"{ALL}: {ENTRIES}": 0}
    for table, rows, entries in database.fetch(CHANGES):
        for kind, count in ((ROWS, int(rows)), (ENTRIES, int(entries))):
            reading[f"{table}: {kind}"] = count
            reading[f"{ALL}: {kind}"] += count
    reading["flushes to disk"] = counters["Innodb_data_fsyncs"]
    reading["redo log KiB"] = counters["Innodb_os_log_written"] / 1_024
    return reading


def add(totals: Reading, before: Reading, after: Reading) -> None:
    """Add the difference of two readings; a table is missing before its first change."""
    for name, value in after.items():
        if difference := value - before.get(name, 0):
            totals[name] = totals.get(name, 0) + difference
