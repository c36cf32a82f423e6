"""Zip containers and XML from strangers: looked at before anything is unpacked."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from intarsia_daemon.documents import limits
from intarsia_daemon.documents.limits import reject


class Container:
    """A zip file whose directory was checked; members are read in memory, never onto the disk."""

    def __init__(self, data: bytes) -> None:
        """Check the directory.

        Raises:
            FileRejected: No zip, too many members, too large unpacked, a compression ratio of a
                bomb, an encrypted member, or a name that points outside.
        """
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError) as error:
            raise reject(f"The file is no whole zip container ({error}).") from None
        members = self._zip.infolist()
        if len(members) > limits.MEMBERS:
            raise reject(
                f"The container has {len(members)} files; at most {limits.MEMBERS} are read."
            )
        for member in members:
            _check_member(member)
        total = sum(member.file_size for member in members)
        if total > limits.CONTAINER_BYTES:
            raise reject(
                f"Unpacked the file would have {total // 2**20} MiB; "
                f"at most {limits.CONTAINER_BYTES // 2**20} MiB are read.",
                value=total,
            )
        self._names = {member.filename for member in members}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def read(self, name: str, limit: int = limits.MEMBER_BYTES) -> bytes:
        """One member's bytes.

        Raises:
            FileRejected: It is absent, broken, or has more bytes than the limit.
        """
        check_name(name)
        if name not in self._names:
            raise reject(f"The container lacks {name!r}.", value=name)
        try:
            with self._zip.open(name) as member:
                data = member.read(limit + 1)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            RuntimeError,
            ValueError,
        ) as error:
            raise reject(f"{name!r} in the container is broken ({error}).", value=name) from None
        if len(data) > limit:
            raise reject(f"{name!r} in the container has more than {limit} bytes.", value=name)
        return data


def _check_member(member: zipfile.ZipInfo) -> None:
    check_name(member.filename)
    if member.flag_bits & 1:
        raise reject(f"{member.filename!r} in the container is encrypted.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise reject(
            f"{member.filename!r} is packed by method {member.compress_type}, not deflate."
        )
    if member.file_size > limits.MEMBER_BYTES:
        raise reject(
            f"{member.filename!r} would have {member.file_size // 2**20} MiB unpacked; "
            f"at most {limits.MEMBER_BYTES // 2**20} MiB are read.",
            value=member.file_size,
        )
    ratio = member.file_size / max(1, member.compress_size)
    if member.file_size > limits.RATIO_FROM and ratio > limits.RATIO:
        raise reject(
            f"{member.filename!r} grows {ratio:.0f}-fold when unpacked; that is no picture.",
            value=ratio,
        )


def check_name(name: str) -> None:
    """Check a member's name.

    Raises:
        FileRejected: It is absolute, leaves the container, or holds a backslash, a drive or NUL.
    """
    path = PurePosixPath(name)
    strange = "\\" in name or "\0" in name or name[1:2] == ":"
    if not name or len(name) > 1000 or strange or path.is_absolute() or ".." in path.parts:
        raise reject(
            f"The container holds the forbidden file name {name[:100]!r}.", value=name[:100]
        )


def parse_xml(data: bytes) -> Element:
    """The root of an XML file without entities.

    Raises:
        FileRejected: It is too large, broken, or declares entities.
    """
    if len(data) > limits.XML_BYTES:
        raise reject(f"The layer list has {len(data)} bytes; that is too much.", value=len(data))
    try:
        return defusedxml.ElementTree.fromstring(data)
    except DefusedXmlException as error:
        raise reject(f"The layer list uses XML entities ({type(error).__name__}).") from None
    except (ParseError, ValueError, LookupError) as error:
        raise reject(f"The layer list is no whole XML file ({error}).") from None


def number(element: Element, name: str, default: float) -> float:
    """An attribute as a number.

    Raises:
        FileRejected: It is there but is no finite number.
    """
    text = element.get(name)
    if text is None or text == "":
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 2**31:
        raise reject(f"{name} of a layer is {text[:50]!r}, which is no number.", value=text[:50])
    return value
