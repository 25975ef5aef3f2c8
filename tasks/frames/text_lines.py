"""Text files of which each line is a row. Blank lines are no rows."""

import pyarrow as pa

from storage.objects import ObjectStore
from tasks.frames.encodings import not_text
from tasks.frames.kept_text import content_of
from tasks.frames.long_lines import is_too_long, too_long
from tasks.frames.raw import Mark, Raw, Refusal, cut, decode, with_origin
from tasks.frames.streams import Entry
from tasks.frames.text_files import NAME
from tasks.sections import DataSection


def read(section: DataSection, entry: Entry, part: Mark, store: ObjectStore | None = None) -> Raw:
    """The rows of `part`, without their line ends; a line that is not in the encoding is refused."""
    content = content_of(section, entry, part, store)
    if is_too_long(part):
        return Raw(with_origin(pa.table({}), entry.name, []), [too_long(entry.name, part, content)], sparse=True)
    lines = [line for line in content.split(b"\n") if line.strip()]
    texts = [decode(line.removesuffix(b"\r")) for line in lines]
    refused = [
        Refusal(entry.name, number, "encoding", not_text(section.encoding), cut(line.decode("latin-1")))
        for number, (line, text) in enumerate(zip(lines, texts, strict=True), part.start + 1)
        if text is None
    ]
    numbers = [number for number, text in enumerate(texts, part.start + 1) if text is not None]
    values = pa.array([text for text in texts if text is not None], pa.string())
    name = section.features[0] if section.features else NAME
    return Raw(with_origin(pa.table({name: values}), entry.name, numbers), refused)
