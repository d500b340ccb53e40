"""Everybody's slate and the hot list as of as_of."""

import sys

from ebb.cli import run_job
from ebb.night import recommend

if __name__ == "__main__":
    sys.exit(run_job("recommend", recommend, __doc__))
