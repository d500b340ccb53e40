"""How fast people forget: half-lives and decay curves learned from when they come back."""
