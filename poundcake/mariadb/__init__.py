"""Django's database backend for MariaDB, with a check of connections that were idle."""
