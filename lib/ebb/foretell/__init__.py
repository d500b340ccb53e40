"""Foretells what interests become: how likely each user meets each known key in the next period."""
