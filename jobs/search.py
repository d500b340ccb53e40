"""Try settings on nights before as_of, and hold the best against the present ones."""

import sys

from ebb.boxes.search import search
from ebb.cli import run_job

if __name__ == "__main__":
    sys.exit(run_job("search", search, __doc__))
