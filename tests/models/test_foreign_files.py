"""Other projects' model files: read whole, and nothing of a hostile one runs."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import random
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.support import reference_data
from torch import nn

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import open_foreign

REFERENCE = reference_data()
NEEDS_REFERENCE = pytest.mark.skipif(REFERENCE is None, reason="no reference folder here")
LAYOUTS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


class RunsACommand:
    """Pickles to a call of os.system that would leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"echo ran > {self.mark}",)


def save(value: Any, path: Path, zipped: bool = True) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def tensors_of_every_type() -> dict[str, torch.Tensor]:
    base = torch.arange(24.0)
    named = {
        "plain": torch.randn(2, 3),
        "half": torch.randn(5).half(),
        "bfloat": torch.randn(5).bfloat16(),
        "double": torch.randn(2).double(),
        "long": torch.tensor([1, -2, 1 << 40]),
        "byte": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 4),
        "transposed": torch.randn(3, 4).t(),
        "view": base[4:12].view(2, 4),
        "other_view": base[8:],
        "channels_last": torch.randn(1, 3, 4, 4).to(memory_format=torch.channels_last),
    }
    return named | {"parameter": nn.Parameter(torch.randn(2))}


@LAYOUTS
def test_tensors_of_every_type_are_read_as_torch_reads_them(tmp_path: Path, zipped: bool) -> None:
    saved = tensors_of_every_type()
    path = save(saved, tmp_path / "weights.pth", zipped)
    file = open_foreign(path)
    expected = torch.load(path, weights_only=True)
    assert file.kind == "torch"
    assert file.tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(file.tensors[name], tensor), name
        assert file.tensors[name].dtype == tensor.dtype, name


@NEEDS_REFERENCE
def test_every_public_torch_file_is_read_as_torch_reads_it() -> None:
    assert REFERENCE is not None
    compared = 0
    for pattern in ("*.pth", "*.pt", "*.model", "*.bin"):
        for path in sorted((REFERENCE / "golden").rglob(pattern)):
            try:
                expected = torch.load(path, weights_only=True, map_location="cpu")
            except pickle.UnpicklingError:
                continue  # holds other objects, which this reader takes and torch does not
            tensors = open_foreign(path).tensors
            for name, tensor in flat(expected).items():
                assert torch.equal(tensors.pop(name), tensor), f"{path}: {name}"
                compared += 1
            assert not tensors, f"{path}: {list(tensors)[:3]}"
    assert compared > 1000


def flat(value: Any, name: str = "") -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {name: value}
    pairs = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list | tuple):
        pairs = enumerate(value)
    found: dict[str, torch.Tensor] = {}
    for key, part in pairs:
        found |= flat(part, f"{name}.{key}" if name else str(key))
    return found


@LAYOUTS
def test_harmless_objects_beside_the_weights_become_plain_data(
    tmp_path: Path, zipped: bool
) -> None:
    value = {
        "g_ema": {"weight": torch.ones(2)},
        "args": argparse.Namespace(size=256, lr=0.002),
        "config": {"activation": nn.ReLU(inplace=True), "loss": nn.functional.relu},
        "order": OrderedDict(a=1),
        "epoch": 7,
        "array": np.arange(6.0, dtype=np.float32).reshape(2, 3),
        "best": np.float64(0.5),
    }
    path = save(value, tmp_path / "checkpoint.pt", zipped)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    file = open_foreign(path)
    assert set(file.tensors) == {"g_ema.weight", "array"}
    assert torch.equal(file.tensors["array"], torch.arange(6.0).reshape(2, 3))
    assert file.tree["args"] == {"class": "argparse.Namespace", "state": value["args"].__dict__}
    assert file.tree["config"]["activation"]["class"] == "torch.nn.modules.activation.ReLU"
    assert file.tree["config"]["activation"]["state"]["inplace"] is True
    assert file.tree["config"]["loss"] == "torch.nn.functional.relu"
    assert (file.tree["epoch"], file.tree["best"], file.tree["order"]) == (7, 0.5, {"a": 1})
    json.dumps(file.tree)


