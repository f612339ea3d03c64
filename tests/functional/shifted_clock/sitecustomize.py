"""Shift the wall clock of each Python process that has this directory in its PYTHONPATH.

``SHIFT_SECONDS``: the shift, or several, of which each process chooses one at random.
"""

import datetime
import os
import random

import time_machine

_choices = os.environ["SHIFT_SECONDS"].split(",")
_ahead = datetime.timedelta(seconds=float(random.choice(_choices)))
time_machine.travel(datetime.datetime.now(tz=datetime.UTC) + _ahead, tick=True).start()
