"""ebb: windowed, time-decayed user interests and top-N recommendations on Spark and Delta."""

__version__ = "0.1.0"
