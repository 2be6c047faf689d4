"""The command line, a module a group of commands: `main` puts them together."""
