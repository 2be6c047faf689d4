"""How flows are started: the command line. It starts flows and reports; it decides nothing."""
