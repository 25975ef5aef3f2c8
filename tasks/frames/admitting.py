"""The rows of a piece that are taken, and those that are not: what cannot be read at all is refused row by row, by its file's name."""

import pyarrow as pa

from storage.errors import Unreadable
from storage.objects import ObjectStore
from tasks.frames.checking import Checked, check
from tasks.frames.faults import read_twice
from tasks.frames.pieces import Piece
from tasks.frames.raw import UNREADABLE, Raw, Refusal, with_origin
from tasks.frames.reading import read_piece
from tasks.frames.schema import Schema
from tasks.sections import DataSection


def admitted(section: DataSection, schema: Schema, store: ObjectStore, piece: Piece) -> Checked:
    """The checked rows of `piece`. Where its one file is damaged, or not like the others, all of its rows are refused; SchemaError,
    Unreadable where they cannot be told one by one."""
    found = read_twice(lambda: check(section, schema, read_piece(section, piece, schema, store)))
    if not isinstance(found, Unreadable):
        return found
    if len(piece.entries) != 1 or piece.pattern is not None:
        raise found
    file, said = piece.entries[0].name, str(found)
    refused = [Refusal(file, row, UNREADABLE, said, "") for row in range(piece.start + 1, piece.stop + 1)]
    empty = Raw(with_origin(pa.table({}), file, []), refused, sparse=True)
    return check(section, schema, empty)
