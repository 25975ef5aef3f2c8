"""Images and recordings in label folders, loose or packed: read, settled by a sample, refused one by one, and learnt from."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from features import encoded
from media import BLUE, RED, picture, tone, wav

from storage.errors import ConfigError
from storage.manifests import put_files, put_manifest
from storage.objects import open_store
from tasks.frames.assembling import assemble
from tasks.frames.fitting import fit_transforms
from tasks.frames.pieces import plan_group
from tasks.frames.pinned import check_pinned
from tasks.frames.reading import read_piece
from tasks.frames.settling import infer, settle, settling
from tasks.frames.shards import process_shard
from tasks.frames.sources import find_groups
from tasks.sections import DataSection, TransformsSection
from tasks.transforms import Transforms
from tasks.transforms.encoded import to_base64

GOOD = {
    "red/1.png": picture((8, 8), RED),
    "red/2.jpg": picture((8, 8), RED, format="JPEG"),
    "blue/1.png": picture((8, 8), BLUE),
    "blue/2.png": picture((16, 8), BLUE),
}
BAD = {"red/3.png": picture((8, 8), RED)[:48], "blue/notes.txt": b"no picture"}
SOUNDS = {f"{name}_{i}.wav": wav(tone(hertz + i)) for name, hertz in (("low", 200), ("high", 2000)) for i in range(6)}


def lay_out(folder: Path, files: dict[str, bytes], packing: str = "") -> Path:
    """`files` below `folder`, or in one archive there."""
    packed = io.BytesIO()
    if packing == "d.zip":
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif packing:
        with tarfile.open(fileobj=packed, mode="w:xz" if packing.endswith("xz") else "w") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    for name, content in {packing: packed.getvalue()}.items() if packing else files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def section(folder: Path, kind: str, *sources: dict[str, str], **more: Any) -> DataSection:
    return DataSection.model_validate({"sources": sources or [{"url": "."}], "root": str(folder), "kind": kind, **more})


def read(data: DataSection) -> tuple[DataSection, list[dict[str, Any]], list[tuple[str, str]]]:
    """The settled section, rows sorted by origin, and (file, rule) of the refusals."""
    pieces = [piece for group in find_groups(data) for piece in plan_group(data, group)]
    data = settle(data, settling(pieces))
    raws = [read_piece(data, piece) for piece in pieces]
    rows = sorted((row for raw in raws for row in raw.table.to_pylist()), key=lambda row: row["_file"])
    return data, rows, sorted((refusal.file, refusal.rule) for raw in raws for refusal in raw.refused)


@pytest.mark.parametrize("packing", ["", "d.tar", "d.tar.xz", "d.zip"])
def test_images_are_read_from_folders_and_archives_and_bad_ones_refused(tmp_path: Path, packing: str):
    data, rows, refused = read(section(lay_out(tmp_path, GOOD | BAD, packing), "image", shard_rows=2))
    above = f"{packing}::" if packing else ""
    assert (data.image.size, data.image.channels) == ((8, 8), 3)
    assert [(row["_file"], row["label"]) for row in rows] == [
        (above + name, name.split("/")[0]) for name in sorted(GOOD)
    ]
    assert refused == [(above + "blue/notes.txt", "image"), (above + "red/3.png", "damaged")]
    wide = np.array(rows[1]["image"]).reshape(8, 8, 3)
    assert (wide[3] == BLUE).all()
    assert not wide[0].any()


def test_images_are_read_from_a_remote_folder_in_their_order(tmp_path: Path):
    import fsspec

    names = [f"a/{number:03d}.png" for number in range(70)]
    for number, name in enumerate(names):
        with fsspec.open(f"memory://pictures/{name}", "wb") as file:
            file.write(picture((1, 1), number, mode="L"))  # pyright: ignore[reportAttributeAccessIssue]
    _, rows, _ = read(section(tmp_path, "image", {"url": "memory://pictures/**/*.png"}))
    assert [(row["_file"], row["image"]) for row in rows] == [(name, [number]) for number, name in enumerate(names)]


def test_size_and_channels_are_as_told_and_a_large_common_size_is_scaled_down(tmp_path: Path):
    lay_out(tmp_path, {f"a/{i}.png": picture((256, 128), 9, mode="L") for i in range(3)})
    settled, rows, _ = read(section(tmp_path, "image"))
    assert (settled.image.size, settled.image.channels) == ((32, 64), 1)
    told = section(tmp_path, "image", image={"size": [5], "channels": 3, "resize": "stretch"})
    settled, rows, _ = read(told)
    assert (settled.image.size, len(rows[0]["image"])) == ((5,), 75)


def test_rate_and_length_of_recordings_are_the_samples_own_and_the_label_is_in_the_name(tmp_path: Path):
    other = {
        "low_8.wav": wav(tone(200, 16_000, 2.0), 16_000),
        "low_9.wav": wav(tone(200))[:-50],
        "other.wav": wav(tone(9)),
    }
    lay_out(tmp_path, SOUNDS | {f"more/high_{i}.wav": wav(tone(2000)) for i in range(10)} | other)
    data, rows, refused = read(section(tmp_path, "audio", label_pattern="^([a-z]+)_[0-9]"))
    assert (data.audio.sample_rate, data.audio.seconds) == (8000, 0.5)
    assert {len(row["audio"]) for row in rows} == {4000}
    assert {(row["_file"], row["label"]) for row in rows} >= {
        ("low_3.wav", "low"),
        ("more/high_3.wav", "high"),
        ("other.wav", None),
    }
    assert refused == [("low_9.wav", "damaged")]
    resampled = next(row["audio"] for row in rows if row["_file"] == "low_8.wav")
    assert np.abs(np.array(resampled[100:]) - tone(200)[100:] * 32768).max() < 60


def test_a_glob_over_members_tells_the_splits_of_one_archive_apart(tmp_path: Path):
    lay_out(tmp_path, {f"recordings/{name}": content for name, content in SOUNDS.items()}, "d.tar.xz")
    sources = [
        {"url": "d.tar.xz", "members": "recordings/*_[0-1].wav", "split": "test"},
        {"url": "d.tar.xz", "members": "recordings/*_[2-9].wav", "split": "train"},
    ]
    groups = find_groups(section(tmp_path, "audio", *sources, label_pattern="^([a-z]+)_"))
    assert [(group.split, len(group.entries)) for group in groups] == [("test", 4), ("train", 8)]
    with pytest.raises(ConfigError, match=r"data\.sources\.members: '\*\*x' is no glob"):
        find_groups(section(tmp_path, "audio", {"url": "d.tar.xz", "members": "**x"}))


@pytest.mark.parametrize(
    ("pattern", "words"), [("(a)(b)", "2 groups, wanted one"), ("a", "0 groups"), ("(", "no regular")]
)
def test_a_label_pattern_without_one_group_is_refused(tmp_path: Path, pattern: str, words: str):
    with pytest.raises(ValueError, match=words):
        section(tmp_path, "audio", label_pattern=pattern)


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_a_request_with_the_file_gives_the_very_features_that_were_trained_on(tmp_path: Path, kind: str):
    images = {
        f"{name}/{i}.png": picture((9, 6 + i), colour)
        for name, colour in (("red", RED), ("blue", BLUE))
        for i in range(9)
    }
    files = images if kind == "image" else {name.replace("_", "/", 1): content for name, content in SOUNDS.items()}
    data = section(
        lay_out(tmp_path / "data", files), kind, image={"size": [8, 8]}, validation_share=0.2, test_share=0.3
    )
    pieces = [piece for group in find_groups(data) for piece in plan_group(data, group)]
    data = settle(data, settling(pieces))
    schema, store = infer(data, settling(pieces)), open_store(str(tmp_path / "store"))
    shards = [process_shard(data, schema, store, piece) for piece in pieces]
    digest = put_manifest(store, assemble(data, schema, shards, store))
    fitted = fit_transforms(TransformsSection(), store, digest)
    transforms = Transforms.load(fitted)
    check_pinned(store, put_files(store, "transforms", fitted, {}), digest)
    paths, _ = encoded(store, digest, fitted)
    trained = np.concatenate([np.load(paths[f"{split}/x.npy"]) for split in ("train", "validation", "test")])
    asked = transforms.features(transforms.parse([to_base64(content) for content in files.values()]))
    assert sorted(row.tobytes() for row in asked) == sorted(row.tobytes() for row in trained)
    train = np.load(paths["train/x.npy"])
    assert abs(train.mean()) < 0.02
    assert transforms.parse([transforms.example])
    assert transforms.features({transforms.input.columns[0]: []}).shape == (0, *transforms.input_shape)


def test_idx_files_of_two_shapes_are_told_apart(tmp_path: Path):
    for name, side in (("a", 2), ("b", 3)):
        head = (2051).to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in (4, side, side))
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(head + bytes(4 * side * side))
        labels = (2049).to_bytes(4, "big") + (4).to_bytes(4, "big") + bytes([0, 1, 0, 1])
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(labels)
    data = section(tmp_path, "image", {"url": "*idx*"})
    pieces = [piece for group in find_groups(data) for piece in plan_group(data, group)]
    schema = infer(data, settling(pieces))
    facts = process_shard(data, schema, open_store(str(tmp_path / "store")), pieces[1]).facts
    assert facts["rules"] == {"unreadable": 4}
    assert "found 9 values a row, wanted 4" in facts["examples"]["unreadable"]
