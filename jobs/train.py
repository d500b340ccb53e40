"""Fit the models on what was known at as_of."""

import sys

from ebb.cli import run_job
from ebb.night import train

if __name__ == "__main__":
    sys.exit(run_job("train", train, __doc__))
