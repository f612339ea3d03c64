"""Django's SQLite backend, which also counts errors."""
