"""The learned ranker: boosted trees over what the blend weighs, on top of it."""
