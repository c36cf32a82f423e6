"""One module per operation; every module in this folder is found by itself."""
