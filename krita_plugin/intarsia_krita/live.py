"""Live: while the artist paints and moves things, a preview in the panel follows.

A timer looks at the document in small steps; nothing runs while Live is off or the panel hidden.
What Live was switched on for is held: painting on a piece makes that layer the active one, and the
preview stays with the group.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Sequence

from krita import Krita

from intarsia_client.arrangement import face
from intarsia_client.errors import EngineUnreachable, IntarsiaError, InvalidRequest
from intarsia_client.schema import Result
from intarsia_krita.chooser import Chooser
from intarsia_krita.follower import Follower
from intarsia_krita.jobs import Jobs, LiveRequest
from intarsia_krita.layer_tree import find_node, node_id, way_up
from intarsia_krita.panel import Panel
from intarsia_krita.qt import QtCore
from intarsia_krita.session import Session, duration_taken
from intarsia_krita.situation import Situation, document_id
from intarsia_krita.texts import quoted, tr

LOOK_MS = 60
"""Between two looks at the document."""
READ_MS = 10
"""Between two steps of reading."""
QUIET_S = 0.15
"""After a change, before what there is then is sent."""
AWAY_S = 0.8
"""How long another layer may be active: a new layer is, for a moment."""
BUDGET_S = 0.006
"""For one step of reading."""
SHARE = 10
"""Looking takes one in so many parts of the time at most; reading one in three."""


class Live(QtCore.QObject):
    """Keeps the preview of one panel.

    Args:
        panel: Shows it.
        chooser: Knows what a run would read.
        session: Knows which jobs are under way.
        jobs: Talks to the engine.
        redraw: Called after Live went on or off.
    """

    def __init__(
        self,
        panel: Panel,
        chooser: Chooser,
        session: Session,
        jobs: Jobs,
        redraw: Callable[[], None],
    ) -> None:
        super().__init__()
        self._panel, self._chooser, self._session, self._jobs = panel, chooser, session, jobs
        self._redraw = redraw
        self._follower: Follower | None = None
        self._document = self._operation = ""
        self._layers: tuple[str, ...] = ()
        """Ids of the layers that Live is about."""
        self._title = ""
        self._changed_at = self._unsent_since = self._away_since = 0.0
        self._wanted: LiveRequest | None = None
        self._hidden = False
        self.cost_s = 0.0
        """Seconds that the last step took in the window's thread."""
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._step)
        panel.live.switched.connect(self._switch)

    @property
    def is_on(self) -> bool:
        """Whether the preview follows, or would if the panel were shown."""
        return self._follower is not None

    def set_shown(self, shown: bool) -> None:
        """The panel was shown or hidden: nothing runs while nobody sees it."""
        self._hidden = not shown
        if self.is_on and shown:
            self._timer.start(READ_MS)
        elif self.is_on:
            self._timer.stop()
            self._jobs.stop_live()
            self._wanted = None

    def stop(self, why: str = "") -> None:
        """Switch off, and say why if there is a reason."""
        if self.is_on:
            self._timer.stop()
            self._jobs.stop_live()
            self._follower = self._wanted = None
            self._chooser.hold({})
        self._panel.live.show_off(why)
        self._redraw()

    def show(self, request: LiveRequest, result: Result) -> None:
        """A small picture is there."""
        if not self.is_on or request is not self._wanted:
            return
        if result.layers:
            self._panel.live.show_layer(face(result.layers))
        took = result.seconds.get("total") or sum(result.seconds.values())
        line = tr("Follows %s", self._title)
        self._panel.live.show_on(f"{line} · {duration_taken(took)}" if took else line)

    def fail(self, request: LiveRequest, error: Exception) -> None:
        """A small picture could not be made: that of the engine ends Live."""
        if self.is_on and request is self._wanted:
            self.stop(_off(error))

    # --- inside -------------------------------------------------------------------------------

    def _switch(self, on: bool) -> None:
        if not on:
            return self.stop()
        document = Krita.instance().activeDocument()
        try:
            situation = self._chooser.look(document)
        except InvalidRequest as error:
            return self.stop(f"{error.what} {error.remedy}")
        if not situation.sources:
            return self.stop(tr("There is nothing to follow."))
        self._hold(situation)
        self._follower = Follower(document)
        self._changed_at = self._unsent_since = self._away_since = 0.0
        self._wanted = None
        self._panel.live.show_on(tr("Looking …"))
        self._timer.start(0)
        return self._redraw()

    def _hold(self, situation: Situation) -> None:
        self._document = situation.document
        self._operation = situation.operation.id
        self._layers = tuple(node_id(node) for node in situation.roots)
        self._title = quoted(situation.title) if len(self._layers) < 2 else tr("selected layers")
        picks: dict[str, Sequence[str]] = {
            source.input: self._layers for source in situation.sources if source.kind == "piece"
        }
        if not picks and situation.active_id is not None:
            self._layers = (situation.active_id,)
        self._chooser.hold(picks)

    def _step(self) -> None:
        """One look at the document, and some reading where something changed."""
        begin = time.perf_counter()
        wait = LOOK_MS
        document = Krita.instance().activeDocument()
        why = self._why_not(document)
        if why:
            return self.stop(why)
        if self._session.work_on(self._document) is None:
            try:
                wait = self._follow(document)
            except IntarsiaError as error:
                return self.stop(_off(error))
        elif self._wanted is not None:  # the engine shall do that job first
            self._jobs.stop_live()
            self._wanted = None
        self.cost_s = time.perf_counter() - begin
        share = SHARE if wait == LOOK_MS else 3
        if self.is_on and not self._hidden:
            self._timer.start(max(wait, round(1000 * self.cost_s * share)))
        return None

    def _why_not(self, document: Any) -> str:
        """The reason to switch off, or nothing."""
        if document is None or document_id(document) != self._document:
            return tr("Live is off: it followed another picture.")
        if self._panel.form.operation.id != self._operation:
            return tr("Live is off: another operation was chosen.")
        if any(find_node(document, layer) is None for layer in self._layers):
            return tr("Live is off: the layer that it followed is gone.")
        if self._session.work_on(self._document) is not None or self._is_among(document):
            self._away_since = 0.0
            return ""
        now = time.monotonic()
        self._away_since = self._away_since or now
        if now - self._away_since < AWAY_S:
            return ""
        return tr("Live is off: another layer was chosen.")

    def _is_among(self, document: Any) -> bool:
        """Whether the active layer is one that Live is about, or in it."""
        node = document.activeNode()
        if node is None or not self._layers:
            return True
        around = [node, *(parent for parent, _ in way_up(document, node))]
        return any(node_id(one) in self._layers for one in around)

    def _follow(self, document: Any) -> int:
        """Look, read, and send what is new; milliseconds until the next step."""
        follower = self._follower
        if follower is None:
            return LOOK_MS
        try:
            situation = self._chooser.look(document)
        except InvalidRequest as error:  # nothing shows at present
            self._panel.live.show_on(f"{error.what} {error.remedy}")
            return LOOK_MS
        if follower.look(situation.sources):
            self._changed_at = time.monotonic()
        if not follower.work(BUDGET_S, time.monotonic() - self._changed_at >= QUIET_S):
            return READ_MS
        if follower.is_current:
            self._send(follower)
        return LOOK_MS

    def _send(self, follower: Follower) -> None:
        """Send what was read if it is new: when it rests, or when the engine waits for more."""
        form, now = self._panel.form, time.monotonic()
        request = LiveRequest(form.operation, follower.pixels(), form.values(), form.seed())
        if request == self._wanted:
            self._unsent_since = 0.0
            return
        self._unsent_since = self._unsent_since or now
        rests = now - self._changed_at >= QUIET_S
        waits = now - self._unsent_since >= QUIET_S and not self._jobs.live_is_busy()
        if rests or waits:
            self._unsent_since, self._wanted = 0.0, request
            self._jobs.show_live(request)


def _off(error: Exception) -> str:
    """That Live is off, and why."""
    if isinstance(error, EngineUnreachable):
        return tr("Live is off: the engine stopped. Switching Live on starts it again.")
    what, remedy = getattr(error, "what", str(error)), getattr(error, "remedy", "")
    return tr("Live is off: %s %s", what, remedy).strip()
