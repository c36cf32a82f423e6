"""Model files of other projects, read as data: nothing of a file ever runs."""

from intarsia_models.foreign_files.foreign_file import ForeignFile, open_foreign

__all__ = ["ForeignFile", "open_foreign"]
