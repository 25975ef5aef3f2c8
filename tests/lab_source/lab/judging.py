"""The last stage: which candidate is best, and a line about it."""

from lab.keeping import get, note, put
from lab.scoring import best_of, scored
from storage.refs import ChoiceRef, ReleaseRef
from tasks.policies import step


@step("pick")
def pick(evaluate, artifacts, dataset, storage):
    """The best candidate."""
    note("pick")
    numbers = get(dataset)["numbers"][: evaluate.rows]
    scores = [scored(name, get(artifact)["weight"], numbers) for name, artifact in artifacts.items()]
    value = {"name": best_of(scores), "worth": {score.name: score.worth() for score in scores}}
    return ChoiceRef(storage, put("choice", {"value.json": value}, storage))


@step("announce")
def announce(name, artifact, storage):
    """A line about the winner."""
    from lab import words

    note("announce")
    value = {"text": words.told(name, get(artifact)["weight"])}
    return ReleaseRef(storage, put("release", {"value.json": value}, storage))


def shouted(name):
    """Nothing reaches this."""
    return name.upper() * 2
