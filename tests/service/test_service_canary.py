"""A canary is promoted or rolled back by the service itself, by what its clients meet; a shadow answers nobody."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from commands import wait_for
from handmade import (
    CLASSES,
    ITEMS,
    ROWS,
    TARGETS,
    golden_of,
    iris_files,
    iris_store,
    release,
    serving,
    transforms_json,
    write_files,
)
from load import Answer, Load, loaded
from onnx import TensorProto, helper, numpy_helper

from storage.objects import ObjectStore
from storage.registry import Registry
from tasks.inference.predictor import Predictor

CLIENTS = 8
BODIES = [{"input_data": [item]} for item in ITEMS]
QUICK = {"minimum_requests": 100}


def network(hidden: int, layers: int, refuses: float = -np.inf) -> bytes:
    """A network of `layers` square layers that answers like its last layer; not a number where the last feature is below `refuses`."""
    rng = np.random.default_rng(0)
    sizes = [4, *[hidden] * layers, 3]
    nodes, arrays, last = [], [], "x"
    for number, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        weights = (rng.normal(size=(rows, columns)) / np.sqrt(rows)).astype(np.float32)
        arrays.append(numpy_helper.from_array(weights, f"w{number}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{number}"], [f"m{number}"]))
        nodes.append(helper.make_node("Relu", [f"m{number}"], [last := f"r{number}"]))
    picks = np.array([[0, 0, 0]] * 3 + [[1, 1, 1]], np.float32)
    arrays += [
        numpy_helper.from_array(picks, "picks"),
        numpy_helper.from_array(np.float32([max(refuses, -1e9)]), "bound"),
    ]
    nodes += [
        helper.make_node("MatMul", ["x", "picks"], ["feature"]),
        helper.make_node("Sub", ["feature", "bound"], ["above"]),
        helper.make_node("Sqrt", ["above"], ["root"]),
        helper.make_node("Sub", ["root", "root"], ["nothing"]),
        helper.make_node("Add", [last, "nothing"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        arrays,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def add_version(store: ObjectStore, registry: Registry, files: dict[str, bytes], items: list[Any]) -> int:
    """A version whose golden requests are `items`."""
    folder = Path(store.url + "-more") / str(len(registry.entries("iris")))
    predictor = Predictor.load(write_files(files, folder))
    predictions, outputs = predictor.predict(predictor.parse(items))
    golden = {"items": items, "predictions": predictions, "outputs": outputs.tolist()}
    return release(store, registry, "iris", files, **{"golden.json": json.dumps(golden).encode()})


def files_of(model: bytes) -> dict[str, bytes]:
    return {**iris_files(), "model.onnx": model}


@pytest.fixture
def place(tmp_path: Path) -> tuple[ObjectStore, Registry, Path]:
    store, registry = iris_store(tmp_path)
    return store, registry, tmp_path


def traffic(registry: Registry) -> tuple[int, int]:
    """The champion's and the canary's number; 0 for none."""
    found = registry.traffic("iris")
    assert found.champion
    return found.champion.number, found.canary.version.number if found.canary else 0


def answers(load: Load, version: int) -> int:
    return sum(answer.status == 200 and answer.body.get("version") == version for answer in load.answers)


def test_a_canary_that_fails_on_a_fifth_is_rolled_back_and_stays_out(place: tuple[ObjectStore, Registry, Path]) -> None:
    store, registry, folder = place
    widths = (ROWS[:, 3] - ROWS[:, 3].mean()) / ROWS[:, 3].std()
    good = [item for item, width in zip(ITEMS, widths, strict=True) if width > 0][:9]
    bound = float(np.quantile(widths, 0.2))
    assert add_version(store, registry, files_of(network(8, 1, bound)), good) == 2
    with serving(store, folder) as service, loaded(service.first_line["url"] + "/predict", BODIES, CLIENTS) as load:
        registry.canary("iris", 2, 0.3, QUICK)
        wait_for(lambda: answers(load, 2) > 0, "the canary's first answer")
        wait_for(lambda: traffic(registry) == (1, 0), "its rollback")
        line = 'millrace_model_version{alias="canary",model="iris"}'
        wait_for(lambda: service.metric(line) == 0, "the workers to turn")
    reason = registry.entries("iris")[-1].fields["reason"]
    assert "errors: canary" in reason
    assert registry.versions("iris")[1].artifact in registry.rolled_back("iris")
    assert load.statuses[200] > 100
    assert set(load.statuses) <= {200, 422}


def test_a_canary_that_is_three_times_as_slow_is_rolled_back(place: tuple[ObjectStore, Registry, Path]) -> None:
    store, registry, folder = place
    registry.promote("iris", add_version(store, registry, files_of(network(700, 1)), ITEMS[:9]))
    slow = add_version(store, registry, files_of(network(700, 5)), ITEMS[:9])
    with serving(store, folder) as service, loaded(service.first_line["url"] + "/predict", BODIES, CLIENTS) as load:
        wait_for(lambda: answers(load, 2) > 200, "traffic")
        registry.canary("iris", slow, 0.3, QUICK)
        wait_for(lambda: traffic(registry) == (2, 0), "its rollback")
    assert "slow: canary" in registry.entries("iris")[-1].fields["reason"]
    assert set(load.statuses) == {200}


def test_a_canary_that_is_wrong_more_often_is_rolled_back_by_feedback(
    place: tuple[ObjectStore, Registry, Path],
) -> None:
    store, registry, folder = place
    model = onnx.load_from_string(iris_files()["model.onnx"])
    bias = next(array for array in model.graph.initializer if array.name == "bias")
    raised = numpy_helper.to_array(bias) + np.float32([0, 0, 2])  # 87 % right instead of 97 %
    bias.CopyFrom(numpy_helper.from_array(raised, "bias"))
    add_version(store, registry, files_of(model.SerializeToString()), ITEMS[:9])

    def tell(answer: Answer) -> tuple[str, Any] | None:
        label = CLASSES[TARGETS[answer.number % len(ITEMS)]]
        return ("/feedback", {"request_id": answer.request_id, "labels": [label]}) if answer.status == 200 else None

    with (
        serving(store, folder) as service,
        loaded(service.first_line["url"] + "/predict", BODIES, CLIENTS, on_answer=tell) as load,
    ):
        registry.canary("iris", 2, 0.3, QUICK)
        wait_for(lambda: traffic(registry) == (1, 0), "its rollback")
    assert "wrong: canary" in registry.entries("iris")[-1].fields["reason"]
    assert set(load.statuses) == {200}


def test_a_label_counts_once_and_in_the_trial_that_its_answer_was_given_in(
    place: tuple[ObjectStore, Registry, Path],
) -> None:
    store, registry, folder = place
    release(store, registry, "iris", iris_files(10.0))
    with serving(store, folder, "--workers", "1") as service:

        def predicted() -> tuple[int, str]:
            answer = service.client.post("/predict", json=BODIES[0])
            return answer.json()["version"], answer.headers["x-request-id"]

        def told(request_id: str) -> int:
            label = {"request_id": request_id, "labels": ["setosa"]}
            return service.client.post("/feedback", json=label).status_code

        def counts() -> dict[str, int]:
            trial = service.client.get("/status.json").json()["models"][0]["trial"]
            wrong = trial["comparisons"].get("wrong", {}) if trial else {}
            return {arm: wrong[arm]["count"] for arm in ("champion", "canary") if wrong}

        _, early = predicted()
        registry.canary("iris", 2, 0.5, {"automatic": False})
        wait_for(lambda: predicted()[0] == 2, "the canary")
        later: dict[int, str] = {}
        while set(later) != {1, 2}:
            later.update([predicted()])
        assert {told(request_id) for request_id in [early, *later.values()] * 5} == {200}
        assert wait_for(counts, "the labels") == {"champion": 1, "canary": 1}


def test_a_good_canary_is_promoted_and_nobody_notices(place: tuple[ObjectStore, Registry, Path]) -> None:
    store, registry, folder = place
    release(store, registry, "iris", iris_files(10.0))
    with serving(store, folder) as service, loaded(service.first_line["url"] + "/predict", BODIES, CLIENTS) as load:
        registry.canary("iris", 2, 0.5, {**QUICK, "error_margin": 0.05})
        wait_for(lambda: traffic(registry) == (2, 0), "its promotion")
        wait_for(lambda: service.client.get("/readyz").json()["version"] == 2, "the workers to turn")
    assert registry.entries("iris")[-1].fields["automatic"]
    assert set(load.statuses) == {200}
    assert answers(load, 1) > 0


def test_the_same_subject_meets_the_same_version(place: tuple[ObjectStore, Registry, Path]) -> None:
    store, registry, folder = place
    release(store, registry, "iris", iris_files(10.0))
    registry.canary("iris", 2, 0.5, {"automatic": False})
    with serving(store, folder) as service:

        def version(subject: str) -> int:
            return service.client.post("/predict", json=BODIES[0], headers={"x-subject": subject}).json()["version"]

        met = {subject: {version(subject) for _ in range(4)} for subject in map(str, range(40))}
        labelled = service.client.post("/v1/models/iris/labels/canary:predict", json={"instances": ITEMS[:1]})
        assert labelled.status_code == 200
    assert {len(versions) for versions in met.values()} == {1}
    assert 5 < sum(versions == {2} for versions in met.values()) < 35


def test_a_shadow_is_asked_compared_and_never_answers(place: tuple[ObjectStore, Registry, Path]) -> None:
    store, registry, folder = place
    other = iris_files()
    other["transforms/transforms.json"] = transforms_json(
        {"name": "species", "classes": ("virginica", "setosa", "versicolor")}
    )
    golden = golden_of(Predictor.load(write_files(other, folder / "other")))
    release(store, registry, "iris", other, **{"golden.json": json.dumps(golden).encode()})
    registry.shadow("iris", 2)
    with serving(store, folder) as service:
        met = {service.client.post("/predict", json=body).json()["version"] for body in BODIES[:30]}
        line = 'millrace_shadow_total{model="iris",outcome="differs",version="2"}'
        wait_for(lambda: service.metric(line) == 30, "the comparisons")
        assert (
            service.client.post("/v1/models/iris/labels/shadow:predict", json={"instances": ITEMS[:1]}).status_code
            == 404
        )
        assert (
            service.client.post("/v1/models/iris/versions/2:predict", json={"instances": ITEMS[:1]}).status_code == 404
        )
    assert met == {1}


def test_a_damaged_canary_is_refused_and_the_champion_goes_on(place: tuple[ObjectStore, Registry, Path]) -> None:
    store, registry, folder = place
    golden = golden_of(Predictor.load(write_files(iris_files(), folder / "made")))
    golden["outputs"].reverse()
    release(store, registry, "iris", iris_files(7.0), **{"golden.json": json.dumps(golden).encode()})
    with serving(store, folder) as service:
        registry.canary("iris", 2, 0.5)
        wait_for(lambda: service.metric('millrace_swaps_total{model="iris",outcome="refused"}') == 1, "the refusal")
        assert {service.client.post("/predict", json=BODIES[0]).json()["version"] for _ in range(20)} == {1}
