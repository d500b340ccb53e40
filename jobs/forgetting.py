"""Learn how fast each user forgets, and curves for everybody; print them as measures."""

import sys

from ebb.cli import run_job
from ebb.night import forgetting

if __name__ == "__main__":
    sys.exit(run_job("forgetting", forgetting, __doc__))
