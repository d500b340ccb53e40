"""Hold the latest slates against what people then did."""

import sys

from ebb.cli import run_job
from ebb.night import evaluate

if __name__ == "__main__":
    sys.exit(run_job("evaluate", evaluate, __doc__))
