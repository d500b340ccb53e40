"""Networks that read what users did in order, and foretell what they take next."""
