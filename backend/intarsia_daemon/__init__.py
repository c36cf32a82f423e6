"""The engine: router, workers, operations and the command line. Import the module you need."""
