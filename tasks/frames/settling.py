"""What a data section leaves open about its images and recordings, settled by a sample of their files before any shard is read."""

from dataclasses import replace

from tasks.frames import audio_files, idx, image_files, sklearn_sets
from tasks.frames.label_folders import files
from tasks.frames.pieces import Piece
from tasks.frames.schema import Column
from tasks.sections import DataSection

SETTLED = {"image_folders": image_files, "audio_folders": audio_files}
SAMPLE_PIECES, SAMPLE_FILES = 4, 50  # files looked at in each of so many pieces, which lie evenly among all


def settle(section: DataSection, pieces: list[Piece]) -> DataSection:
    """The section with shape, rate and length of its arrays given; the same for the same files."""
    described = [piece for piece in pieces if piece.format in SETTLED]
    if not described:
        return section
    chosen = described[:: max(1, len(described) // SAMPLE_PIECES)][:SAMPLE_PIECES]
    sample = (content for piece in chosen for _, content in files(_thinned(piece)))
    return SETTLED[described[0].format].settle(section, sample)


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