@LAYOUTS
def test_a_whole_module_gives_the_names_of_its_state_dict(tmp_path: Path, zipped: bool) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch keeps the source of modules in legacy files
        path = save(module, tmp_path / "module.pth", zipped)
    tensors = open_foreign(path).tensors
    expected = module.state_dict()
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


def test_numpy_archives_keep_their_names_and_leave_python_objects_alone(tmp_path: Path) -> None:
    path = tmp_path / "generator.npz"
    mark = tmp_path / "mark"
    arrays: dict[str, Any] = {
        "block2/c1/W": np.array([[1, 2]], np.float32),
        "N": np.array(3),
        "big": np.arange(3, dtype=">f8"),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "meta": np.array("text"),
        "unset": np.array(RunsACommand(mark), dtype=object),
    }
    np.savez_compressed(path, allow_pickle=True, **arrays)
    file = open_foreign(path)
    assert file.kind == "npz"
    assert set(file.tensors) == {"block2/c1/W", "N", "big", "fortran"}
    assert file.tensors["big"].tolist() == [0, 1, 2]
    assert file.tensors["fortran"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (file.tree["meta"], file.tree["skipped"]) == ("text", ["unset"])
    assert not mark.exists()


def test_a_folder_gives_its_configuration_and_its_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"z_dim": 128}')
    with pytest.raises(UnreadableModel, match=r"needs config\.json and one of"):
        open_foreign(tmp_path)
    save({"a": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    file = open_foreign(tmp_path)
    assert (file.kind, file.tree, set(file.tensors)) == ("folder", {"z_dim": 128}, {"a"})
    save_file({"b": torch.ones(1)}, tmp_path / "model.safetensors")
    assert set(open_foreign(tmp_path).tensors) == {"b"}
    assert open_foreign(tmp_path / "model.safetensors").kind == "safetensors"


# --- files that would do something


def test_the_hostile_pickle_would_leave_its_mark_if_it_ran(tmp_path: Path) -> None:
    """Without this, the next tests could not fail."""
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(RunsACommand(mark)))
    assert mark.exists()


@pytest.mark.parametrize("layout", ["zip", "legacy", "pickle", "nested", "protocol 0"])
def test_a_file_that_asks_to_run_a_command_is_refused_and_runs_nothing(
    tmp_path: Path, layout: str
) -> None:
    mark, path = tmp_path / "mark", tmp_path / "hostile.pth"
    value = {"weight": torch.ones(2), "more": RunsACommand(mark)}
    if layout in ("zip", "legacy"):
        save(value, path, layout == "zip")
    elif layout == "nested":
        inside = io.BytesIO()
        torch.save(value, inside, _use_new_zipfile_serialization=False)
        path.write_bytes(call("torch.storage", "_load_from_bytes", inside.getvalue()))
    else:
        path.write_bytes(pickle.dumps(value, 0 if layout == "protocol 0" else 4))
    with pytest.raises(UnreadableModel, match=r"hostile\.pth"):
        open_foreign(path)
    assert not mark.exists()


def call(module: str, name: str, *args: Any) -> bytes:
    """A pickle that calls a function, as an attacker writes it."""
    inner = pickle.dumps(args, 4)[2:-1]
    return b"\x80\x04" + f"c{module}\n{name}\n".encode() + inner + b"R."


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("subprocess", "Popen"),
        ("torch.hub", "load"),
        ("torch", "load"),
        ("torch.jit", "load"),
        ("numpy", "load"),
        ("torch.utils.cpp_extension", "load_inline"),
        ("torch_utils.persistence", "_src_to_module"),
    ],
)
def test_every_call_that_is_not_on_the_list_is_refused_by_name(
    tmp_path: Path, module: str, name: str
) -> None:
    path = tmp_path / "hostile.pkl"
    path.write_bytes(call(module, name, "anything"))
    with pytest.raises(UnreadableModel, match=rf"asks to run '{module}\.{name}'"):
        open_foreign(path)


