"""The command line: one module per command group, found by name when it is called."""
