"""Stored models of any kind by what they can do: the one that was named, or the best there is."""

from __future__ import annotations

from intarsia_client.catalog import able
from intarsia_client.errors import InvalidRequest
from intarsia_daemon.context import Context


def capable_model(context: Context, model_id: str, capability: str, *, does: str, get: str) -> str:
    """The id of a model that has a capability.

    Args:
        context: The running operation's.
        model_id: The one that was named; empty: the best, which is what ships with the release, or
            else what was added last.
        capability: A word of the models' cards.
        does: What that is for people: ``"makes a whole of parts"``.
        get: How to come by such a model, a whole sentence.

    Raises:
        InvalidRequest: There is no such model, or it cannot do that.
    """
    entries = able(context.models.list(), capability)
    whole = [entry for entry in entries if not entry.get("problem")]
    whole.sort(key=lambda entry: not entry.get("shipped", False))  # stable: newest first within
    if model_id:
        card = context.models.card(model_id)
        if capability not in card.capabilities:
            ids = ", ".join(entry["id"] for entry in whole[:12])
            raise InvalidRequest(
                f"The model {card.title or model_id!r} is none that {does}; it is of the kind "
                f"{card.family!r}.",
                value=model_id,
                remedy=f"Choose another one: {ids}." if ids else get,
            )
        return model_id
    if not whole:
        raise InvalidRequest(
            f"No model that {does} is installed.", value="", remedy=get, code="NOT_FOUND"
        )
    return whole[0]["id"]
