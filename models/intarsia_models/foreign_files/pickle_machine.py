"""A pickle read as data: a stack machine that builds plain values and never imports or calls
anything the pickle names.

Python's own pickle module finds and calls what a file names, and can be made to allocate or recurse
without bound before any check of ours sees it. Here the standard library only splits the bytes into
instructions (`pickletools.genops`); what they do is written out below. A global becomes a `Symbol`,
a call becomes whatever the table of known calls makes of it, and anything else is refused.

Format: the opcodes as documented in Python's ``pickletools``, protocols 0 to 5.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from intarsia_models.errors import UnreadableModel
from intarsia_models.foreign_files import limits


@dataclass(frozen=True)
class Symbol:
    """The name of a class or function; never looked up."""

    name: str


@dataclass
class InertObject:
    """An object of which only the class's name and the plain state are kept."""

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)
    pairs: dict[Any, Any] = field(default_factory=dict)


Call = Callable[[tuple[Any, ...]], Any]
_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
_STRINGS = {
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_SIZED = (str, bytes, bytearray, tuple, list, dict, set, frozenset)
_KEYS = (str, int, float, bool, bytes, type(None), Symbol)


class PickleMachine:
    """Reads one pickle from a stream, up to and with its STOP.

    Args:
        calls: What to make of a call, by the callable's dotted name.
        may_be_object: Whether a class of this name may be kept as an `InertObject`.
        size: Bytes of the pickle; calls may be given only a few times as many values, so that a
            small file cannot have a large value copied again and again.
        persistent: What to make of a persistent id; by default such a pickle is refused.
    """

    def __init__(
        self,
        calls: Mapping[str, Call],
        may_be_object: Callable[[str], bool],
        size: int,
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self._calls = calls
        self._may_be_object = may_be_object
        self._allowance = limits.call_allowance(size)
        self._persistent = persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, stream: IO[bytes]) -> Any:
        """The value of the pickle that starts at the stream's position.

        Raises:
            UnreadableModel: It names something that is not on the list, or is far too large.
            ValueError, IndexError, KeyError, TypeError: It is cut off or damaged.
        """
        self._stack, self._memo = [], {}
        for steps, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if steps > limits.PICKLE_STEPS:
                raise UnreadableModel(f"Its pickle has more than {steps:,} steps; it is refused.")
            if opcode.name == "STOP":
                return self._pop()
            self._step(opcode.name, argument)
        raise ValueError("the pickle has no end")

    def _step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _NUMBERS:
            if isinstance(argument, int) and argument.bit_length() > limits.INTEGER_BITS:
                raise ValueError("a number of more bits than any size has")
            self._stack.append(argument)
        elif name in _STRINGS:
            self._stack.append(argument)
        elif name == "GLOBAL":
            self._stack.append(Symbol(str(argument).replace(" ", ".", 1)))
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[int(argument)])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[int(argument)] = self._stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name not in ("PROTO", "FRAME"):
            action = _ACTIONS.get(name)
            if action is None:
                raise UnreadableModel(f"Its pickle uses {name}, which no model needs; refused.")
            action(self)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value should be")
        return value

    def _to_mark(self) -> list[Any]:
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                values = self._stack[place + 1 :]
                del self._stack[place:]
                return values
        raise ValueError("no mark")

    def _tuple(self, count: int) -> None:
        self._stack.append(tuple(self._pop() for _ in range(count))[::-1])

    def _append(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, InertObject):
            target.items.extend(values)
        else:
            raise ValueError("values are appended to something that is no list")

    def _set(self, values: list[Any]) -> None:
        target = self._stack[-1]
        pairs = target.pairs if isinstance(target, InertObject) else target
        if not isinstance(pairs, dict) or len(values) % 2:
            raise ValueError("pairs are set on something that is no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            pairs[checked_key(key)] = value

    def _add(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, set):
            raise ValueError("values are added to something that is no set")
        target.update(checked_key(value) for value in values)

    def _dictionary(self) -> None:
        values = self._to_mark()
        self._stack.append({})
        self._set(values)

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise ValueError("a global whose name is no text")
        self._stack.append(Symbol(f"{module}.{name}"))

    def _reduce(self) -> None:
        args, callee = self._pop(), self._pop()
        if not (isinstance(callee, Symbol) and isinstance(args, tuple)):
            raise ValueError("a call of something that is no function")
        self._spend(args)
        if callee.name in self._calls:
            self._stack.append(self._calls[callee.name](args))
        elif self._may_be_object(callee.name):
            self._stack.append(InertObject(callee.name, args))
        else:
            raise UnreadableModel(
                f"It asks to run {callee.name[:80]!r} while it is read, which a file of weights "
                "never needs. Nothing of it was run."
            )

    def _new(self, with_keywords: bool = False) -> None:
        keywords = self._pop() if with_keywords else {}
        args, cls = self._pop(), self._pop()
        if not (isinstance(cls, Symbol) and isinstance(args, tuple) and keywords == {}):
            raise ValueError("an object of something that is no class")
        self._spend(args)
        if cls.name in self._calls:
            self._stack.append(self._calls[cls.name](args))
        elif args and not self._may_be_object(cls.name):
            raise UnreadableModel(
                f"It asks to make a {cls.name[:80]!r} while it is read, which a file of weights "
                "never needs. Nothing of it was run."
            )
        else:
            self._stack.append(InertObject(cls.name, args))

    def _build(self) -> None:
        state, target = self._pop(), self._stack[-1]
        if isinstance(target, InertObject):
            target.state = state
        elif hasattr(target, "take_state"):
            self._spend(state)
            target.take_state(state)
        # An OrderedDict's own attributes (torch keeps version numbers there) are of no use.

    def _spend(self, values: Any) -> None:
        values = values if isinstance(values, tuple | list) else (values,)
        self._allowance -= 1 + sum(len(value) for value in values if isinstance(value, _SIZED))
        if self._allowance < 0:
            raise UnreadableModel("It copies its own contents again and again; it is refused.")

    def _persistent_id(self) -> None:
        if self._persistent is None:
            raise UnreadableModel("It refers to data outside of itself; it is refused.")
        self._stack.append(self._persistent(self._pop()))


def checked_key(key: Any) -> Any:
    """The key itself, if it is a plain one; hashing a deep tuple could end the process.

    Raises:
        ValueError: It is something else.
    """
    shallow = isinstance(key, tuple) and len(key) <= 16 and all(isinstance(k, _KEYS) for k in key)
    if not (isinstance(key, _KEYS) or shallow):
        raise ValueError(f"a dictionary with a {type(key).__name__} as its key")
    return key


_ACTIONS: dict[str, Callable[[PickleMachine], Any]] = {
    "MARK": lambda m: m._stack.append(_MARK),
    "POP": lambda m: m._stack.pop(),
    "POP_MARK": lambda m: m._to_mark(),
    "DUP": lambda m: m._stack.append(m._stack[-1]),
    "EMPTY_LIST": lambda m: m._stack.append([]),
    "EMPTY_DICT": lambda m: m._stack.append({}),
    "EMPTY_SET": lambda m: m._stack.append(set()),
    "EMPTY_TUPLE": lambda m: m._stack.append(()),
    "LIST": lambda m: m._stack.append(m._to_mark()),
    "TUPLE": lambda m: m._stack.append(tuple(m._to_mark())),
    "TUPLE1": lambda m: m._tuple(1),
    "TUPLE2": lambda m: m._tuple(2),
    "TUPLE3": lambda m: m._tuple(3),
    "DICT": PickleMachine._dictionary,
    "FROZENSET": lambda m: m._stack.append(frozenset(checked_key(k) for k in m._to_mark())),
    "APPEND": lambda m: m._append([m._pop()]),
    "APPENDS": lambda m: m._append(m._to_mark()),
    "SETITEM": lambda m: m._set([m._pop(), m._pop()][::-1]),
    "SETITEMS": lambda m: m._set(m._to_mark()),
    "ADDITEMS": lambda m: m._add(m._to_mark()),
    "STACK_GLOBAL": PickleMachine._stack_global,
    "REDUCE": PickleMachine._reduce,
    "NEWOBJ": PickleMachine._new,
    "NEWOBJ_EX": lambda m: m._new(with_keywords=True),
    "BUILD": PickleMachine._build,
    "BINPERSID": PickleMachine._persistent_id,
}
