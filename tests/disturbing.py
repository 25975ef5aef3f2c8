"""Mutations of what lies around the laboratory's code: configuration, data, libraries, and what is in its store."""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from laboratory import Laboratory
from mutating import Mutation

from storage.blobs import Blob
from storage.errors import ConfigError
from storage.manifests import manifest_key, read_manifest
from storage.objects import open_store
from storage.records import attempts, read_record, record_key


def configuration(lab: Laboratory, draw: random.Random) -> Mutation:
    """A field that decides a step's result."""
    number = draw.randrange(10, 60)
    recipes = [{"name": "a", "share": 3}, {"name": "b", "share": 8}]
    path, value, touched = draw.choice(
        [
            ("transforms.width", number, {"fit": f"transforms.width: 4 → {number}"}),
            ("transforms.curve.depth", number, {"fit": f"transforms.curve.depth: 2 → {number}"}),
            ("transforms.curve.bend", number / 7, {"fit": f"transforms.curve.bend: 0.5 → {number / 7}"}),
            ("train.rule", "flat", {"train": "train.rule: steep → flat"}),
            ("train.rounds", number, {"train": f"train.rounds: 2 → {number}"}),
            ("train.notes", [f"n{number}"], {"train": f"train.notes: [] → ['n{number}']"}),
            ("evaluate.rows", 4, {"pick": "evaluate.rows: 9 → 4"}),
            ("data.split_seed", number, {"gather": f"data.split_seed: 0 → {number}"}),
            ("data.csv.delimiter", ";", {"gather": "data.csv.delimiter: , → ;"}),
            ("data.target_names", {"x": "y"}, {"gather": "data.target_names.z: removed"}),
            ("recipes", [{"name": "a", "share": number}, recipes[1]], {"shrink a": f"recipe.share: 3 → {number}"}),
            ("recipes", [*recipes, {"name": "c", "share": number}], {"shrink c": "it has not run here before"}),
            ("recipes", [recipes[1]], {"pick": "artifacts.a: removed"}),
            ("recipes", recipes[::-1], {}),  # a mapping is the same in any order
        ]
    )
    _set(lab.settings, path, value)
    return Mutation(f"{path} = {value}", touched)


def not_in_key(lab: Laboratory, draw: random.Random) -> Mutation:
    """A field that changes how something is done or shown, or the same said otherwise."""
    elsewhere = lab.folder / f"data-{draw.randrange(9)}"
    path, value = draw.choice(
        [
            ("transforms.label", "words"),
            ("train.threads_shown", 7),
            ("storage.verify_share", 1.0),
            ("data.target_names", {"z": "u", "x": "y"}),
            ("data.root", f"{lab.folder}/./data/"),
            ("data.root", str(elsewhere)),
            ("transforms.width", "4"),
            ("transforms.curve", {"bend": 0.5}),
        ]
    )
    if value == str(elsewhere):
        shutil.copytree(lab.folder / "data", elsewhere, dirs_exist_ok=True)
    _set(lab.settings, path, value)
    return Mutation(f"{path} = {value}")


def data_byte(lab: Laboratory, draw: random.Random) -> Mutation:
    """One byte of one file is another; half of the time the file's times are what they were."""
    path = draw.choice(_parts(lab))
    status, content = path.stat(), bytearray(path.read_bytes())
    at = draw.randrange(len(content))
    content[at] = draw.choice([byte for byte in b"0123456789\n#x" if byte != content[at]])
    path.write_bytes(content)
    if draw.random() < 0.5:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return Mutation(f"byte {at} of {path.name}", {"gather": f"source {path.name}: changed"})


def shard_added(lab: Laboratory, draw: random.Random) -> Mutation:
    """A file more, before, between or after the others; perhaps with the content of one that is there."""
    name = f"part-{draw.choice(['00', '1x', '9'])}.csv"
    content = draw.choice(["", "5\n17\n", "no number\n", (lab.folder / "data" / "part-0.csv").read_text()])
    (lab.folder / "data" / name).write_text(content)
    return Mutation(f"{name} added", {"gather": f"source {name}: added"})


def shard_removed(lab: Laboratory, draw: random.Random) -> Mutation:
    """A file less."""
    path = draw.choice(_parts(lab))
    path.unlink()
    return Mutation(f"{path.name} removed", {"gather": f"source {path.name}: removed"})


def shard_renamed(lab: Laboratory, draw: random.Random) -> Mutation:
    """Another name, in the same place or in another among the others; or two files change names."""
    one, two = draw.sample(_parts(lab), 2)
    if draw.random() < 0.3:
        content = one.read_bytes()
        one.write_bytes(two.read_bytes())
        two.write_bytes(content)
        return Mutation(f"{one.name} ↔ {two.name}", {"gather": f"source {one.name}: changed"})
    new = one.with_name(f"{one.stem}{draw.choice(['', 'b'])}-renamed.csv" if draw.random() < 0.5 else "a.csv")
    one.rename(new)
    return Mutation(f"{one.name} → {new.name}", {"gather": f"source {one.name}: removed"})