def test_objects_made_without_a_call_are_inert_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "hostile.pkl"
    path.write_bytes(b"\x80\x02csubprocess\nPopen\n(X\x02\x00\x00\x00lst\x81.")
    with pytest.raises(UnreadableModel, match=r"asks to make a 'subprocess\.Popen'"):
        open_foreign(path)
    path.write_bytes(b"\x80\x02(S'ls'\nios\nsystem\n.")
    with pytest.raises(UnreadableModel, match="INST"):
        open_foreign(path)


def test_source_text_in_a_snapshot_is_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    meta = {
        "type": "class",
        "version": 6,
        "module_src": f"open({str(mark)!r}, 'w').write('ran')",
        "class_name": "Generator",
        "state": {
            "_init_kwargs": {"z_dim": 4},
            "_parameters": {},
            "_buffers": {},
            "_modules": {},
        },
    }
    inner = pickle.dumps((meta,), 4)[2:-1]
    function = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
    path = tmp_path / "network.pkl"
    path.write_bytes(b"\x80\x04}X\x05\x00\x00\x00G_ema" + function + inner + b"Rs.")
    file = open_foreign(path)
    assert file.kind == "nvidia-pickle"
    assert file.tree["G_ema"]["init_kwargs"] == {"z_dim": 4}
    assert "ran" not in json.dumps(file.tree)
    assert not mark.exists()


# --- files that ask for too much


def tensor_pickle(offset: int, shape: Any, stride: Any, numbers: int = 4) -> bytes:
    """A pickle of {"w": a tensor} with sizes of one's own, over a storage of four numbers."""
    stored = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # public snapshots hold typed storages
        storage = torch.ones(numbers).storage()
        torch.save(storage, stored, _use_new_zipfile_serialization=False)
    body = b"\x80\x04}X\x01\x00\x00\x00w"
    body += b"ctorch._utils\n_rebuild_tensor_v2\n("
    body += b"ctorch.storage\n_load_from_bytes\n" + pickle.dumps((stored.getvalue(),), 4)[2:-1]
    body += b"R" + b"".join(pickle.dumps(v, 4)[2:-1] for v in (offset, shape, stride, False))
    return body + b"}tRs."


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (1 << 40,), (1,)),
        (0, (1 << 20, 1 << 20), (0, 0)),
        (0, (5,), (1,)),
        (3, (2,), (1,)),
        (0, (2, 2), (4, 1)),
        (-1, (1,), (1,)),
        (0, (-1,), (1,)),
        (0, (2,), (-1,)),
        (0, (2, 2), (1,)),
        (0, (1,) * 40, (1,) * 40),
        (0, (1 << 200,), (1,)),
        (0, "ab", (1, 1)),
    ],
)
def test_a_tensor_outside_its_bytes_is_refused(
    tmp_path: Path, offset: int, shape: Any, stride: Any
) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(tensor_pickle(offset, shape, stride))
    with pytest.raises(UnreadableModel, match=r"damaged or cut off|refused"):
        open_foreign(path)
    path.write_bytes(tensor_pickle(1, (3,), (1,)))
    with pytest.raises(UnreadableModel, match="no network snapshot"):  # whole, but no network
        open_foreign(path)


def sharing_many_times(depth: int) -> bytes:
    """Each list holds the one before ten times: small on disk, endless when walked."""
    body = b"\x80\x02]q\x00"
    for level in range(depth):
        body += b"](" + b"h" + bytes([level]) + (b"h" + bytes([level])) * 9 + b"e"
        body += b"q" + bytes([level + 1])
    return body + b"."


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
        b"\x80\x02" + b")" + b"\x85" * 200_000 + b".",
        b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"K\x01s.",
        b"\x80\x02ccollections\nOrderedDict\n" + b"]" * 1000 + b"a" * 999 + b"\x85R.",
        sharing_many_times(100),
        b"\x80\x02]q\x00(X\x01\x00\x00\x00ae0" + b"h\x00h\x00a" * 3 + b".",
        b"\x80\x02X\x00\x00\x10\x00" + b"a" * (1 << 20) + b"q\x000"
        + b"]" + b"(c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86Re" * 5000 + b".",
        b"\x80\x02Nr\xff\xff\xff\xff.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02L" + b"9" * 100_000 + b"L\n.",
        b"\x80\x02h\x05.",
        b"\x80\x020.",
        b"\x80\x02(t",
        b"\x80\x02X\xff\xff\xff\x7fabc.",
        b"\x80\x02(.",
        b"\x80\x02]K\x01b.",
        b"\x80\x02K\x01X\x01\x00\x00\x00aQ.",
    ],
    ids=range(17),
)  # fmt: skip
def test_a_pickle_that_nests_repeats_or_claims_without_end_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "bomb.pkl"
    path.write_bytes(content)
    with pytest.raises(UnreadableModel, match=r"bomb\.pkl"):
        open_foreign(path)


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    for member in ("weights.npy", "archive/data.pkl"):
        path = tmp_path / "bomb.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, bytes(80 << 20))
        with pytest.raises(UnreadableModel, match="would unpack"):
            open_foreign(path)


