"""Arrays and tables to bytes: values, types, names and order count; how pandas cuts them in blocks does not."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scalable_core.cache.uncacheable import Uncacheable

if TYPE_CHECKING:
    from scalable_core.cache.encode import Encoder


def find_writer(kind: type) -> Callable[[Encoder, Any], None] | None:
    """Return what writes the instances of a type of numpy or pandas; None when any object's way will do."""
    import numpy as np

    if kind is np.ndarray or kind is np.memmap:
        return _array
    if issubclass(kind, np.dtype):
        return lambda encoder, value: encoder.put(b"nt", _dtype(value))
    if issubclass(kind, np.generic) and not issubclass(kind, (np.object_, np.void)):
        return _scalar
    if issubclass(kind, np.ufunc):
        return _ufunc
    if kind.__module__.startswith("pandas"):
        import pandas as pd

        if kind is pd.DataFrame:
            return _frame
        if kind is pd.Series:
            return _series
        if issubclass(kind, pd.Index):
            return _index
        if issubclass(kind, pd.api.extensions.ExtensionArray):
            return _extension
        if issubclass(kind, pd.api.extensions.ExtensionDtype):
            return _extension_dtype
        if kind in (type(pd.NA), type(pd.NaT)):
            return lambda encoder, value: encoder.put(b"pn", repr(value).encode())
    return None


def _dtype(dtype: Any) -> bytes:
    return f"{dtype!r} {dtype.str} {dtype.isalignedstruct} {dtype.metadata!r}".encode()


def _ufunc(encoder: Encoder, value: Any) -> None:
    """Write a ufunc as its package names it; one that was made here hides a function and has no name."""
    try:
        encoder.put(b"nu", pickle.dumps(value, protocol=4))
    except Exception as error:
        raise Uncacheable("", f"holds a ufunc that was made by hand: {error}") from None


def _scalar(encoder: Encoder, value: Any) -> None:
    encoder.put(b"ns", _dtype(value.dtype))
    encoder.put(b"ns", value.tobytes())


def _array(encoder: Encoder, value: Any) -> None:
    if encoder.again(value):
        return
    # Order of columns first survives a pickle and changes how sums are rounded; any other layout does not.
    columns_first = value.flags.f_contiguous and not value.flags.c_contiguous
    encoder.put(b"na", b"%s %d" % (_dtype(value.dtype), columns_first))
    encoder.add(value.shape)
    if value.dtype.hasobject:
        encoder.add(value.ravel().tolist())
        return
    _bytes(encoder, value.T if columns_first else value)


def _bytes(encoder: Encoder, array: Any) -> None:
    """Write the memory of an array without objects, rows first."""
    import numpy as np

    if array.nbytes:
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        encoder.put(b"nb", hashlib.sha256(flat.data).digest())


def _frame(encoder: Encoder, value: Any) -> None:
    if encoder.again(value):
        return
    encoder.put(b"pf", b"%d" % value.flags.allows_duplicate_labels)
    encoder.add(value.attrs)
    encoder.add(value.columns)
    encoder.add(value.index)
    for position in range(value.shape[1]):
        _values(encoder, value.iloc[:, position].array)


def _series(encoder: Encoder, value: Any) -> None:
    if encoder.again(value):
        return
    encoder.put(b"ps", b"%d" % value.flags.allows_duplicate_labels)
    encoder.add(value.attrs)
    encoder.add(value.name)
    encoder.add(value.index)
    _values(encoder, value.array)


def _index(encoder: Encoder, value: Any) -> None:
    import pandas as pd

    encoder.put(b"pi", type(value).__name__.encode())
    encoder.add(list(value.names))
    if isinstance(value, pd.RangeIndex):
        encoder.add((value.start, value.stop, value.step))
    elif isinstance(value, pd.MultiIndex):
        for level in range(value.nlevels):
            _index(encoder, value.get_level_values(level))
    else:
        freq = getattr(value, "freqstr", None)
        encoder.add(freq)
        _values(encoder, value.array)


def _values(encoder: Encoder, array: Any) -> None:
    """Write a column's values: pandas' thin wrapper of a numpy array as what it wraps."""
    import pandas as pd

    if not isinstance(array, pd.arrays.NumpyExtensionArray):
        _extension(encoder, array)
        return
    plain = array.to_numpy()
    encoder.put(b"pv", _dtype(plain.dtype))
    if plain.dtype.hasobject:
        encoder.add(plain.tolist())
    else:
        _bytes(encoder, plain)


def _extension(encoder: Encoder, value: Any) -> None:
    """Write an extension array by its dtype and what it holds, however it holds it."""
    import pandas as pd

    encoder.put(b"px", type(value).__name__.encode())
    encoder.add(value.dtype)
    if isinstance(
        value, (pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray, pd.arrays.PeriodArray)
    ):
        _bytes(encoder, value.asi8)
    elif isinstance(value, pd.Categorical):
        _bytes(encoder, value.codes)
    elif isinstance(value, pd.arrays.IntervalArray):
        for side in (value.left, value.right):
            _index(encoder, side)
    else:
        encoder.add(value.astype(object).tolist())


def _extension_dtype(encoder: Encoder, value: Any) -> None:
    import pandas as pd

    encoder.put(
        b"pd", f"{type(value).__name__} {value!r} {getattr(value, 'na_value', None)!r}".encode()
    )
    if isinstance(value, pd.CategoricalDtype):
        encoder.add(None if value.categories is None else value.categories)
        encoder.add(value.ordered)
