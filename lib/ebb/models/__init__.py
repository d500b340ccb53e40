"""Fitted models: popularity, neighbours, factorisation."""