def test_an_array_that_claims_more_than_its_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }"
    header = header.ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
        archive.writestr("W.npy", start + header + bytes(16))
    with pytest.raises(UnreadableModel, match="another size than it states"):
        open_foreign(path)


# --- files that are something else, or not whole


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x89HDF\r\n\x1a\n" + bytes(80), "HDF5"),
        (b"just some text" * 10, "no kind of model file"),
        (b"PK\x03\x04" + bytes(100), "damaged or cut off"),
        (bytes([200]) + bytes(7) + b"{" + bytes(300), "damaged or cut off"),
    ],
)
def test_files_of_another_kind_are_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(UnreadableModel, match=sentence):
        open_foreign(path)


def test_a_missing_file_and_a_program_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableModel, match="does not exist"):
        open_foreign(tmp_path / "none.pth")
    path = tmp_path / "program.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/a.py"):
            archive.writestr(f"program/{name}", b"\x80\x02}.")
    with pytest.raises(UnreadableModel, match="TorchScript program"):
        open_foreign(path)


Writer = Callable[[Path], Path]


def _npz(path: Path) -> Path:
    np.savez(path, a=np.arange(500.0), b=np.ones((3, 4), np.float32))
    return path


def _safetensors(path: Path) -> Path:
    save_file({"a": torch.randn(500)}, path)
    return path


WRITERS: dict[str, Writer] = {
    "zip": lambda path: save(tensors_of_every_type(), path),
    "legacy": lambda path: save(tensors_of_every_type(), path, zipped=False),
    "npz": lambda path: _npz(path.with_suffix(".npz")),
    "safetensors": _safetensors,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](tmp_path / "weights.pth")
    whole = path.read_bytes()
    for part in range(1, 40):
        path.write_bytes(whole[: len(whole) * part // 40])
        with pytest.raises(UnreadableModel, match=path.name):
            open_foreign(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_changed_bytes_give_a_sentence_or_a_file_never_another_error(
    tmp_path: Path, kind: str
) -> None:
    path = WRITERS[kind](tmp_path / "weights.pth")
    whole, source = path.read_bytes(), random.Random(4)
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(source.choice((1, 3, 20))):
            changed[source.randrange(len(changed))] = source.randrange(256)
        path.write_bytes(changed)
        try:
            open_foreign(path)
        except UnreadableModel as error:
            assert len(str(error)) > 20


@NEEDS_REFERENCE
def test_a_changed_or_cut_snapshot_gives_a_sentence_or_a_file(tmp_path: Path) -> None:
    assert REFERENCE is not None
    folder = REFERENCE / "golden/03a_stylegan2_ada_pytorch/cond_auto_fp16"
    whole, source = (folder / "network-snapshot-000100.pkl").read_bytes(), random.Random(5)
    path = tmp_path / "network.pkl"
    for _ in range(10):
        path.write_bytes(whole[: source.randrange(1, len(whole) - 1)])
        with pytest.raises(UnreadableModel):
            open_foreign(path)
    for _ in range(15):
        changed = bytearray(whole)
        for _ in range(20):
            changed[source.randrange(len(changed))] = source.randrange(256)
        path.write_bytes(changed)
        try:
            open_foreign(path)
        except UnreadableModel as error:
            assert len(str(error)) > 20
