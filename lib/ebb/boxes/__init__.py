"""The boxes of the night: each reads tables, writes its own, and is skipped when that is done."""
