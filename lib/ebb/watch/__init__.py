"""Watching what goes in and what comes of it: whether inputs moved, whether a metric fell."""
