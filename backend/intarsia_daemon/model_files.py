"""Which files make up a foreign model: the generator's, and its companions', found by their names.

Looks at names only; `intarsia_daemon.model_families` reads them in a process of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from intarsia_client.errors import InvalidRequest

SUFFIXES = (".npz", ".pth", ".pt", ".pkl", ".model", ".safetensors")
_CONFIG = "config.json"
_CHAINER = {
    "": re.compile(r"ResNetGenerator(?P<rest>.*)\.npz"),
    "discriminator": re.compile(r"SNResNetProjectionDiscriminator(?P<rest>.*)\.npz"),
    "encoder": re.compile(r"ResNetEncoder(?P<rest>.*)\.npz"),
    "auxiliary": re.compile(r"ResNetAuxABGenerator(?P<rest>.*)\.npz"),
}
"""Snapshots of SNGAN-projection and Neural Collage: the rest is the iteration."""
_CRITIC = re.compile(r"D(?!_optim)(?P<rest>.*)\.pth")
_AJBROCK = (
    {"": re.compile(r"G_ema(?P<rest>.*)\.pth"), "discriminator": _CRITIC},
    {"": re.compile(r"G(?!_optim)(?P<rest>.*)\.pth"), "discriminator": _CRITIC},
)
"""Snapshots of BigGAN-PyTorch; the averaged weights are the better ones."""
_ENCODER = re.compile(
    r"(?P<kind>[ps])gan_encoders?(_(?P<domain>.+?))?_RGB(?P<masked>M?)(_.*)?\.pth"
)
"""Masked encoders of the latent-composition release: regressors of the generator beside them."""
_NVIDIA = {"": re.compile(r"network-snapshot-(?P<rest>\d+)\.pkl")}


@dataclass(frozen=True)
class ModelFiles:
    """A foreign model on disk."""

    main: Path
    """The generator's file, or a folder where that is the format."""
    companions: Mapping[str, Path] = field(default_factory=dict)
    """Files by role, of `intarsia_models.generators.families.ROLES`."""


def find_files(path: Path, companions: Mapping[str, Path]) -> ModelFiles:
    """The files of the model that is named by a file or a folder.

    A folder with one set of snapshots of a known code gives all of them; of several snapshots the
    last one is taken. A masked encoder beside it (``pgan_encoders_…``) is its regressor.

    Args:
        path: The generator's file, or a folder with it.
        companions: Files given by role; they count before those found.

    Raises:
        InvalidRequest: A file is missing, or the folder holds none or several models.
    """
    for role, place in companions.items():
        if not place.is_file():
            raise InvalidRequest(
                f"The {role} {place} is not a file.",
                value=str(place),
                remedy="Name the file that holds it.",
            )
    if not path.exists():
        raise InvalidRequest(
            f"{path} does not exist.", value=str(path), remedy="Name a file or a folder."
        )
    found = _in_folder(path, companions) if path.is_dir() else ModelFiles(path)
    return replace(found, companions={**found.companions, **companions})


def holds_files(path: Path) -> bool:
    """Whether there is anything at this place that may be a model's file."""
    return path.is_file() or bool(_files(path, (*SUFFIXES, ".bin")))


def _in_folder(folder: Path, given: Mapping[str, Path]) -> ModelFiles:
    if (folder / _CONFIG).is_file() and any(_files(folder, (".bin", ".safetensors"))):
        return ModelFiles(folder)
    found = _generator_in(folder)
    if found.main.is_dir() or "regressor" in given:
        return found
    regressor = _regressor_in(folder, found.main)
    beside = {} if regressor is None else {"regressor": regressor}
    return replace(found, companions={**found.companions, **beside})


def _generator_in(folder: Path) -> ModelFiles:
    for patterns in (_CHAINER, *_AJBROCK, _NVIDIA):
        found = _snapshot(folder, patterns)
        if found is not None:
            return found
    files = [path for path in _files(folder, SUFFIXES) if not _ENCODER.fullmatch(path.name)]
    if len(files) == 1:
        return ModelFiles(files[0])
    names = ", ".join(file.name for file in files[:10])
    raise InvalidRequest(
        f"{folder} holds several models." if files else f"{folder} holds no model that is known.",
        value=str(folder),
        remedy=f"Name one of its files: {names}."
        if files
        else f"Name a folder or a file of a model ({', '.join(SUFFIXES)}).",
        code="FILE_REJECTED",
    )


def _regressor_in(folder: Path, main: Path) -> Path | None:
    """The masked encoder for a generator's file: of its domain, and one that sees what is known.

    Raises:
        InvalidRequest: Several would do.
    """
    found = {path: _ENCODER.fullmatch(path.name) for path in _files(folder, SUFFIXES)}
    matches = {path: match for path, match in found.items() if match}
    name = main.name.lower()
    kind = "s" if name.startswith("sgan") or "style" in name else "p"
    chosen = list(matches)
    for fits in (
        lambda match: match["kind"] == kind,
        lambda match: (match["domain"] or "-").lower() in name,
        lambda match: match["masked"],
    ):
        chosen = [path for path in chosen if fits(matches[path])] or chosen
    if len(chosen) > 1:
        names = ", ".join(path.name for path in chosen[:10])
        raise InvalidRequest(
            f"{folder} holds several masked encoders.",
            value=str(folder),
            remedy=f"Name one with --regressor: {names}.",
            code="FILE_REJECTED",
        )
    return chosen[0] if chosen else None


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in suffixes)


def _snapshot(folder: Path, patterns: Mapping[str, re.Pattern[str]]) -> ModelFiles | None:
    """The last snapshot whose names these are, with the companions of the same snapshot."""
    found: dict[str, dict[str, Path]] = {role: {} for role in patterns}
    for file in _files(folder, SUFFIXES):
        for role, pattern in patterns.items():
            match = pattern.fullmatch(file.name)
            if match:
                found[role][match["rest"]] = file
    generators = found.pop("")
    if not generators:
        return None
    last = max(generators, key=_number)
    companions = {
        role: places[last] if last in places else places[max(places, key=_number)]
        for role, places in found.items()
        if places
    }
    return ModelFiles(generators[last], companions)


def _number(rest: str) -> tuple[int, str]:
    digits = re.findall(r"\d+", rest)
    return (int(digits[-1]) if digits else -1, rest)
