"""Files by their path."""

from __future__ import annotations


class File:
    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def new_for_path(cls, path: str) -> File:
        return cls(path)
