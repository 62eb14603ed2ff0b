"""Results to bytes and back, by kind: JSON for plain data, npy for arrays, Arrow for tables, else pickle.

A kind is chosen only when the value comes back exactly as it was: a tuple, a dict with numbers as keys, NaN
or an object that occurs twice is not plain data. Reading a pickle runs code, reading the others does not.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Buffer = bytes | bytearray | memoryview

#: Kind to the ending of a file that holds such a value.
ENDINGS = {"json": "json", "npy": "npy", "scalar": "npy", "arrow": "arrow", "pickle": "pickle"}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as it is kept.

    Attributes:
        kind: A key of `ENDINGS`.
        buffers: Its bytes, in pieces; arrays are not copied.
    """

    kind: str
    buffers: tuple[Buffer, ...]

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return sum(memoryview(buffer).nbytes for buffer in self.buffers)


def encode(value: Any) -> Encoded:
    """Return a value in the form in which it is kept.

    Raises:
        Exception: It cannot be pickled.
    """
    if _is_plain(value, set()):
        return Encoded("json", (json.dumps(value, separators=(",", ":")).encode(),))
    home = type(value).__module__.partition(".")[0]
    if home == "numpy":
        found = _array(value)
        if found is not None:
            return found
    elif home == "pandas":
        found = _table(value)
        if found is not None:
            return found
    return Encoded("pickle", (_pickle(value),))


def decode(kind: str, data: Buffer) -> Any:
    """Return the value that `encode` was given.

    Args:
        kind: As `encode` said.
        data: The bytes; they become the memory of an array, which can be written when they can.

    Raises:
        Exception: The bytes are not of this kind, or what is needed to read them is not installed.
    """
    return _DECODERS[kind](data)


_LEAVES = frozenset({str, int, bool, type(None)})
_MOST = 10_000  # more than that is nothing that people read, and slow to write
_LONGEST = 10**4000  # Python refuses to read or write much longer integers as text


def _is_plain(value: Any, met: set[int]) -> bool:
    """Say whether JSON gives back exactly this."""
    kind = type(value)
    if kind is int:
        return bool(-_LONGEST < value < _LONGEST)
    if kind in _LEAVES:
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is not list and kind is not dict:
        return False
    if id(value) in met or len(met) > _MOST or len(value) > _MOST:
        return False
    met.add(id(value))
    if kind is dict:
        if not all(type(key) is str for key in value):
            return False
        value = value.values()
    try:
        return all(_is_plain(item, met) for item in value)
    except RecursionError:
        return False


def _array(value: Any) -> Encoded | None:
    import numpy as np

    if isinstance(value, np.generic):
        kind, value = "scalar", np.asarray(value)
    elif type(value) is np.ndarray:
        kind = "npy"
    else:
        return None
    dtype = value.dtype
    if dtype.kind not in "biufcmMSU" or dtype.metadata or not dtype.itemsize:
        return None
    header = io.BytesIO()
    described = np.lib.format.header_data_from_array_1_0(value)
    np.lib.format.write_array_header_1_0(header, described)
    if not value.size:
        return Encoded(kind, (header.getvalue(),))
    rows_first = value.T if described["fortran_order"] else np.ascontiguousarray(value)
    return Encoded(kind, (header.getvalue(), rows_first.reshape(-1).view(np.uint8).data))


def _read_array(data: Buffer) -> Any:
    import numpy as np

    head = io.BytesIO(bytes(data[:65536]))
    if np.lib.format.read_magic(head) != (1, 0):
        raise ValueError("not an npy file of version 1.0")
    shape, columns_first, dtype = np.lib.format.read_array_header_1_0(head)
    if math.prod(shape) == 0:
        return np.empty(shape, dtype, order="F" if columns_first else "C")
    flat = np.frombuffer(data, dtype, offset=head.tell())
    return flat.reshape(shape[::-1]).T if columns_first else flat.reshape(shape)


def _table(value: Any) -> Encoded | None:
    import pandas as pd

    if type(value) is not pd.DataFrame or not _is_plain_table(value):
        return None
    try:
        import pyarrow as pa
    except ImportError:
        return None
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(value)
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return Encoded("arrow", (memoryview(sink.getvalue()),))


def _is_plain_table(frame: Any) -> bool:
    """Say whether Arrow gives back exactly this frame."""
    import pandas as pd

    index, columns = frame.index, frame.columns
    if frame.attrs or not frame.flags.allows_duplicate_labels:
        return False
    if type(columns) is not pd.Index or columns.name is not None or not columns.is_unique:
        return False
    if columns.dtype != "str" or not all(type(label) is str for label in columns):
        return False
    if index.name is not None and (type(index.name) is not str or index.name in columns):
        return False
    ranged = type(index) is pd.RangeIndex
    if not ranged and (type(index) is not pd.Index or index.dtype.kind not in "iuf"):
        return False
    return all(
        getattr(dtype, "storage", None) == "pyarrow" and dtype == "str"
        if isinstance(dtype, pd.StringDtype)
        else not isinstance(dtype, pd.api.extensions.ExtensionDtype)
        and (dtype.kind in "biuM" or dtype.str in ("<f4", "<f8"))
        for dtype in frame.dtypes
    )


def _read_table(data: Buffer) -> Any:
    import pyarrow as pa

    frame = pa.ipc.open_file(pa.py_buffer(data)).read_all().to_pandas()
    return frame.copy()  # what Arrow lends can only be read


def _read_scalar(data: Buffer) -> Any:
    return _read_array(data)[()]


def _pickle(value: Any) -> bytes:
    try:
        data = pickle.dumps(value, protocol=5)
        if b"__main__" not in data:
            return data
    except Exception:
        pass  # cloudpickle can do more
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Keeps the workflow's own classes by name, so that `isinstance` is true of what is read again."""

        def reducer_override(self, value: Any) -> Any:
            own = isinstance(value, type) and value.__module__ == "__main__"
            if own and "<locals>" not in value.__qualname__:
                return _own_class, (value.__qualname__, cloudpickle.dumps(value, protocol=5))
            return super().reducer_override(value)

    out = io.BytesIO()
    Pickler(out, protocol=5).dump(value)
    return out.getvalue()


def _own_class(qualname: str, data: bytes) -> Any:
    """Return the workflow's class of that name; the one that was kept where it is not ``__main__``."""
    found: Any = sys.modules.get("__main__")
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, type) else pickle.loads(data)


_DECODERS: dict[str, Callable[[Buffer], Any]] = {
    "json": lambda data: json.loads(bytes(data)),
    "npy": _read_array,
    "scalar": _read_scalar,
    "arrow": _read_table,
    "pickle": pickle.loads,
}
