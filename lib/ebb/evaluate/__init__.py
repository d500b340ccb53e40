"""Judging slates: metrics, baselines."""
