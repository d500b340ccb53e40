"""A person's interests and slate, readable: show user ID."""

import sys

from ebb.cli import run_job
from ebb.show import show

if __name__ == "__main__":
    sys.exit(run_job("show", show, __doc__))
