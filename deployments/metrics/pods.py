"""Stand-in until the real one is merged."""
