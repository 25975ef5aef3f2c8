"""Swaps, canaries, rollbacks and new keys under load: nothing fails, and no version answers that must not."""

from pathlib import Path

from handmade import ITEMS, iris_store, serving
from load import Answer, loaded
from swapping import GRACE_SECONDS, Swaps, by_strangers, failed

from tasks.service.keys import create_key

BODIES = [{"input_data": [item]} for item in ITEMS]


def test_no_request_fails_and_no_stranger_answers_while_versions_and_keys_change(tmp_path: Path) -> None:
    store, registry = iris_store(tmp_path, versions=2)
    keys = tmp_path / "keys.json"
    headers = {"X-API-Key": create_key(keys, ["predict:iris", "metrics"], rate=1e6)}
    with (
        serving(store, tmp_path, "--keys", str(keys)) as service,
        loaded(service.first_line["url"] + "/predict", BODIES, 8, headers) as load,
    ):
        swaps = Swaps(registry, "iris", service, load, keys)
        assert swaps.run(20) == 20
    assert swaps.rotations == 5
    assert len(load.answers) > 100
    assert failed(load.answers) == []
    assert list(by_strangers(load.answers, registry.history("iris"))) == []
    assert {answer.body["version"] for answer in load.answers} == {1, 2}


def test_an_answer_by_a_version_that_held_no_alias_is_found(tmp_path: Path) -> None:
    _, registry = iris_store(tmp_path, versions=2)
    registry.promote("iris", 2)
    tenures = registry.history("iris")
    moved = tenures[-1].start

    def answer(sent: float, version: int) -> Answer:
        return Answer(sent, sent + 0.01, 200, {"version": version}, 0, "")

    late, early = answer(moved + GRACE_SECONDS + 1, 1), answer(moved - 1, 2)
    fine = [answer(moved + GRACE_SECONDS / 2, 1), answer(moved + 9, 2)]
    assert list(by_strangers([late, *fine, early], tenures)) == [late, early]
