"""Container files, the compose file and the Kubernetes manifests: right by their own schemas, and without loose ends."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import ROOT

from flows.local_prefect import SETTINGS
from storage.fingerprints import reach
from tasks.service.limits import Limits
from tasks.service.supervisor import EXIT_SECONDS
from tasks.service.tally import METRICS

CONTAINERS, KUBERNETES = ROOT / "infra" / "containers", ROOT / "infra" / "kubernetes"
MANIFESTS = sorted(set(KUBERNETES.glob("*.yaml")) - {KUBERNETES / "kustomization.yaml"})
PROGRAMS = ("__main__", "worker", "recorder", "keys", "health")
SERVICE = tuple(f"tasks.service.{name}" for name in PROGRAMS)
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def example() -> dict[str, str]:
    lines = (CONTAINERS / "example.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def compose() -> dict[str, Any]:
    """The compose file with the example's values, as `docker compose` would read it."""
    values = {name: value or "given" for name, value in example().items()}
    text = VARIABLE.sub(
        lambda m: values.get(m[1]) or (m[3] or "" if m[2] == "-" else pytest.fail(m[1])), compose_text()
    )
    return yaml.safe_load(text)


def compose_text() -> str:
    return (CONTAINERS / "compose.yaml").read_text()


def documents() -> Iterator[dict[str, Any]]:
    for path in MANIFESTS:
        yield from yaml.safe_load_all(path.read_text())


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for document in documents():
        if document["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


def instructions(name: str) -> list[str]:
    return (CONTAINERS / name).read_text().replace("\\\n", " ").splitlines()


def test_a_server_and_workers_in_containers_cancel_notice_and_free_as_those_of_make_up_do():
    kept = ("CONCURRENCY_LEASE_STORAGE", "ENABLE_CANCELLATION", "HEARTBEAT_FREQUENCY")
    wanted = {f"{name}={value}" for name, value in SETTINGS.items() if name.endswith(kept)}
    assert len(wanted) == 3
    assert wanted <= set(" ".join(instructions("Dockerfile")).split())


def test_the_serving_image_has_every_module_and_library_of_the_service_and_no_more():
    lines = [line for line in instructions("Dockerfile.serve") if line.startswith(("COPY storage", "COPY tasks"))]
    copied = [source for line in lines for source in line.split()[1:-1]]
    files = {path.removesuffix(".py").removesuffix("/__init__") for path in copied if path.endswith(".py")}
    folders = tuple(f"{path}/" for path in copied if not path.endswith(".py"))
    loaded = reach(*SERVICE).modules
    paths = {name.replace(".", "/") for name in loaded}
    assert [path for path in paths if not f"{path}/".startswith(folders) and path not in files] == []
    assert files <= paths
    lines = (CONTAINERS / "requirements-serve.txt").read_text().splitlines()
    libraries = reach(*loaded).libraries  # also of what they only load
    imported = {name for name in libraries if not name.startswith("opentelemetry")}  # that one is for those who trace
    assert {line for line in lines if not line.startswith("#")} == imported | {"httptools"}  # uvicorn's, by its name


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.serve"])
def test_an_image_runs_as_nobody_special_and_copies_what_is_there(name: str):
    lines = instructions(name)
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    sources = [line.split()[1:-1] for line in lines if line.startswith("COPY") and "--from" not in line]
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    for source in {source for line in sources for source in line}:
        assert (ROOT / source).exists()
        assert f"!{source.split('/')[0]}" in kept


def test_the_compose_file_is_one():
    validator = pytest.importorskip("compose_spec", reason="needs a validator: pip install compose-spec")
    assert set(validator.PyCompose.from_yaml(yaml.safe_dump(compose())).service_names()) == set(compose()["services"])
    with pytest.raises(ValueError, match="imagge"):
        validator.PyCompose.from_yaml("services: {a: {imagge: x}}")


def test_every_variable_without_a_default_is_in_the_example_and_no_secret_in_the_file():
    needed = {m[1] for m in VARIABLE.finditer(compose_text()) if m[2] != "-"}
    assert needed <= set(example())
    for service in compose()["services"].values():
        for name in service.get("environment", {}):
            if re.search("SECRET|PASSWORD|SIGNING", name):
                assert re.search(rf"{name}: \$\{{{name}", compose_text())


def test_every_service_that_stays_says_when_it_is_well_and_listens_at_home_only():
    services = compose()["services"]
    asked = {name for name, service in services.items() if "healthcheck" not in service}
    assert asked == {"deploy", "keys", "service"}  # two that end; the last has it from its image
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_schema_takes_a_manifest(path: Path):
    validator = pytest.importorskip("kubernetes_validate", reason="needs a validator: pip install kubernetes-validate")
    for document in yaml.safe_load_all(path.read_text()):
        validator.validate(document, "1.32", strict=True)


def test_no_pod_has_privileges_or_takes_what_it_likes():
    for name, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["enableServiceLinks"] is False, name
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
            assert {"requests", "limits"} <= set(container["resources"]), name
        for volume in pod.get("volumes", []):
            assert volume.get("secret", {}).get("defaultMode", 0o400) == 0o400, name


def test_every_pod_that_stays_has_probes_and_no_manifest_a_secret():
    for document in documents():
        assert document["kind"] != "Secret"
        if document["kind"] in ("Deployment", "StatefulSet"):
            for container in document["spec"]["template"]["spec"]["containers"]:
                assert {"readinessProbe", "livenessProbe"} <= set(container), document["metadata"]["name"]


def test_a_pod_of_the_service_has_time_for_its_last_answers():
    (pod,) = (pod for name, pod in pods() if name == "service")
    (container,) = pod["containers"]
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= before + Limits().grace_seconds + EXIT_SECONDS
    assert "--workers" in container["args"]  # a pod's share of its node is none of what the service can see


def test_the_service_is_scaled_by_what_it_measures_and_the_adapter_gives():
    (scaler,) = (document["spec"] for document in documents() if document["kind"] == "HorizontalPodAutoscaler")
    (name,) = (metric["pods"]["metric"]["name"] for metric in scaler["metrics"] if metric["type"] == "Pods")
    assert METRICS[name].gauge
    assert int(scaler["metrics"][0]["pods"]["target"]["averageValue"]) == Limits().batch_rows
    (rule,) = yaml.safe_load((KUBERNETES / "monitoring" / "prometheus-adapter-values.yaml").read_text())["rules"][
        "custom"
    ]
    assert rule["name"]["matches"] == f"^{name}$"
    (service,) = (
        document
        for document in documents()
        if document["kind"] == "Deployment" and document["metadata"]["name"] == "service"
    )
    assert "replicas" not in service["spec"]  # or each `kubectl apply` would undo what the scaler did


def test_kustomize_puts_it_together(tmp_path: Path):
    if not (kubectl := shutil.which("kubectl")):
        pytest.skip("needs kubectl")
    shutil.copytree(KUBERNETES, tmp_path / "k")
    shutil.copytree(KUBERNETES / "secrets.example", tmp_path / "k" / "secrets")
    (tmp_path / "k" / "secrets" / "keys.json").write_text('{"keys": []}')
    made = subprocess.run(
        [kubectl, "kustomize", str(tmp_path / "k")], capture_output=True, text=True, check=True
    ).stdout
    objects = list(yaml.safe_load_all(made))
    secrets = {o["metadata"]["name"] for o in objects if o["kind"] == "Secret"}
    assert secrets == {"prefect", "store", "signing", "service-keys"}
    asked = re.findall(r"(?:secretName|secretKeyRef:\n\s+key: \w+\n\s+name|secretRef:\n\s+name): ([\w-]+)", made)
    assert set(asked) <= secrets
    assert {"prefect", "store", "service-keys"} <= set(asked)
