"""Blocks of whole rows of a text, which Arrow parses at once where it reads them as Python does."""

import io
from itertools import chain

import numpy as np

from .arrow import array_of, pyarrow, texts_of

__all__ = [
    "Block", "blocks_of", "is_text", "line_ends", "lines_of", "not_finite", "quotes_fit",
    "read_csv", "read_json", "unquoted_ends", "written",
]  # fmt: skip

SIZE = 1 << 23
"""Bytes of a block, about."""


LONGEST = 1 << 26
"""Bytes of a row that is read at once."""


class Block:
    """The texts of consecutive rows, each with its line end; iterated, they are decoded.

    data : their bytes. starts, ends : (n,) where each begins, and where the next one may.
    """

    def __init__(self, data, starts, ends):
        self.data, self.starts, self.ends = data, starts, ends

    def __len__(self):
        return len(self.starts)

    def __iter__(self):
        places = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return (self.data[start:end].decode() for start, end in places)

    def kept(self, which):
        """Those of which (n,) truth values say so."""
        return Block(self.data, self.starts[which], self.ends[which])

    def bytes_at(self, back):
        """(n,) the bytes so many places before the ends; 0 before the start of a text."""
        places = self.ends - back
        found = np.frombuffer(self.data, dtype=np.uint8)[places]
        return np.where(places >= self.starts, found, 0)

    def line_end(self):
        """(n,) lengths of the line ends: 1, or 2 of CR LF."""
        return 1 + (self.bytes_at(2) == ord("\r"))

    def before_end(self):
        """(n,) the bytes before the line ends."""
        return self.bytes_at(self.line_end() + 1)

    def spliced(self, back, values):
        """The bytes of all, with one of `values`, from :func:`written`, (n,) places before ends."""
        if not len(self):
            return b""
        pa = pyarrow()
        # Three stretches a row: to the place, from there to the end, and what is of no row.
        edges = np.stack([self.starts, self.ends - back, self.ends], axis=1).ravel()
        buffers = None, pa.py_buffer(edges), pa.py_buffer(self.data)
        stretches = pa.Array.from_buffers(pa.large_binary(), len(edges) - 1, buffers)
        heads, tails = (stretches.take(array_of(np.arange(at, len(edges) - 1, 3))) for at in (0, 1))
        return _contents(_joined(heads, values, tails))


def blocks_of(stream, ends_of):
    """Bytes of a stream in blocks of whole rows, of which the last may lack its line end.

    `ends_of` has the ends of the rows that some bytes hold; None of a row longer than LONGEST.
    """
    left = b""
    while more := stream.read(SIZE):
        left += more
        ends = ends_of(left)
        if len(ends):
            yield left[: ends[-1]]
            left = left[ends[-1] :]
        elif len(left) > LONGEST:
            yield None
    if left:
        yield left


def written(keys, columns):
    """Texts, an Arrow array, of rows of float64: every number behind the key of its column."""
    return _joined(*chain.from_iterable(zip(keys, map(_shortest, columns), strict=True)))


def _shortest(values):
    """The shortest texts that are read as these numbers, as Python writes them: an Arrow array."""
    pa = pyarrow()
    texts = pyarrow(".compute").cast(array_of(values), pa.large_string()).cast(pa.large_binary())
    size = np.abs(values)
    otherwise = (np.floor(values) == values) | (size < 1e-4) | (size >= 1e10)
    own = texts_of([repr(value).encode() for value in values[otherwise].tolist()])
    return pyarrow(".compute").replace_with_mask(texts, array_of(otherwise), own)


def _joined(*texts):
    """Arrow arrays, and texts that are the same in every row, one behind the other."""
    each = [texts_of([t.encode()])[0] if isinstance(t, str) else t for t in (*texts, "")]
    return pyarrow(".compute").binary_join_element_wise(*each)


def _contents(texts):
    """The bytes of all rows of an Arrow array of large binaries."""
    _, edges, data = texts.buffers()
    edges = np.frombuffer(edges, dtype=np.int64)[texts.offset :][: len(texts) + 1]
    return data.slice(edges[0], edges[-1] - edges[0]).to_pybytes()


def line_ends(data):
    """(n,) places behind the line ends of some bytes."""
    return np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1


def unquoted_ends(data):
    """(n,) places behind the line ends that no pair of quotes holds."""
    ends = line_ends(data)
    if b'"' not in data:
        return ends
    quotes = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord('"'))
    return ends[np.searchsorted(quotes, ends) % 2 == 0]


def lines_of(data, ends_of=line_ends):
    """The :class:`Block` of all rows of some bytes, of which the last may lack its line end."""
    data = data if data.endswith(b"\n") else data + b"\n"
    ends = ends_of(data)
    return Block(data, np.concatenate([[0], ends[:-1]]).astype(np.int64), ends)


def is_text(data):
    """Whether bytes are UTF-8, and their lines end in LF or CR LF alone."""
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        return False
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            return False
    return b"\0" not in data


def quotes_fit(data, delimiter):
    """Whether every quote of some rows of CSV opens or closes a cell, or is one of two within."""
    found = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(found == ord('"'))
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    around = np.concatenate([[ord("\n")], found, [ord("\n")]])  # one place to the right
    edges = np.isin(around, np.frombuffer(f"{delimiter}\r\n".encode(), dtype=np.uint8))
    doubled = np.zeros(len(opening), dtype=bool)
    doubled[1:] = opening[1:] == closing[:-1] + 1
    after = edges[closing + 2]
    after[:-1] |= doubled[1:]
    return bool((edges[opening] | doubled).all() and after.all())


def not_finite(table):
    """Whether a number anywhere in a table is infinite or NaN: Arrow takes Inf for one, too."""
    pa, compute = pyarrow(), pyarrow(".compute")

    def leaves(values):
        if pa.types.is_struct(values.type):
            for field in values.flatten():
                yield from leaves(field)
        elif pa.types.is_list(values.type):
            yield from leaves(values.flatten())
        elif pa.types.is_floating(values.type):
            yield values

    chunks = chain.from_iterable(column.chunks for column in table.columns)
    found = chain.from_iterable(map(leaves, chunks))
    return any(compute.any(compute.invert(compute.is_finite(v))).as_py() for v in found)


def read_json(data, schema):
    """The table of Arrow's of lines of JSON; None of what it does not parse."""
    json, pa = pyarrow(".json"), pyarrow()
    try:
        return json.read_json(
            io.BytesIO(data), parse_options=json.ParseOptions(explicit_schema=schema)
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None


def read_csv(data, width, delimiter, types, missing):
    """The table of some columns of CSV, `types` by their places; None of what Arrow refuses."""
    csv, pa = pyarrow(".csv"), pyarrow()
    names = {place: str(place) for place in types}
    try:
        return csv.read_csv(
            io.BytesIO(data),
            csv.ReadOptions(column_names=[str(k) for k in range(width)], block_size=SIZE // 2),
            csv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in data),
            csv.ConvertOptions(
                check_utf8=False, null_values=sorted(missing), include_columns=list(names.values()),
                column_types={names[place]: kind for place, kind in types.items()},
            ),
        )  # fmt: skip
    except pa.ArrowException:
        return None
