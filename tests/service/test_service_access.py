"""Who may ask, and when the service does not start at all."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from commands import environment, wait_for
from handmade import ITEMS, Running, iris_store, serving
from load import loaded

from storage.errors import ConfigError
from tasks.service.keys import create_key, read_keys

BODY = {"input_data": ITEMS[:1]}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    long_ago = datetime.now(UTC) - timedelta(days=1)
    made = {
        "good": create_key(path, ["predict:iris"]),
        "all": create_key(path, ["predict:*"]),
        "other": create_key(path, ["predict:digits"]),
        "watcher": create_key(path, ["metrics"]),
        "expired": create_key(path, ["predict:iris"], long_ago),
    }
    return {**made, "file": str(path)}


@pytest.fixture
def service(tmp_path: Path, keys: dict[str, str]) -> Iterator[Running]:
    store, _ = iris_store(tmp_path)
    with serving(store, tmp_path, "--keys", keys["file"]) as running:
        yield running


def ask(service: Running, **headers: str):
    return service.client.post("/predict", json=BODY, headers=headers)


def start(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tasks.service", "--storage", str(folder / "store"), "--model", "iris", *options]
    return subprocess.run(command, env=environment(folder), capture_output=True, text=True, timeout=60, check=False)


def test_a_key_is_taken_from_either_header(service: Running, keys: dict[str, str]) -> None:
    assert ask(service, authorization=f"Bearer {keys['good']}").status_code == 200
    assert ask(service, **{"x-api-key": keys["all"]}).status_code == 200


def test_all_wrong_keys_get_the_same_401(service: Running, keys: dict[str, str]) -> None:
    name, _, secret = keys["good"].partition(".")
    wrong = [f"{name}.{secret[:-1]}", f"nobody.{secret}", keys["expired"], "no key at all", secret, "x" * 10_000]
    answers = [ask(service), *(ask(service, authorization=f"Bearer {key}") for key in wrong)]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


def test_a_key_for_another_model_finds_nothing(service: Running, keys: dict[str, str]) -> None:
    answer = ask(service, authorization=f"Bearer {keys['other']}")
    nowhere = service.client.get("/nowhere")
    assert (answer.status_code, answer.content) == (nowhere.status_code, nowhere.content)


def test_what_shows_data_or_traffic_needs_a_key(service: Running, keys: dict[str, str]) -> None:
    codes = {
        path: service.client.get(path).status_code for path in ("/metrics", "/openapi.json", "/healthz", "/readyz")
    }
    assert codes == {"/metrics": 401, "/openapi.json": 401, "/healthz": 200, "/readyz": 200}
    public = [
        service.client.get(path).text for path in ("/", "/healthz", "/readyz", "/v2", "/v2/health/ready", "/status")
    ]
    assert not any("iris" in text for text in public)
    assert service.client.get("/metrics", headers={"x-api-key": keys["good"]}).status_code == 404
    assert service.client.get("/metrics", headers={"x-api-key": keys["watcher"]}).status_code == 200
    assert ask(service, **{"x-api-key": keys["watcher"]}).status_code == 404


def test_guessing_is_slowed_down_and_a_known_key_goes_on(service: Running, keys: dict[str, str]) -> None:
    assert ask(service, authorization=f"Bearer {keys['good']}").status_code == 200
    answers = [ask(service, authorization=f"Bearer guess.{number}") for number in range(16)]
    assert answers[0].status_code == 401
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    assert ask(service, authorization=f"Bearer {keys['good']}").status_code == 200


def test_a_rate_holds_over_all_workers_and_what_is_within_it_is_answered(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    key = create_key(tmp_path / "keys.json", ["predict:iris"], rate=200)
    with (
        serving(store, tmp_path, "--keys", str(tmp_path / "keys.json"), "--workers", "2") as service,
        loaded(service.first_line["url"] + "/predict", [BODY], 16, {"X-API-Key": key}) as load,
    ):
        wait_for(lambda: load.statuses[200] > 600 and load.statuses[429] > 0, "answers beyond the first burst")
        seconds = load.answers[-1].done - load.answers[0].sent
        answered = load.statuses[200]
    assert set(load.statuses) == {200, 429}
    assert answered <= 200 * (seconds + 2) + 40


def test_no_secret_is_kept_or_logged(service: Running, keys: dict[str, str]) -> None:
    secret = keys["good"].partition(".")[2]
    ask(service, authorization=f"Bearer {keys['good']}")
    ask(service, authorization=f"Bearer nobody.{secret}")
    assert secret not in Path(keys["file"]).read_text()
    assert secret not in service.log.read_text()
    assert Path(keys["file"]).stat().st_mode & 0o777 == 0o600


def test_the_command_makes_a_key(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tasks.service.keys", "create", "--file", str(tmp_path / "k.json")]
    made = subprocess.run([*command, "--scope", "predict:iris"], capture_output=True, text=True, check=True)
    (key,) = read_keys(tmp_path / "k.json").values()
    assert made.stdout.startswith(f"{key.id}.")
    assert key.allows("predict", "iris")
    assert not key.allows("predict", "digits")


def test_a_scope_that_means_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found 'predict', wanted predict:MODEL"):
        create_key(tmp_path / "k.json", ["predict"])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ((), "--no-auth"),
        (("--no-auth", "--host", "0.0.0.0"), "--keys"),
        (("--keys", "absent.json"), "absent.json"),
        (("--no-auth", "--port", "70000"), "70000"),
    ],
)
def test_misuse_is_refused_before_anything_is_loaded(tmp_path: Path, options: tuple[str, ...], named: str) -> None:
    ended = start(tmp_path, *options)
    assert ended.returncode == 2
    assert named in ended.stderr
    assert ended.stdout == ""


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = start(tmp_path, "--no-auth")
    assert ended.returncode == 1
    assert "'iris'" in ended.stderr


def test_the_service_ends_with_its_parent_when_told_so(tmp_path: Path) -> None:
    store, _ = iris_store(tmp_path)
    options = ["--storage", store.url, "--model", "iris", "--no-auth", "--die-with-parent"]
    with subprocess.Popen(
        [sys.executable, "-m", "tasks.service", *options],
        env=environment(tmp_path / "root"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout
        assert process.stdout.readline().startswith(b'{"url"')
        assert process.stdin
        process.stdin.close()  # what the system does when the parent dies
        assert process.wait(20) == 1
