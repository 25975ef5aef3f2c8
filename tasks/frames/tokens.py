"""A byte-level BPE, given or fitted (Sennrich 2016) on the training passages, and the passages of a split as tokens."""

import json
from collections.abc import Iterator
from itertools import islice

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from storage.errors import ConfigError
from storage.manifests import Manifest
from storage.objects import ObjectStore
from tasks.frames.given_tokenizers import check_same_ids, read_tokenizer
from tasks.frames.raw import DOCUMENT
from tasks.frames.stored_rows import columns_of, split_rows
from tasks.sections import TransformsSection
from tasks.transforms.targets import BITS_PER_BYTE
from tasks.transforms.transforms import VERSION

BATCH = 500
LEAST = 257  # a token for each byte, and the end of text
EXAMPLE_CHARACTERS = 200
COMPARED_TEXTS = 1000  # which a given tokenizer must cut as the library does


def fit_tokens(section: TransformsSection, store: ObjectStore, manifest: Manifest, given: str) -> dict[str, bytes]:
    """`transforms.json` and `tokenizer.json` of a language model. The same rows give the same bytes. `given`: the identity of the tokenizer that
    `section` names, empty where it names none.
    """
    texts = (text for batch in passages(store, manifest, "train") for text, _ in batch)
    if given:
        tokenizer = read_tokenizer(section, given)
        check_same_ids(tokenizer, islice(texts, COMPARED_TEXTS))
    else:
        tokenizer = _fit_tokenizer(section, texts)
    first, _ = next(passages(store, manifest, "train"))[0]
    data = {
        "version": VERSION,
        "kind": manifest.meta["kind"],
        "task": manifest.meta["task"],
        "input": {"name": columns_of(manifest)[0].name, "context": section.max_tokens, "packing": section.packing},
        "cleaning": manifest.meta["cleaning"],
        "target": {"name": BITS_PER_BYTE},
        "example": first[:EXAMPLE_CHARACTERS],
    }
    fitted = json.dumps(data, ensure_ascii=False, sort_keys=True, allow_nan=False, indent=1).encode()
    return {"transforms.json": fitted, "tokenizer.json": tokenizer}


def _fit_tokenizer(section: TransformsSection, texts: Iterator[str]) -> bytes:
    if section.vocabulary_size < LEAST:
        raise ConfigError(
            f"transforms.vocabulary_size: found {section.vocabulary_size} for a language model, wanted at least {LEAST}: "
            "a token for each byte, and the end of text"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=section.vocabulary_size - 1,  # the end of text is the last id, and none of the tokenizer's
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str().encode()


def passages(store: ObjectStore, manifest: Manifest, split: str) -> Iterator[list[tuple[str, str]]]:
    """The split's texts, each with its document's hash, in the order of the shards, some hundreds at a time."""
    name = columns_of(manifest)[0].name
    for table in split_rows(store, manifest, split, [name, DOCUMENT]):
        for batch in table.to_batches(max_chunksize=BATCH):
            yield list(zip(batch.column(name).to_pylist(), batch.column(DOCUMENT).to_pylist(), strict=True))
