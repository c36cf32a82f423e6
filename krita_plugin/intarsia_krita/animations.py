"""Pictures of an animation as one animated layer.

A plug-in cannot add a key frame to a layer, and Krita's own import of pictures as an animation was
seen to crash (5.2.9). But a document that was opened can be filled at any time of it: so a small
document with empty key frames is saved, opened where nobody sees it, filled, and its layer taken.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from typing import Any, Sequence

from krita import InfoObject, Krita

from intarsia_client.schema import ResultLayer
from intarsia_krita.layer_tree import descendants
from intarsia_krita.wire_pixels import color_space, from_wire

MOST_FPS = 60
_HOLDS = range(1, 13)
_EXACT = 0.01
"""Share by which a picture may show longer or shorter than it should."""
_KEYFRAMES = ".keyframes.xml"


def is_animated(document: Any) -> bool:
    """Whether a layer of the document is animated already."""
    return any(node.animated() for node in descendants(document.rootNode()))


def frames_per_second(durations_ms: Sequence[float]) -> int:
    """The fewest frames per second at which pictures show as long as they should, or nearly."""
    shortest = min(durations_ms)
    rates = [1000 * hold / shortest for hold in _HOLDS]
    whole = [rate for rate in rates if abs(round(rate) - rate) <= _EXACT * rate and rate >= 1]
    wanted = min(whole, default=rates[0])
    return max(1, min(MOST_FPS, round(wanted)))


def key_times(durations_ms: Sequence[float], fps: int) -> list[int]:
    """The frame at which each picture begins, and behind them the frame that follows the last."""
    times, end_ms = [0], 0.0
    for duration_ms in durations_ms:
        end_ms += duration_ms
        times.append(max(times[-1] + 1, round(end_ms * fps / 1000)))
    return times


def settle(document: Any, durations_ms: Sequence[float]) -> list[int]:
    """Make a document play pictures of these durations; one that moves already keeps its pace.

    Returns:
        As `key_times`.
    """
    fps = document.framesPerSecond()
    moves = is_animated(document)
    if not moves:
        fps = frames_per_second(durations_ms)
        document.setFramesPerSecond(fps)
    times = key_times(durations_ms, fps)
    last = times[-1] - 1
    if not moves or last > document.fullClipRangeEndTime():
        document.setFullClipRangeStartTime(0)
        document.setFullClipRangeEndTime(last)
        document.setPlayBackRange(0, last)
    return times


def animated_layer(
    document: Any, name: str, pictures: Sequence[ResultLayer], times: Sequence[int]
) -> Any:
    """A layer with a key frame for each picture, not yet in any document.

    Args:
        document: For which; gives size and colours.
        name: Of the layer.
        pictures: The first one first.
        times: The frame at which each one begins.

    Returns:
        The layer; None where this Krita does not write or read such a document.

    Raises:
        InvalidRequest: The pixels cannot become a layer of this document.
    """
    with tempfile.TemporaryDirectory(prefix="intarsia-") as folder:
        empty = os.path.join(folder, "empty.kra")
        framed = os.path.join(folder, "frames.kra")
        if not _save_empty(document, empty):
            return None
        if not _add_key_frames(empty, framed, times[: len(pictures)]):
            return None
        scratch = Krita.instance().openDocument(framed)
    if scratch is None:
        return None
    try:
        node = next((node for node in scratch.topLevelNodes() if node.animated()), None)
        if node is None:
            return None
        node.setVisible(False)  # nothing of it need be composed
        for picture, time in zip(pictures, times):
            scratch.setCurrentTime(time)
            scratch.waitForDone()
            place = picture.x, picture.y, picture.width, picture.height
            node.setPixelData(from_wire(document, picture, color_space(node)), *place)
        scratch.setCurrentTime(0)
        scratch.waitForDone()
        node.setVisible(True)
        node.setName(name)
        return node.duplicate()
    finally:
        scratch.setModified(False)
        scratch.close()


def _save_empty(document: Any, path: str) -> bool:
    """Write a document of the same size and colours with one empty animated layer."""
    space, size = color_space(document), (document.width(), document.height())
    scratch = Krita.instance().createDocument(*size, "Frames", *space, 72.0)
    try:
        scratch.setBatchmode(True)
        for node in scratch.topLevelNodes():
            node.remove()
        node = scratch.createNode("Frames", "paintlayer")
        scratch.rootNode().addChildNode(node, None)
        node.enableAnimation()
        return bool(scratch.exportImage(path, InfoObject()))
    finally:
        scratch.setModified(False)
        scratch.close()


def _add_key_frames(path: str, framed: str, times: Sequence[int]) -> bool:
    """Write the file again with empty key frames at these times; False if it is not as expected.

    In a .kra file a layer's frames are files beside it, and one small XML file says when they show.
    """
    with zipfile.ZipFile(path) as file:
        entries = {entry.filename: file.read(entry) for entry in file.infolist()}
    found = [name for name in entries if name.endswith(_KEYFRAMES)]
    if len(found) != 1:
        return False
    layer = found[0][: -len(_KEYFRAMES)]
    file_name = layer.rsplit("/", 1)[-1]
    rows = []
    for number, time in enumerate(times):
        frame = f".f{number}"
        rows.append(
            f'<keyframe time="{time}" color-label="0" frame="{file_name}{frame}">'
            '<offset type="point" x="0" y="0"/></keyframe>'
        )
        for suffix in ("", ".defaultpixel"):
            entries[layer + frame + suffix] = entries[layer + suffix]
    channel = '<channel name="content">{}</channel>'.format("".join(rows))
    text = entries[found[0]].decode("utf-8")
    start = text.index("<keyframes")
    opening = text[start : text.index(">", start)].rstrip("/")
    entries[found[0]] = f"{text[:start]}{opening}>{channel}</keyframes>\n".encode()
    with zipfile.ZipFile(framed, "w") as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return True
