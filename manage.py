#!/usr/bin/env python3
"""PoundCake's command line."""

import sys

from poundcake.command_line import main

if __name__ == "__main__":
    main(sys.argv)
