"""One piece of a source → its rows as read."""

import pyarrow as pa

from storage.objects import ObjectStore
from tasks.frames import delimited, documents, jsonlines, label_folders, own_function, text_lines
from tasks.frames.by_rows import BY_ROWS
from tasks.frames.pieces import Piece
from tasks.frames.raw import UNREADABLE, Mark, Raw, Refusal, with_origin
from tasks.frames.schema import Schema
from tasks.frames.sources import FOLDERS
from tasks.sections import DataSection


def read_piece(
    section: DataSection, piece: Piece, schema: Schema | None = None, store: ObjectStore | None = None
) -> Raw:
    """All rows of `piece`, with their origin, as `data.function` leaves them; each is either in the table or refused.

    `schema`: what they are going to be checked against, so that texts may be read as its types at once. `store`: where its survey may have kept its text.
    """
    if piece.format == UNREADABLE:
        file, said = piece.entries[0].name, piece.header[0]
        return Raw(with_origin(pa.table({}), file, []), [Refusal(file, 0, UNREADABLE, said, "")], sparse=True)
    raw = _read(section, piece, None if section.function else schema, store)
    return own_function.apply(section.function, raw, piece) if section.function else raw


def _read(section: DataSection, piece: Piece, schema: Schema | None, store: ObjectStore | None) -> Raw:
    if piece.format in FOLDERS:
        return label_folders.read(section, piece)
    if piece.format == "documents" and piece.pattern is not None:
        return documents.read_archive(section, piece.entries[0], piece.pattern, piece.offset, piece.length)
    if piece.format == "documents" and not piece.document:
        return documents.read_files(section, piece.entries)
    entry = piece.entries[0]
    if piece.format in BY_ROWS:
        return BY_ROWS[piece.format].read(section, entry, piece.start, piece.stop)
    part = Mark(piece.start, piece.stop, piece.offset, piece.length, piece.torn, piece.kept)
    if piece.format in ("csv", "tsv"):
        return delimited.read(section, piece.format, entry, piece.header, part, schema, store)
    if piece.format == "documents":
        return documents.read_part(section, entry, part, piece.document, store)
    if piece.format == "jsonl":
        return jsonlines.read(section, entry, part, store)
    return text_lines.read(section, entry, part, store)
