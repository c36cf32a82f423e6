"""One module or package per generator family; each ends in ``FAMILY = Family(...)``."""
