"""Taking events and items in: sources, validation, quarantine, exactly once; the demo world."""
