"""JSON: one object a line, or one array of objects."""

import codecs
import json
from contextlib import suppress

import numpy as np

from .arrow import at, floats, holds_numbers, pyarrow, type_at
from .base import short, steps
from .blocks import blocks_of, is_text, line_ends, lines_of, not_finite, read_json, written
from .records import Objects, as_json
from .text import BLANK, Text

__all__ = ["Json", "Jsonl"]

NESTED = 64
"""Brackets and braces a line, on average, up to which Arrow is asked."""
CHUNK = 1 << 20
"""Characters of an array that are read at one time, at least."""


class JsonText(Objects, Text):
    """What both share: the text of a row is an object, with white space around it or not."""

    # An integer of any length is the float that it rounds to.
    decode = staticmethod(json.JSONDecoder(parse_int=float).raw_decode)

    def __init__(self, path, files):
        self.path, self.files = path, files
        self._look()

    def objects(self, payload):
        return [json.loads(text) for text in payload]

    def _wrong(self, row, why, rule):
        return ValueError(f"{self.path}, row {row}: {why}; {rule}")

    @classmethod
    def texts(cls, source, payload):
        if isinstance(source, cls):
            return payload
        if isinstance(source, JsonText):
            return map(cls.laid, payload)
        return (cls.laid(as_json(row, source.path)) for row in source.objects(payload))


def one_more(text, name, value):
    """(the object of a text, that up to its last entry, one more entry to put behind it)."""
    body = text.rstrip(BLANK)
    inner = body[:-1].rstrip(BLANK)
    comma = "" if inner.endswith("{") else ", "
    return body, inner, f"{comma}{json.dumps(name)}: {value!r}"


class Jsonl(JsonText):
    suffixes = (".jsonl", ".ndjson")

    @staticmethod
    def begins(head):
        return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")

    def _read(self):
        row = 0
        for file in self.files:
            for text in self._text(file):
                line = text.strip(BLANK)
                if line:
                    row += 1
                    yield text, self._object(line, row)

    def _object(self, line, row):
        try:
            found, end = self.decode(line)
            wrong = "more follows its end" if end < len(line) else None
        except json.JSONDecodeError as error:
            wrong = error.msg
        except RecursionError:
            wrong = "nested too deeply"
        if wrong:
            raise self._wrong(row, f"is not JSON ({wrong})", "write one object a line")
        if type(found) is not dict:
            raise self._wrong(
                row, f"must be an object, got {short(found, 40)}", "write one object a line"
            )
        return found

    def _bodies(self, stream):
        bodies = blocks_of(stream, line_ends)
        yield next(bodies, b"").removeprefix(codecs.BOM_UTF8) or None
        yield from bodies

    def _parsed(self, data, names, label):
        """What Arrow reads otherwise than Python, or not at all, is left to :meth:`_read`."""
        deep = data.count(b"{") + data.count(b"[") > NESTED * (1 + data.count(b"\n"))
        if deep or not is_text(data):
            return None
        block = lines_of(data)
        begin = np.frombuffer(block.data, dtype=np.uint8)[block.starts]
        blank = (begin == ord("\n")) | (begin == ord("\r"))
        block = block.kept(~blank)
        # A line that begins and ends with braces holds whole objects, if all that follow do.
        if not ((begin == ord("{")) | blank).all() or (block.before_end() != ord("}")).any():
            return None
        places = {name: steps(name, self.names) for name in names}
        wanted = [c for name, (c, inside) in places.items() if not inside and name != label]
        schema = pyarrow().schema([(column, pyarrow().float64()) for column in wanted])
        table = read_json(block.data, schema)
        if table is None or table.num_rows != len(block) or not_finite(table):
            return None
        if not set(table.column_names) <= set(self.names):
            return None
        found = {}
        for name, (column, inside) in places.items():
            if column not in table.column_names:
                found[name] = np.full(len(block), np.nan)
                continue
            values = table.column(column).combine_chunks()
            if not holds_numbers(type_at(values.type, inside), label=name == label):
                return None
            found[name] = floats(at(values, inside))
        return found, block

    @classmethod
    def spliced(cls, block, names, values):
        back = block.line_end() + 1
        before = block.bytes_at(back + 1)
        if np.isin(before, np.frombuffer(b"{ \t\r\n", dtype=np.uint8)).any():
            return None
        keys = [f", {json.dumps(name)}: " for name in names]
        return block.spliced(back, written(keys, values)) if names else None

    @staticmethod
    def laid(text):
        """An object as the text of a line."""
        with suppress(ValueError):  # one that stands on several lines of an array
            if "\n" in text or "\r" in text:
                text = as_json(json.loads(text), "")
        return f"{text.strip(BLANK)}\n"

    @staticmethod
    def with_column(text, name, value):
        """The line with one more entry; every character before it stays."""
        body, inner, more = one_more(text, name, value)
        return f"{inner}{more}}}{text[len(body) :] or chr(10)}"


