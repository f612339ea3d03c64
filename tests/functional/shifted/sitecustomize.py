"""Set the wall clock of each Python process that has this directory in its PYTHONPATH.

``SHIFT_SECONDS``: by how much it is ahead, or several such, of which each process takes one.
"""

import datetime
import os
import random

import time_machine

_choices = os.environ["SHIFT_SECONDS"].split(",")
_ahead = datetime.timedelta(seconds=float(random.choice(_choices)))
time_machine.travel(datetime.datetime.now(tz=datetime.UTC) + _ahead, tick=True).start()
