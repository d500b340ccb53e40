"""Cut old rows, put small files together, remove files that nobody needs."""

import sys

from ebb.cli import run_job
from ebb.maintain import maintain

if __name__ == "__main__":
    sys.exit(run_job("maintain", maintain, __doc__))
