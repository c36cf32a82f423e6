"""Only what arguments of procedures need."""

from typing import Any

TYPE_STRING = str
TYPE_NONE = type(None)


class ParamFlags:
    READWRITE = 3


class Value:
    def __init__(self, kind: Any, value: Any) -> None:
        self.kind, self.value = kind, value
