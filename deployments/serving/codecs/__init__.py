"""Bodies of the protocols and formats a model server reads and writes."""
