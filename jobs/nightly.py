"""The whole night for one as_of: ingest, interests, train, recommend, evaluate."""

import sys

from ebb.cli import run_job
from ebb.night import nightly

if __name__ == "__main__":
    sys.exit(run_job("nightly", nightly, __doc__))
