"""Take in new files of events, items and users."""

import sys

from ebb.cli import run_job
from ebb.night import ingest

if __name__ == "__main__":
    sys.exit(run_job("ingest", ingest, __doc__))
