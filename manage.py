#!/usr/bin/env python3
"""PoundCake's command line."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from poundcake import environment_file


def main() -> None:
    """Run a management command with the settings of the service."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "poundcake.settings")
    try:
        if warning := environment_file.load():
            sys.stderr.write(f"Warning: {warning}\n")
        settings.INSTALLED_APPS  # noqa: B018 - reads the settings
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
