"""What a real Prefect server is told of this project: deployments, schedules, overlap, work pools, automations."""

import json
import queue
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from commands import COMMAND, Ended, environment, wait_for
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
from prefect.states import Failed, Pending, Scheduled

from flows.automations import apply_automations
from flows.deploying import FOLDER
from flows.presets import preset_config

STAGES = ("prepare-data", "train-model", "compress-model", "evaluate-model", "release-model")
EXPECTED = {
    *(f"pipeline/{name}" for name in ("default", "form", "nightly", "docker", "kubernetes")),
    *(f"{stage}/default" for stage in (*STAGES, "promote-model", "rollback-model", "batch-predict")),
}
FAILURE, LATE, SILENT = "a run failed or crashed", "a run is late", "a run whose process is gone becomes Crashed"
Deploy = Callable[..., Ended]


@pytest.fixture(scope="module")
def client(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncPrefectClient]:
    home = tmp_path_factory.mktemp("client")
    with temporary_settings({PREFECT_API_URL: prefect_api, PREFECT_HOME: home}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def deploy(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Deploy:
    home = tmp_path_factory.mktemp("deploying")

    def run(**more: str) -> Ended:
        ended = subprocess.run(
            [*COMMAND, "deploy", "--api", prefect_api],
            cwd=home, env=environment(home / ".millrace", **more), capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[str, "queue.Queue[dict[str, Any]]"]]:
    """The URL of a webhook, and what it was told."""
    received: queue.Queue[dict[str, Any]] = queue.Queue()

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", received
    server.shutdown()


@pytest.fixture(scope="module")
def deployed(deploy: Deploy, client: SyncPrefectClient, told: tuple[str, Any]) -> Ended:
    """Deployed with a webhook to be told, a schedule switched on and a deployment paused, deployed again with a block that is not there."""
    block = CustomWebhookNotificationBlock(
        name="ops", url=told[0], json_data={"subject": "{{subject}}", "body": "{{body}}"}
    )
    block.save("ops", overwrite=True)
    first = deploy(MILLRACE_NOTIFY="custom-webhook/ops", MILLRACE_IMAGE="registry.example/millrace:7")
    assert first.code == 0, first.err
    assert "custom-webhook/ops is told" in first.out
    nightly = client.read_deployment_by_name("pipeline/nightly")
    assert [schedule.active for schedule in nightly.schedules] == [False]
    client.update_deployment_schedule(nightly.id, nightly.schedules[0].id, active=True)
    client.pause_deployment(client.read_deployment_by_name("train-model/default").id)
    return deploy(MILLRACE_NOTIFY="slack-webhook/nobody")


def test_one_command_deploys_the_pipeline_each_stage_both_moves_of_an_alias_and_batch_prediction(
    deployed: Ended, client: SyncPrefectClient
):
    assert {name for name in EXPECTED if client.read_deployment_by_name(name).description} == EXPECTED
    assert all("millrace" in client.read_deployment_by_name(name).tags for name in EXPECTED)


def test_the_form_begins_with_a_whole_preset_and_knows_every_nested_field(deployed: Ended, client: SyncPrefectClient):
    form = client.read_deployment_by_name("pipeline/form")
    assert form.parameters == {"config": preset_config("digits").model_dump(mode="json")}
    schema = form.parameter_openapi_schema
    assert schema is not None
    epochs = schema["definitions"]["TrainSection"]["properties"]["epochs"]
    assert (epochs["minimum"], bool(epochs["description"])) == (1, True)
    assert schema["properties"]["config"]["description"]


@pytest.mark.parametrize(("field", "value"), [("epochs", 0), ("epocs", 3), ("epochs", "many")])
def test_a_nested_mistake_is_refused_before_there_is_a_run(
    field: str, value: Any, deployed: Ended, client: SyncPrefectClient
):
    form = client.read_deployment_by_name("pipeline/form")
    config = preset_config("digits").model_dump(mode="json")
    config["train"][field] = value
    with pytest.raises(PrefectHTTPStatusError, match=r"config\.train"):
        client.create_flow_run_from_deployment(form.id, parameters={"config": config})


def test_deploying_again_leaves_every_switch_as_somebody_set_it(deployed: Ended, client: SyncPrefectClient):
    assert [schedule.active for schedule in client.read_deployment_by_name("pipeline/nightly").schedules] == [True]
    assert client.read_deployment_by_name("train-model/default").paused
    assert not client.read_deployment_by_name("evaluate-model/default").paused


def test_a_schedule_that_is_on_makes_runs(deployed: Ended, client: SyncPrefectClient, prefect_api: str):
    nightly = client.read_deployment_by_name("pipeline/nightly")
    _post(f"{prefect_api}/deployments/{nightly.id}/schedule", {})
    of_it = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[nightly.id]))
    runs = [run for run in client.read_flow_runs(flow_run_filter=of_it) if run.auto_scheduled]
    assert runs
    assert {
        (run.expected_start_time.hour, run.expected_start_time.minute) for run in runs if run.expected_start_time
    } == {(3, 0)}


