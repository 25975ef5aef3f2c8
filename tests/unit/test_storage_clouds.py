"""Google's and Azure's stores: a look-alike for Google, Microsoft's own emulator (Azurite) for Azure, where it is here."""

import base64
import hashlib
import hmac
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import pytest
from commands import free_port, wait_for
from lookalike_s3 import LookalikeS3, lookalike_s3

from storage.checking import check_store
from storage.errors import ConfigError, NotFound
from storage.objects import open_store
from storage.surroundings import surrounded, variables
from tasks.frames.filesystems import filesystem

ACCOUNT = "devstoreaccount1"  # Azurite's own, published with its key
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("GOOGLE_", "AZURE_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MILLRACE_ROOT", str(tmp_path))


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[LookalikeS3]:
    with lookalike_s3() as server:
        monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "hushhush")
        with surrounded(variables("gs://bucket/x", endpoint=server.url)):
            yield server


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("azurite-blob")
    if not program:
        pytest.skip("no azurite-blob on the path: npm install -g azurite")
    port, folder = free_port(), tmp_path_factory.mktemp("azurite")
    options = ["--silent", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
    server = subprocess.Popen(
        [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    wait_for(lambda: _container_made(endpoint, "box"), "Azurite")
    yield endpoint
    server.kill()
    server.wait()


def _container_made(endpoint: str, name: str) -> bool:
    """Whether Azurite made a container (signed as learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key says)."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    signed = "PUT" + "\n" * 12 + "".join(f"{key}:{value}\n" for key, value in headers.items())
    signed += f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    digest = hmac.new(base64.b64decode(ACCOUNT_KEY), signed.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    url = f"{endpoint}/{name}?restype=container"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers)).status == 201
    except OSError:
        return False


def test_on_google_one_of_several_creators_succeeds_and_the_content_comes_back(google: LookalikeS3):
    store = open_store("gcs://bucket/x/")
    assert store.url == "gs://bucket/x"
    assert store.put_if_absent("log/1", b"mine")
    assert not store.put_if_absent("log/1", b"yours")
    assert store.get("log/1") == b"mine"
    assert google.objects["/bucket/x%2Flog%2F1"] == b"mine"
    google.refuse = (403, "AccessDenied")
    with pytest.raises(ConfigError, match="set GOOGLE_APPLICATION_CREDENTIALS") as refusal:
        store.get("log/1")
    assert "hushhush" not in str(refusal.value)


def test_a_google_look_alike_that_ignores_conditions_is_refused(google: LookalikeS3):
    google.conditions = False
    with pytest.raises(ConfigError, match="such a store loses releases"):
        open_store("gs://bucket/x")


def test_on_azure_everything_a_store_must_do_is_done(azurite: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", ACCOUNT_KEY)
    with surrounded(variables("abfs://box/x", endpoint=azurite)):
        store = open_store("abfs://box/x")
        with ThreadPoolExecutor(8) as pool:
            won = pool.map(lambda writer: store.put_if_absent("log/1", b"%d" % writer), range(8))
            assert sum(won) == 1
        states = {finding.name: finding.state for finding in check_store("az://box/y", large_mb=6)}
        assert states.pop("transport") == "poor"
        assert set(states.values()) == {"good"}
        with pytest.raises(NotFound, match="the container does not exist"):
            open_store("az://nowhere/x")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", base64.b64encode(b"hushhush").decode())
        with pytest.raises(ConfigError, match="set AZURE_STORAGE_ACCOUNT_NAME"):
            open_store("az://box/x")


@pytest.mark.parametrize(("url", "wanted"), [("gs://b", "GOOGLE_APPLICATION_CREDENTIALS"), ("az://b", "ACCOUNT_NAME")])
def test_without_credentials_nobody_is_asked_and_the_message_says_what_to_set(url: str, wanted: str):
    with pytest.raises(ConfigError, match=f"no credentials; set .*{wanted}"):
        open_store(url)


def test_encryption_by_the_client_is_for_s3_alone():
    with pytest.raises(ConfigError, match="Google and Azure encrypt always"):
        variables("gs://bucket/x", encryption="sse-s3")


@pytest.mark.parametrize(("scheme", "library", "extra"), [("gs", "gcsfs", "gcs"), ("abfs", "adlfs", "azure")])
def test_sources_in_a_cloud_whose_library_is_not_here_say_which_extra_has_it(
    scheme: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, library, None)  # as where the extra is not installed
    with pytest.raises(ConfigError, match=rf"needs {library}, which is not here .*pip install 'millrace\[{extra}\]'"):
        filesystem(f"{scheme}://x/y.csv")
