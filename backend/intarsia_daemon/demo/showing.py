"""One example of the demo: run it, keep what was seen on the way, write its pictures."""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from intarsia_client import catalog
from intarsia_client.client import Client
from intarsia_client.errors import IntarsiaError
from intarsia_client.schema import Folder, Progress, Result
from intarsia_daemon.cli.outputs import write_frames, write_output
from intarsia_daemon.cli.run import Request, build_request, submit
from intarsia_daemon.cli.sources import Source, SourceReader
from intarsia_daemon.cli.terminal import ProgressLines
from intarsia_daemon.demo.example import Example
from intarsia_daemon.demo.page import Chapter, Figure
from intarsia_daemon.documents import pictures
from intarsia_daemon.documents.compositing import render
from intarsia_daemon.documents.document import Layer

SAMPLES = 6
"""Previews of a training that the page shows."""


class Showing:
    """Runs an example and fills its chapter."""

    def __init__(self, out: Path, example: Example) -> None:
        self.out = out
        self.example = example
        self.chapter = Chapter(example.title, example.text, _command(example))
        self.device = ""
        self._previews: list[tuple[str, Image.Image]] = []

    def run(self, client: Client) -> Chapter:
        """Run it; a failure is on the chapter instead of raised."""
        example, chapter = self.example, self.chapter
        inputs = [f"{name}={self.out / file}" for name, file in example.inputs.items()]
        settings = [f"{name}={value}" for name, value in self._settings().items()]
        try:
            request = build_request(example.operation, {}, inputs, [], settings, None)
            sources = SourceReader().read_all(request.operation, request.wishes)
            self._write_before(sources)
            result = self._wait(client, request, sources)
            output = self.out / f"{example.name}{example.ending}"
            written = write_output(
                output, request.operation, sources, result, layers_only=example.alone
            )
            if example.separately:
                self._show_layers(request, sources, result)
            else:
                self._show(output)
            self._show_frames(request, sources, result)
            chapter.notes += [*result.notes, *written.notes]
        except IntarsiaError as error:
            chapter.error = str(error)
        return chapter

    def _settings(self) -> dict[str, str]:
        """The settings, with folders beside the page instead of in the present one."""
        declared = catalog.operations()[self.example.operation]
        return {
            name: str((self.out / value).resolve())
            if isinstance(declared.parameter(name), Folder)
            else value
            for name, value in self.example.settings.items()
        }

    def _wait(self, client: Client, request: Request, sources: list[Source]) -> Result:
        started = time.monotonic()
        with ProgressLines(request.operation.title) as lines:

            def seen(progress: Progress) -> None:
                lines.update(progress)
                if progress.preview is not None:
                    self._keep(progress)

            result = submit(client, request, sources).wait(on_progress=seen)
        self.chapter.seconds = {**result.seconds, "altogether": time.monotonic() - started}
        self._write_samples()
        self.device = str(result.recipe.get("device", ""))
        return result

    def _keep(self, progress: Progress) -> None:
        preview = progress.preview
        assert preview is not None
        array = np.frombuffer(preview.data, np.uint8)
        image = Image.fromarray(array.reshape(preview.height, preview.width, -1)).convert("RGB")
        self._previews.append((f"{progress.stage}, {progress.fraction:.0%}", image))

    def _write_samples(self) -> None:
        count = len(self._previews)
        chosen = sorted(
            {round(i * (count - 1) / (SAMPLES - 1)) for i in range(SAMPLES)} if count else ()
        )
        for number, index in enumerate(chosen, 1):
            text, image = self._previews[index]
            file = f"{self.example.name}_sample_{number}.png"
            image.save(self.out / file)
            self.chapter.samples.append(Figure(file, text))

    def _show_frames(self, request: Request, sources: list[Source], result: Result) -> None:
        """The amounts that were made beside the one asked for."""
        if not result.frames:
            return
        files = write_frames(self.out, self.example.name, request.operation, sources, result)
        self.chapter.samples += [Figure(file.name, file.stem.rsplit("-", 1)[-1]) for file in files]

    def _write_before(self, sources: list[Source]) -> None:
        if not (sources and self.example.before):
            return
        base = sources[0]
        declared = catalog.operations()[self.example.operation]
        asides = [s for s in sources if declared.input(s.wish.input).role == "reference"]
        shown = [("before", self.example.before, [s for s in sources if s not in asides])]
        if self.example.reference:
            shown.append(("reference", self.example.reference, asides))
        for ending, caption, seen in shown:
            layers = [Layer(s.name, s.x, s.y, s.array) for s in reversed(seen)]
            size = (base.document.width, base.document.height)
            file = f"{self.example.name}_{ending}.png"
            (self.out / file).write_bytes(
                pictures.encode_png(render(layers, 0, 0, *size), base.icc, {})
            )
            self.chapter.pictures.append(Figure(file, caption))

    def _show_layers(self, request: Request, sources: list[Source], result: Result) -> None:
        """The picture with each of the result's layers alone."""
        for number, layer in enumerate(result.layers, 1):
            path = self.out / f"{self.example.name}_{number}.png"
            one = replace(result, layers=(layer,), frames=())
            write_output(path, request.operation, sources, one)
            self.chapter.pictures.append(Figure(path.name, layer.name))

    def _show(self, output: Path) -> None:
        file, caption = output.name, self.example.after or self.example.title
        if output.suffix == ".ora":
            from intarsia_daemon.documents.compositing import flatten
            from intarsia_daemon.documents.reading import read_document

            file, caption = f"{output.stem}_flat.png", f"{caption} ({output.name}, flattened)"
            document = read_document(output)
            (self.out / file).write_bytes(pictures.encode_png(flatten(document), document.icc, {}))
        self.chapter.pictures.append(Figure(file, caption))


def _command(example: Example) -> str:
    words = ["intarsia", "run", example.operation]
    for name, file in example.inputs.items():
        words += ["--input", f"{name}={file}"]
    for name, value in example.settings.items():
        # what the demo wrote is never overwritten, so another folder is named
        words += ["--set", f"{name}={'again_' * (name == 'results')}{value}"]
    return shlex.join([*words, "--out", f"again_{example.name}{example.ending}"])
