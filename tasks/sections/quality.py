"""Quality rules by the published thresholds. Passes that leave rows out; a threshold that is null is not asked for.

Words are parted by white space: the rules that count words make no sense for Chinese, Japanese or Thai, where a sentence is one word.
For these, set them to null (`GopherPass`: all but `max_symbols`, `max_bullet_lines` and `max_ellipsis_lines`), or leave the pass out.
"""

from typing import Annotated, Literal

from pydantic import Field

from tasks.sections.base import Section, Share

MostShare = Share | None
Count = Annotated[int, Field(ge=0)] | None


class TextPass(Section):
    """A pass over texts."""

    columns: tuple[str, ...] = Field(default=(), description="Columns of texts; empty: all features that are texts")


class GopherPass(TextPass):
    """Rae et al. 2021 (Gopher), appendix A.1.1, quality filtering; rules `quality.gopher.…`."""

    kind: Literal["gopher"] = Field(default="gopher", description="Which pass")
    min_words: Count = Field(default=50, description="word_count: least words (Gopher: 50)")
    max_words: Count = Field(default=100_000, description="word_count: most words (Gopher: 100,000)")
    min_mean_word: float | None = Field(
        default=3.0, description="mean_word_length: least mean characters of a word (Gopher: 3)"
    )
    max_mean_word: float | None = Field(
        default=10.0, description="mean_word_length: most mean characters of a word (Gopher: 10)"
    )
    max_symbols: float | None = Field(
        default=0.1, description="symbol_ratio: most hashes, or ellipses, a word (Gopher: 0.1)"
    )
    max_bullet_lines: MostShare = Field(
        default=0.9, description="bullet_lines: most lines that begin with a bullet point (Gopher: 0.9)"
    )
    max_ellipsis_lines: MostShare = Field(
        default=0.3, description="ellipsis_lines: most lines that end with an ellipsis (Gopher: 0.3)"
    )
    min_alphabetic: MostShare = Field(
        default=0.8, description="alphabetic_words: least words with a letter in them (Gopher: 0.8)"
    )
    min_stop_words: Count = Field(default=2, description="stop_words: least different stop words (Gopher: 2)")
    stop_words: tuple[str, ...] = Field(
        default=("the", "be", "to", "of", "and", "that", "have", "with"),
        description="The stop words (Gopher's, English)",
    )


class GopherRepetitionPass(TextPass):
    """Rae et al. 2021 (Gopher), table A1, repetition; rules `quality.repetition.…`. Characters are those of words, or lines, without white space."""

    kind: Literal["gopher_repetition"] = Field(default="gopher_repetition", description="Which pass")
    duplicate_lines: MostShare = Field(default=0.3, description="Most lines that came before (table A1: 0.30)")
    duplicate_paragraphs: MostShare = Field(default=0.3, description="Most paragraphs that came before (0.30)")
    duplicate_line_characters: MostShare = Field(default=0.2, description="Most characters in such lines (0.20)")
    duplicate_paragraph_characters: MostShare = Field(
        default=0.2, description="Most characters in such paragraphs (0.20)"
    )
    top_ngrams: tuple[Share, ...] = Field(
        default=(0.20, 0.18, 0.16),
        max_length=3,
        description="Most characters in the most frequent run of 2, 3, 4 words (0.20, 0.18, 0.16); empty: not asked for",
    )
    duplicate_ngrams: tuple[Share, ...] = Field(
        default=(0.15, 0.14, 0.13, 0.12, 0.11, 0.10),
        max_length=6,
        description="Most characters in runs of 5, 6, 7, 8, 9, 10 words that came before (0.15 … 0.10); empty: not asked for",
    )


class C4Pass(TextPass):
    """Raffel et al. 2020 (C4), §2.2, the rules about whole pages; rules `quality.c4.…`. Those about lines are the pass `lines`."""

    kind: Literal["c4"] = Field(default="c4", description="Which pass")
    min_sentences: Count = Field(default=3, description="sentence_count: least sentences (C4: 3)")
    without: tuple[str, ...] = Field(
        default=("lorem ipsum", "{"), description="banned: pages with one of these are dropped, case aside (C4's)"
    )
    bad_words: tuple[str, ...] = Field(
        default=(),
        description="bad_words: pages with one of these words are dropped, case aside (C4 has a list of its own)",
    )


class FinewebPass(TextPass):
    """Penedo et al. 2024 (FineWeb), §3.6; rules `quality.fineweb.…`."""

    kind: Literal["fineweb"] = Field(default="fineweb", description="Which pass")
    min_punctuated_lines: MostShare = Field(
        default=0.12, description="punctuated_lines: more than this share of lines ends with a mark (FineWeb: 0.12)"
    )
    max_duplicate_line_characters: MostShare = Field(
        default=0.1,
        description="duplicate_lines: less than this share of characters is in lines that came before (the paper's text: 0.1; datatrove's code: 0.01)",
    )
    max_short_lines: MostShare = Field(
        default=0.67, description="short_lines: less than this share of lines has fewer than 30 characters (0.67)"
    )
