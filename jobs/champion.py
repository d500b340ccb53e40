"""List the rankers that were fitted, and go back to an earlier one or to what ranked before."""

import sys

from ebb.boxes.champion import champion
from ebb.cli import run_job

if __name__ == "__main__":
    sys.exit(run_job("champion", champion, __doc__))