def data_untouched(lab: Laboratory, draw: random.Random) -> Mutation:
    """Files written anew as they were, with other times, other inodes; and one that no source means."""
    for path in _parts(lab):
        content = path.read_bytes()
        if draw.random() < 0.5:
            path.unlink()
        path.write_bytes(content)
        os.utime(path, (draw.randrange(10**9), draw.randrange(10**9)))
    (lab.folder / "data" / draw.choice(["part-3.txt", ".part-3.csv"])).write_text("1\n")
    return Mutation("the same files written anew")


def library(lab: Laboratory, draw: random.Random) -> Mutation:
    """Another version of a library that a step reaches."""
    version = f"1.{draw.randrange(1, 99)}"
    lab.library("quill", version)
    return Mutation(f"quill {version}", {"pick": f"library quill: 1.0 → {version}"})


def library_beside(lab: Laboratory, draw: random.Random) -> Mutation:
    """Another version of one that nothing reaches, or another build of the same."""
    name, version = draw.choice([("slate", f"1.{draw.randrange(1, 99)}"), ("quill", f"1.0+cpu{draw.randrange(99)}")])
    lab.library(name, version)
    return Mutation(f"{name} {version}")


def artifact(how: str) -> Callable[[Laboratory, random.Random], Mutation]:
    """A blob, a manifest or a step record of the laboratory's last run is deleted, truncated or flipped."""

    def mutate(lab: Laboratory, draw: random.Random) -> Mutation:
        by_key = _objects(lab)
        kinds = sorted({key.partition("/")[0] for key in by_key})
        kind = draw.choice(kinds)
        key = draw.choice(sorted(key for key in by_key if key.startswith(kind)))
        content = (lab.store / key).read_bytes()
        at = _damaged(lab.store / key, how, draw)
        if kind == "steps":
            wrong = {"deleted": "its record is gone", "truncated": f"the record {key} cannot be read"}.get(how, "")
            if how == "flipped" and _still_says(content, (lab.store / key).read_bytes()):
                return Mutation(f"{key} flipped at {at}, nothing that counts")
        else:
            wrong = key
        return Mutation(f"{key} {how} {at}", damaged=dict.fromkeys(by_key[key], wrong))

    return mutate


def beside_artifacts(lab: Laboratory, draw: random.Random) -> Mutation:
    """What is in the store and no output: earlier runs' manifests, what keys are made of, strangers."""
    runs, parts = sorted(lab.store.glob("runs/*")), sorted(_parts_blobs(lab))
    path = draw.choice([draw.choice(runs), draw.choice(parts), lab.store / f"steps/{'0' * 64}/000001.json"])
    if path.exists():
        how = draw.choice(("deleted", "truncated", "flipped"))
        return Mutation(f"{path.relative_to(lab.store)} {how} {_damaged(path, how, draw)}")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    return Mutation(f"{path.relative_to(lab.store)} added")


def _set(settings: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for name in above:
        settings = settings.setdefault(name, {})
    settings[last] = value


def _parts(lab: Laboratory) -> list[Path]:
    return sorted((lab.folder / "data").glob("part-*.csv"))


def _records(lab: Laboratory) -> Iterator[tuple[str, str, Any]]:
    """(step, where its record lies, the record) for each step in the store."""
    store = open_store(str(lab.store))
    for key in sorted(path.name for path in (lab.store / "steps").iterdir()):
        number = attempts(store, key)[-1]
        record = read_record(store, key, number)
        assert record
        yield key, record_key(key, number), record


def _objects(lab: Laboratory) -> Mapping[str, set[str]]:
    """Where outputs, their manifests and their records lie, each with the steps that need it."""
    store, found = open_store(str(lab.store)), {}
    for key, place, record in _records(lab):
        step = lab.steps[key]
        for needed in (place, manifest_key(record.output.digest)):
            found.setdefault(needed, set()).add(step)
        for blob in read_manifest(store, record.output.digest).files.values():
            found.setdefault(blob.key, set()).add(step)
    return found


def _parts_blobs(lab: Laboratory) -> set[Path]:
    return {lab.store / record.parts.key for _, _, record in _records(lab)}


def _damaged(path: Path, how: str, draw: random.Random) -> int:
    """Damage a file, its time of change set back; where."""
    status, content = path.stat(), path.read_bytes()
    at = draw.randrange(len(content))
    path.unlink()
    if how != "deleted":
        path.write_bytes(content[:at] if how == "truncated" else _flipped(content, at, draw))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return at


def _flipped(content: bytes, at: int, draw: random.Random) -> bytes:
    return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]


def _still_says(old: bytes, new: bytes) -> bool:
    """Whether a flipped record can still be read, and names the same key and output."""
    try:
        before, now = json.loads(old), json.loads(new)
        Blob(**(now.get("parts") or before["parts"]))
        float(now["seconds"]), float(now["created"]), now["name"], now["run_id"]
        return all(now[name] == before[name] for name in ("key", "output"))
    except (ValueError, KeyError, TypeError, ConfigError):
        return False
