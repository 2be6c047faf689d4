"""How a model server comes up: stages, turns, and the socket that it takes over."""
