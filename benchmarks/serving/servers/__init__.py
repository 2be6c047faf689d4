"""What runs in the rivals' own environments."""
