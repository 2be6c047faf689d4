"""The command line: a module a group of commands. It starts flows and reports; it decides nothing."""
