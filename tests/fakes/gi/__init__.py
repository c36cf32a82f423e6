"""Stands in for PyGObject where there is no GIMP; see `gi.repository.Gimp`."""


def require_version(namespace: str, version: str) -> None:
    """Every version is there."""