class Json(JsonText):
    """One array of objects; the text of a row is an object with the white space around it."""

    suffixes = (".json",)
    between = ","
    begin, end = "[", "\n]\n"

    def at_once(self, names, label):
        return None

    @staticmethod
    def ended(text):
        return text

    @staticmethod
    def begins(head):
        return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")

    def _read(self):
        row = 0
        for file in self.files:
            for entry in self._elements(file, row):
                row, text, found = entry
                yield text, found

    def _elements(self, file, row):
        """(row, text, object) of each entry of the array in a file, after so many rows."""
        rule = "write an array of objects, or one object a line into .jsonl"
        pieces, text, at = self._text(file, CHUNK), "", 0

        def more():
            """Go on reading, as much again as there is left; False at the end of the file."""
            nonlocal text, at
            left, size = [text[at:]], 0
            while size <= len(left[0]) and (piece := next(pieces, "")):
                left.append(piece)
                size += len(piece)
            text, at = "".join(left), 0
            return size > 0

        def after_blanks(place):
            """The next character that is not blank, and where; "" at the end of the file."""
            nonlocal text
            while True:
                while text[place : place + 1] and text[place] in BLANK:
                    place += 1
                if place < len(text):
                    return text[place], place
                place -= at
                if not more():
                    return "", place

        sign, place = after_blanks(at)
        if sign != "[":
            raise self._wrong(row + 1, f"the file begins with {short(sign)}", rule)
        self.begin, at = text[: place + 1], place + 1
        while True:
            sign, place = after_blanks(at)
            if sign == "]" and text[at - 1] == "[":
                break
            row += 1
            while True:
                try:
                    found, end = self.decode(text, place)
                    break
                except json.JSONDecodeError as error:
                    place -= at
                    if not more():
                        raise self._wrong(row, f"is not JSON ({error.msg})", rule) from None
                except RecursionError:
                    raise self._wrong(row, "is not JSON (nested too deeply)", rule) from None
            if type(found) is not dict:
                raise self._wrong(row, f"must be an object, got {short(found, 40)}", rule)
            end -= at
            sign, place = after_blanks(at + end)
            if sign == "]":
                yield row, text[at : at + end], found
                at += end
                break
            if sign != ",":
                raise self._wrong(row, f"{short(sign)} follows where a comma must", rule)
            yield row, text[at:place], found
            at = place + 1
        while more():
            pass
        self.end = text[at:]
        if self.end.strip(BLANK) != "]":
            raise self._wrong(row, "more follows the end of the array", rule)

    @staticmethod
    def laid(text):
        return f"\n  {text.strip(BLANK)}"

    @staticmethod
    def with_column(text, name, value):
        """The object with one more entry; every character before it stays."""
        _, inner, more = one_more(text, name, value)
        return f"{inner}{more}{text[len(inner) :]}"

    @classmethod
    def head(cls, source, names):
        return source.begin if isinstance(source, cls) else cls.begin

    @classmethod
    def tail(cls, source):
        return source.end if isinstance(source, cls) else cls.end
