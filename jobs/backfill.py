"""A night for each as_of from --from to --to, the earliest first."""

import sys

from ebb.cli import run_job
from ebb.night import backfill

if __name__ == "__main__":
    sys.exit(run_job("backfill", backfill, __doc__))
