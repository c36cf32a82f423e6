"""How long a cancel takes: from the request to the event that the training has stopped.

    python benchmarks/cancelling.py --times 10
    python benchmarks/cancelling.py --quality normal

A real engine in a temporary home trains on a picture of the demo; the training is cancelled at
random moments.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path

from intarsia_client.client import Client
from intarsia_client.endpoint import write_engine_file
from intarsia_client.errors import JobCancelled
from intarsia_client.schema import Progress
from intarsia_daemon.cli.run import build_request, submit
from intarsia_daemon.cli.sources import SourceReader


def cancel_once(client: Client, quality: str, wait_s: float) -> float:
    """Seconds from the cancel to its event, ``wait_s`` after the training began to move."""
    moving: list[float] = []
    asked: list[float] = []

    def seen(progress: Progress) -> None:
        if progress.stage.startswith("Training") and progress.step > 0 and not moving:
            moving.append(time.perf_counter())

    def due() -> bool:
        now = time.perf_counter()
        if moving and now > moving[0] + wait_s and not asked:
            asked.append(now)
        return bool(asked)

    folder = resources.files("intarsia_daemon.demo") / "pictures"
    with resources.as_file(folder / "portrait_cap.ora") as file:
        inputs = [f"picture={file}#Portrait", f"element={file}#Cap"]
        request = build_request("harmonize", {}, inputs, [], [f"quality={quality}"], None)
        sources = SourceReader().read_all(request.operation, request.wishes)
    try:
        submit(client, request, sources).wait(on_progress=seen, should_cancel=due)
    except JobCancelled:
        return time.perf_counter() - asked[0]
    raise RuntimeError("the training ended before it was cancelled")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--times", type=int, default=8)
    parser.add_argument("--quality", default="draft", choices=("draft", "normal", "fine"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    moments = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["INTARSIA_HOME"] = folder
        write_engine_file([sys.executable, "-m", "intarsia_daemon", "serve"], Path(folder))
        with Client.connect(app="benchmark") as client:
            waits = [moments.uniform(0.5, 4.0) for _ in range(options.times)]
            taken = [cancel_once(client, options.quality, wait) for wait in waits]
            client.shutdown(now=True)
    result = {
        "quality": options.quality,
        "times": len(taken),
        "mean_s": statistics.mean(taken),
        "median_s": statistics.median(taken),
        "longest_s": max(taken),
    }
    if options.json:
        print(json.dumps(result))
        return
    milliseconds = [f"{name[:-2]} {1000 * result[name]:.0f} ms" for name in result if "_s" in name]
    print(f"cancel of a {options.quality} training, {len(taken)} times: {', '.join(milliseconds)}")


if __name__ == "__main__":
    main()
