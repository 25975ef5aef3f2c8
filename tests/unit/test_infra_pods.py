"""Dask on Kubernetes: what is asked of the operator, held against the operator's own schema; no cluster is needed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.clusters import open_cluster
from infra.pods import cluster_spec, pods, workers
from storage.errors import ConfigError
from tasks.sections import ClusterSection

SECTION = ClusterSection(
    address="kubernetes", workers=3, memory_gib=2.5, cpus=0.5, image="registry.example/millrace:1", secret="store"
)

dask_kubernetes = pytest.importorskip(
    "dask_kubernetes", reason="needs dask-kubernetes: pip install 'millrace[kubernetes]'"
)


@pytest.fixture
def spec() -> dict[str, Any]:
    return cluster_spec(SECTION, "millrace-0123abcd")


def test_the_operators_own_schema_takes_the_cluster(spec: dict[str, Any]):
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema")
    chart = Path(dask_kubernetes.__file__).parent / "operator/deployment/helm/dask-kubernetes-operator"
    crd = yaml.safe_load((chart / "crds" / "daskcluster.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    jsonschema.validate(spec, schema)
    spec["spec"]["worker"]["replicas"] = "three"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spec, schema)


def test_kubernetes_schema_takes_the_pods(spec: dict[str, Any]):
    validator = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate")
    for role in ("scheduler", "worker"):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": role}, "spec": spec["spec"][role]["spec"]}
        validator.validate(pod, "1.32", strict=True)


def test_workers_get_what_the_section_says_and_no_privileges(spec: dict[str, Any]):
    worker = spec["spec"]["worker"]
    container = worker["spec"]["containers"][0]
    assert (worker["replicas"], container["image"]) == (3, "registry.example/millrace:1")
    assert container["args"][:4] == ["dask", "worker", "--nthreads", "1"]
    assert container["resources"] == {"limits": {"memory": "2.5Gi"}, "requests": {"memory": "2.5Gi", "cpu": "0.5"}}
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert variables["DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE"] == "False"
    assert variables["OMP_NUM_THREADS"] == "1"
    assert container["envFrom"] == [{"secretRef": {"name": "store"}}]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert spec["spec"]["scheduler"]["spec"]["containers"][0]["args"][:2] == ["dask", "scheduler"]


def test_pods_come_and_go_between_the_least_and_the_greatest_number():
    assert workers(SECTION) == (3, 3)
    assert workers(SECTION.model_copy(update={"max_workers": 20})) == (3, 20)
    assert workers(ClusterSection(address="kubernetes", max_workers=5)) == (2, 5)
    with pytest.raises(
        ConfigError, match=r"cluster\.max_workers: found 1, wanted at least cluster\.workers, which is 3"
    ):
        workers(SECTION.model_copy(update={"max_workers": 1}))


def test_the_autoscaler_is_asked_for_where_the_number_may_change(monkeypatch: pytest.MonkeyPatch):
    asked: list[dict[str, int]] = []
    made = type("Made", (), {"__enter__": lambda self: self, "__exit__": lambda *_: None})
    monkeypatch.setattr(made, "adapt", lambda self, **numbers: asked.append(numbers), raising=False)
    monkeypatch.setattr("dask_kubernetes.operator.KubeCluster", lambda **_: made())
    for most in (0, 3, 9):
        with pods(SECTION.model_copy(update={"max_workers": most})):
            pass
    assert asked == [{"minimum": 3, "maximum": 9}]


def test_what_is_missing_for_a_cluster_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    for section, message in {
        ClusterSection(address="kubernetes"): "cluster.image is empty",
        SECTION: "no cluster could be made .* check `kubectl config current-context`",
    }.items():
        with pytest.raises(ConfigError, match=message), open_cluster(section):
            pass
