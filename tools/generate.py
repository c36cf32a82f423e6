"""Write what follows from declarations and shipped models: catalog.json, packs.json and
docs/operations.md.

``python tools/generate.py`` writes them, ``--check`` only looks and fails if one is stale.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from intarsia_client.schema import (
    Choice,
    ClassBinding,
    Folder,
    Input,
    Operation,
    Parameter,
    Toggle,
)
from intarsia_daemon.cli.operations import allowed, written
from intarsia_daemon.cli.train import TRAINING
from intarsia_daemon.model_store import ModelStore
from intarsia_daemon.operation import known_operations
from intarsia_daemon.packs import packs_folder

ROOT = Path(__file__).resolve().parent.parent
CATALOG = Path("backend/intarsia_client/catalog.json")
PACKS = Path("backend/intarsia_client/packs.json")
PAGE = Path("docs/operations.md")

_HEAD = """\
<!-- Generated from the declarations in backend/intarsia_daemon/operations by "make docs". -->

# Operations

What can be done to a picture, the same from Krita, from GIMP, from the command line and in batches.
Every result is one or more new layers. `intarsia operations NAME` prints the same in a terminal.
"""
_ROLES = {
    "picture": "what is edited",
    "area": "where: a selection or a mask",
    "element": "what was pasted, with its transparency",
    "reference": "another picture to take something from",
    "templates": "several pictures: a group's layers, files or a folder, back to front",
}


_NONE = "empty"


def catalog(operations: Sequence[Operation]) -> str:
    """catalog.json: what clients read when no engine runs."""
    data = {"operations": [operation.to_dict() for operation in operations]}
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


_ANCHOR = {ord(" "): "-", ord("("): None, ord(")"): None, ord(","): None}


def packs(folder: Path) -> str:
    """packs.json: the models that ship; every byte of them is checked on the way.

    Raises:
        IntarsiaError: One is damaged.
    """
    store = ModelStore(folder / "none", packs=folder)
    found = []
    for entry in store.list():
        store.verify(entry["id"])
        fields = ("id", "title", "family", "task", "resolution", "num_classes", "capabilities")
        pack = {name: entry[name] for name in fields}
        found.append({**pack, "labels": store.labels(entry["id"])})
    return json.dumps({"packs": found}, indent=1, ensure_ascii=False) + "\n"


def page(operations: Sequence[Operation]) -> str:
    """docs/operations.md."""
    return "\n".join([_HEAD, _contents(operations), *(_section(item) for item in operations)])


def _contents(operations: Sequence[Operation]) -> str:
    """A line of links per group."""
    lines = []
    for group in dict.fromkeys(operation.group for operation in operations):
        links = [f"[{item.title}](#{_anchor(item)})" for item in operations if item.group == group]
        lines.append(f"- {group or 'Others'}: {', '.join(links)}")
    return "\n".join([*lines, ""])


def _anchor(operation: Operation) -> str:
    """Of the section's heading, as Markdown viewers make it."""
    return f"{operation.title} ({operation.id})".lower().translate(_ANCHOR)


def _section(operation: Operation) -> str:
    lines = [f"## {operation.title} (`{operation.id}`)", "", operation.summary]
    if operation.trains:
        lines += [
            "",
            "It may work long: that is said beforehand, can be paused, and goes on after a "
            "restart.",
        ]
    if operation.live:
        lines += [
            "",
            "An editor can show it live: a preview that follows what is moved or painted.",
        ]
    lines += ["", "| input | | what |", "|---|---|---|"]
    for item in operation.inputs:
        optional = "" if item.required else ", optional"
        several = ", several" if item.several else ""
        lines.append(
            f"| `{item.name}`{optional}{several} | {_ROLES[item.role]} | {_cell(item.help)} |"
        )
    lines += ["", "| parameter | values | default | what |", "|---|---|---|---|"]
    for parameter in operation.parameters:
        lines.append(
            f"| `{parameter.name}` | {_values(parameter)} | {written(parameter.default) or _NONE} "
            f"| **{parameter.label}.** {_cell(_help(parameter))} |"
        )
    lines += ["", "```", *_examples(operation), "```", ""]
    return "\n".join(lines)


def _examples(operation: Operation) -> list[str]:
    """How it is called; an operation that names several areas is shown with two."""
    words = ["intarsia run", operation.id]
    words += [f"--input {i.name}={_example(i)}" for i in operation.inputs if i.required]
    folders = [p for p in operation.parameters if isinstance(p, Folder) and p.required]
    if operation.id.startswith(TRAINING):
        words = ["intarsia train", operation.id[len(TRAINING) :].replace("_", "-")]
        return [" ".join([*words, *(["--data FOLDER"] if folders else [])])]
    words += [f"--set {folder.name}=FOLDER" for folder in folders]
    examples = [" ".join([*words, "--out result.png"])]
    for binding in (p for p in operation.parameters if isinstance(p, ClassBinding)):
        named = [f"--input {binding.input}:{name}={name}.png" for name in ("blue", "green")]
        chosen = f'--set {binding.name}="blue=CLASS, green=CLASS"'
        examples.append(" ".join([*words, *named, chosen, "--out result.png"]))
    return examples


def _example(item: Input) -> str:
    return "collage.ora#Pieces" if item.role == "templates" else f"{item.name}.png"


def _values(parameter: Parameter) -> str:
    if isinstance(parameter, Choice):
        return ", ".join(f"`{value}`" for value in parameter.values())
    if isinstance(parameter, Toggle):
        return "`true`, `false`"
    return allowed(parameter)


def _help(parameter: Parameter) -> str:
    text = parameter.help
    if isinstance(parameter, Choice):
        told = [f"`{o.value}`: {o.help}" for o in parameter.options if o.help]
        text = " ".join([text, *told])
    if not parameter.recompute:
        text += " Changing it is quick."
    if parameter.only_with:
        name, _, values = parameter.only_with.partition("=")
        text += f" Only where `{name}` is {' or '.join(f'`{v}`' for v in values.split(','))}."
    return text


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the files; 1 when ``--check`` finds a stale one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only look")
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree to write to")
    parser.add_argument("--packs", type=Path, default=packs_folder(), help="the models that ship")
    options = parser.parse_args(arguments)
    operations = [registered.declaration for registered in known_operations().values()]
    stale = []
    for path, text in (
        (CATALOG, catalog(operations)),
        (PACKS, packs(options.packs)),
        (PAGE, page(operations)),
    ):
        target = options.root / path
        if target.is_file() and target.read_text("utf-8") == text:
            continue
        stale.append(str(path))
        if not options.check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
            print(f"wrote {path}")
    if options.check and stale:
        print(
            f'{" and ".join(stale)} do not fit what they are made from: run "make docs".',
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