@pytest.mark.parametrize(("name", "becomes"), [("nightly", "Cancelled"), ("default", "AwaitingConcurrencySlot")])
def test_a_second_run_waits_or_is_left_out_and_a_stuck_one_gives_its_place_back(
    name: str, becomes: str, deployed: Ended, client: SyncPrefectClient
):
    deployment = client.read_deployment_by_name(f"pipeline/{name}")
    stuck, second = (client.create_flow_run_from_deployment(deployment.id, state=Scheduled()) for _ in range(2))
    client.set_flow_run_state(stuck.id, Pending())
    client.set_flow_run_state(second.id, Pending())
    assert [client.read_flow_run(run.id).state_name for run in (stuck, second)] == ["Pending", becomes]
    assert deployment.concurrency_options
    assert deployment.concurrency_options.grace_period_seconds == 120


def test_the_work_pools_are_of_their_kinds_and_containers_take_the_image_that_is_named(
    deploy: Deploy, deployed: Ended, client: SyncPrefectClient
):
    for kind in ("process", "docker", "kubernetes"):
        assert client.read_work_pool(kind).type == kind
    image = client.read_work_pool("docker").base_job_template["variables"]["properties"]["image"]
    assert image["default"] == "millrace:latest"  # the second time none was named


def test_automations_applied_again_are_there_once_and_stay_off_if_they_were_switched_off(
    deployed: Ended, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
):
    (late,) = client.read_automations_by_name(f"millrace: {LATE}")
    client.pause_automation(late.id)
    monkeypatch.setenv("MILLRACE_NOTIFY", "custom-webhook/ops")
    apply_automations(FOLDER / "automations.yaml")
    there = [client.read_automations_by_name(f"millrace: {name}") for name in (FAILURE, LATE, SILENT)]
    assert [[automation.enabled for automation in named] for named in there] == [[True], [False], [True]]
    client.resume_automation(late.id)


@pytest.mark.parametrize("state", [Failed(message="ConfigError: found 3"), Scheduled(name="Late")])
def test_a_failed_and_a_late_run_are_told_to_the_webhook(
    state: Any, deployed: Ended, client: SyncPrefectClient, told: tuple[str, "queue.Queue[dict[str, Any]]"]
):
    deployment = client.read_deployment_by_name("evaluate-model/default")
    run = client.create_flow_run_from_deployment(deployment.id, state=Scheduled())
    client.set_flow_run_state(run.id, state)
    message = wait_for(lambda: _message_about(told[1], run.name), f"word of {run.name}", seconds=60)
    assert f"evaluate-model/{run.name}" in message["body"]
    assert (state.message or "is a worker up?") in message["body"]


def test_a_block_that_is_not_there_is_named_and_the_rest_is_done(deployed: Ended):
    assert (deployed.code, deployed.err) == (0, "")
    assert (
        "automations: MILLRACE_NOTIFY: found 'slack-webhook/nobody', and the server has no such block" in deployed.out
    )


def _message_about(received: "queue.Queue[dict[str, Any]]", name: str) -> dict[str, Any] | None:
    try:
        message = received.get_nowait()
    except queue.Empty:
        return None
    return message if name in message["body"] else None


def _post(url: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    urllib.request.urlopen(request, timeout=30).close()
