"""Decay curves, measures and the decayed interests of users."""
