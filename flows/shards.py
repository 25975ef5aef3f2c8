"""How many shards of a data step are there, and how many a run would compute: for a plan, which computes nothing."""

from collections.abc import Mapping
from typing import Any

from flows.steps import ENCODE, PREPARE, Step
from storage.manifests import read_manifest
from storage.objects import ObjectStore
from storage.records import StepRecord


def counted(
    step: Step, parameters: Mapping[str, Any], record: StepRecord | None, store: ObjectStore, share: float
) -> dict[str, int] | None:
    """`known`, `missing` and `undecided` shards of a data step; None of another step.

    `record`: that of a hit, of which all shards are known. `share`: of the blobs, that are hashed.
    """
    if step not in (PREPARE, ENCODE):
        return None
    if record:
        return {"known": len(read_manifest(store, record.output.digest).meta["shards"]), "missing": 0, "undecided": 0}
    from tasks.frames.states import encode_states, shard_states

    if step is PREPARE:
        states = shard_states(parameters["data"], parameters["identity"], store, share)
    else:
        states = encode_states(parameters["dataset"].digest, parameters["transforms"].digest, store, share)
    return {"known": states.known, "missing": states.missing, "undecided": states.undecided}
