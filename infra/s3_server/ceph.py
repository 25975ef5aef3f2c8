"""One Ceph on one machine: a monitor, an object daemon that keeps its data in memory, and the S3 gateway, all on 127.0.0.1."""

import base64
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

from infra import tether
from infra.s3_server.packages import FETCH, libraries, unpacked
from storage.errors import ConfigError, ProcessFailed

ACCESS_KEY, SECRET_KEY = "tester", "testers-secret"
KMS_KEY = "millrace-test"  # the name of a key that the server encrypts with, when asked for SSE-KMS
START_SECONDS = 60.0
# paxos_*: a start takes 2 s, not 13. tcp_nodelay: a GET takes 1 ms, not 44. The addresses: or it would listen to everybody.
_SETTINGS = """
[global]
fsid = {cluster}
run_dir = {folder}
log_file = {folder}/$name.log
admin_socket = {folder}/$name.$pid.asok
mon_host = v1:127.0.0.1:{monitor_port}
ms_bind_msgr2 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
osd_heartbeat_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
mon_warn_on_pool_no_redundancy = false
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
mon_max_pg_per_osd = 1000
mon_data = {folder}/mon
mon_osd_full_ratio = .99
mon_data_avail_crit = 1
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
osd_class_update_on_start = false
osd_crush_update_on_start = false
plugin_dir = {libraries}/ceph
erasure_code_dir = {libraries}/ceph/erasure-code
osd_class_dir = {libraries}/rados-classes
keyring = /dev/null
[osd]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw_enable_usage_log = false
rgw_dns_name = 127.0.0.1
rgw_relaxed_region_enforcement = true
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = {kms_key}={kms_secret}
"""


class CephRgw:
    """A server that is up until `stop`, and no longer than this process. Its data are in memory: a stop loses them."""

    def __init__(self, prefix: Path, folder: Path, port: int = 0) -> None:
        """`prefix`: the unpacked server; `folder`: a new one for its files; `port`: 0 takes a free one."""
        if not unpacked(prefix):
            raise ConfigError(f"S3 server: found none in {prefix}; fetch it (60 MB): {FETCH}")
        self.url = f"http://127.0.0.1:{port or _free_port()}"
        self._prefix, self._folder = prefix, folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {
            **os.environ,
            "LD_LIBRARY_PATH": ":".join(map(str, (*libraries(prefix), libraries(prefix)[0] / "ceph"))),
            "PYTHONPATH": str(prefix / "usr" / "lib" / "python3" / "dist-packages"),
            "CEPH_CONF": str(folder / "ceph.conf"),
        }

    @property
    def version(self) -> str:
        """Such as 16.2.15."""
        found = re.search(r"ceph version (\S+?)[-+ ]", self._tool("radosgw", "--version"))
        return found[1] if found else "of unknown version"

    def start(self) -> None:
        """Bring it up with one user, `ACCESS_KEY`; ProcessFailed, with nothing left running, where it does not come up."""
        try:
            self._start_monitor()
            self._start_objects()
            self._daemon("radosgw", "-f", "-n", "client.rgw")
            self._await("the gateway", "radosgw", self._answers)
            self._tool("radosgw-admin", "-n", "client.rgw", "user", "create", "--uid", "tester", "--display-name", "tester",
                       "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)  # fmt: skip
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it at once: there is nothing to save."""
        for process in reversed(self._processes.values()):
            process.kill()
            process.wait()
        self._processes.clear()

    def wait(self) -> None:
        """Return when the gateway has ended."""
        self._processes["radosgw"].wait()

    def _start_monitor(self) -> None:
        cluster, port, folder = str(uuid.uuid4()), _free_port(), self._folder
        (folder / "mon").mkdir(parents=True)
        (folder / "osd").mkdir()
        settings = {"cluster": cluster, "folder": folder, "monitor_port": port, "port": self.url.rpartition(":")[2]}
        secret = base64.b64encode(os.urandom(32)).decode()
        settings |= {"libraries": libraries(self._prefix)[0], "kms_key": KMS_KEY, "kms_secret": secret}
        (folder / "ceph.conf").write_text(_SETTINGS.format(**settings))
        keyring, monitors = str(folder / "mon.keyring"), str(folder / "monmap")
        self._tool("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._tool("monmaptool", "--create", "--fsid", cluster, "--addv", "a", f"[v1:127.0.0.1:{port}]", monitors)
        self._tool("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors, "--keyring", keyring)
        self._daemon("ceph-mon", "-f", "-i", "a", "--public-addr", f"127.0.0.1:{port}")

    def _start_objects(self) -> None:
        identity = str(uuid.uuid4())
        self._await("the monitor", "ceph-mon", lambda: self._ceph("osd", "new", identity) is not None)
        self._tool("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
        place = ("osd", "crush", "add", "osd.0", "1", "root=default", "host=here")
        self._await("the monitor", "ceph-mon", lambda: self._ceph(*place) is not None)
        self._daemon("ceph-osd", "-f", "-i", "0")
        self._await("the object daemon", "ceph-osd", lambda: "1 up" in (self._ceph("osd", "stat") or ""))

    def _ceph(self, *arguments: str) -> str | None:
        """What the monitor said to a command; None where it would not hear it yet."""
        program = str(self._prefix / "usr" / "bin" / "ceph")
        try:
            return self._run(["/usr/bin/python3", program, "--connect-timeout", "10", *arguments])
        except ProcessFailed:
            return None

    def _tool(self, name: str, *arguments: str) -> str:
        return self._run([str(self._prefix / "usr" / "bin" / name), *arguments])

    def _run(self, command: list[str]) -> str:
        try:
            ended = subprocess.run(
                command, env=self._environment, capture_output=True, text=True, timeout=START_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProcessFailed(f"S3 server: {error}; fetch it again: {FETCH} --again") from None
        if ended.returncode:
            last = (ended.stderr.strip().splitlines() or ["it left no message"])[-1]
            raise ProcessFailed(f"S3 server: {Path(command[0]).name} ended with code {ended.returncode}: {last[:300]}")
        return ended.stdout

    def _daemon(self, name: str, *arguments: str) -> None:
        program = str(self._prefix / "usr" / "bin" / name)
        argv = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), program, *arguments]
        with (self._folder / f"{name}.out").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                argv, env=self._environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def _await(self, what: str, name: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + START_SECONDS
        while not ready():
            ended = self._processes[name].poll()
            if ended is not None or time.monotonic() > end:
                how = f"ended with code {ended}" if ended is not None else f"was not ready in {START_SECONDS:.0f} s"
                raise ProcessFailed(f"S3 server: {what} {how}; its log is {self._folder}/{name}.out")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url, timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
