"""Everybody's decayed interests as of as_of."""

import sys

from ebb.cli import run_job
from ebb.night import interests

if __name__ == "__main__":
    sys.exit(run_job("interests", interests, __doc__))
