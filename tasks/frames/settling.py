"""What a data section leaves open, settled by a few files before any shard is read: what its images or recordings are, and its columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from storage.errors import SchemaError
from tasks.frames import audio_files, idx, image_files, sklearn_sets
from tasks.frames.contracts import check_contract
from tasks.frames.label_folders import files
from tasks.frames.pieces import OF_ARRAYS, Piece, digest_of
from tasks.frames.raw import UNREADABLE
from tasks.frames.reading import read_piece
from tasks.frames.schema import SAMPLE_ROWS, Column, Schema, make_schema
from tasks.frames.sources import FOLDERS
from tasks.frames.streams import Entry
from tasks.sections import DataSection

SETTLED = {"image_folders": image_files, "audio_folders": audio_files}
SAMPLE_PIECES, SAMPLE_FILES = 4, 50  # files looked at in each of so many pieces, which lie evenly among all


@dataclass(frozen=True)
class Settling:
    """What is read before any shard: of `looked_at` some files, of `inferred_from` the first rows."""

    looked_at: tuple[Piece, ...]
    inferred_from: tuple[Piece, ...]

    @property
    def weight(self) -> int:
        return SAMPLE_ROWS

    @property
    def key(self) -> str:
        """The digest of what its outcome depends on, beside the section."""
        pieces = [[piece.key for piece in some] for some in (self.looked_at, self.inferred_from)]
        return digest_of(pieces)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(entry for piece in (*self.looked_at, *self.inferred_from) for entry in piece.entries)


def settling(pieces: Sequence[Piece]) -> Settling:
    """What decides for `pieces`. SchemaError where there are none."""
    pieces = [piece for piece in pieces if piece.format != UNREADABLE]
    if not pieces:
        raise SchemaError("data.sources: found no rows in any file, wanted some; check the files and data.sources")
    described = [piece for piece in pieces if piece.format in SETTLED]
    chosen = described[:: max(1, len(described) // SAMPLE_PIECES)][:SAMPLE_PIECES]
    return Settling(tuple(map(_thinned, chosen)), tuple(_first_rows(pieces)))


def settle(section: DataSection, settling: Settling) -> DataSection:
    """The section with shape, rate and length of its arrays given; the same for the same files."""
    if not settling.looked_at:
        return section
    sample = (content for piece in settling.looked_at for _, content in files(piece) if isinstance(content, bytes))
    return SETTLED[settling.looked_at[0].format].settle(section, sample)


def infer(section: DataSection, settling: Settling) -> Schema:
    """The schema of a settled section, by the first rows."""
    tables = [read_piece(section, piece).table for piece in settling.inferred_from]
    sample = pa.concat_tables(tables, promote_options="default").slice(0, SAMPLE_ROWS)
    schema = make_schema(section, sample, arrays_of(section, settling.inferred_from[0]))
    check_contract(section, schema)
    return schema


def _first_rows(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The first pieces, cut to the sample's rows; of arrays the first one, of files no more than two."""
    rows = 0
    for piece in pieces:
        yield _first(piece)
        rows += piece.stop - piece.start
        if rows >= SAMPLE_ROWS or piece.format in OF_ARRAYS or piece.entries[0] != pieces[0].entries[0]:
            return


def _first(piece: Piece) -> Piece:
    """The piece cut to the sample's rows, where its format can be read in part."""
    rows = SAMPLE_FILES if piece.format in SETTLED else SAMPLE_ROWS
    if piece.length or piece.stop - piece.start <= rows:
        return piece
    loose = piece.format in FOLDERS and piece.pattern is None
    return replace(piece, entries=piece.entries[:rows] if loose else piece.entries, stop=piece.start + rows)


def arrays_of(section: DataSection, piece: Piece) -> Column | None:
    """What the column of images or recordings of a settled section is; None for tables and texts."""
    image = Column("", "image", False, dtype="uint8", resize=section.image.resize)
    if piece.format == "idx":
        return replace(image, maximum=idx.MAXIMUM, shape=idx.image_shape(piece.entries[0]))
    if piece.format == "sklearn":
        return replace(image, maximum=sklearn_sets.DIGITS_MAXIMUM, shape=sklearn_sets.DIGITS_SHAPE)
    if piece.format == "image_folders":
        return replace(image, maximum=image_files.MAXIMUM, shape=image_files.shape(section))
    if piece.format == "audio_folders":
        rate, length = section.audio.sample_rate, audio_files.length(section)
        return Column("", "audio", False, shape=(length,), dtype="int16", rate=rate)
    return None


def _thinned(piece: Piece) -> Piece:
    """Some files of the piece: evenly chosen where they lie loose, an archive's first ones."""
    if piece.pattern is not None:
        return replace(piece, stop=min(piece.stop, piece.start + SAMPLE_FILES))
    step = max(1, len(piece.entries) // SAMPLE_FILES)
    return replace(piece, entries=piece.entries[::step][:SAMPLE_FILES])
