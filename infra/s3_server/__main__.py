"""`python -m infra.s3_server fetch | start | stop | serve`: a real S3 server on 127.0.0.1, for tests and trials.

Exit codes: 0 done, 1 failed, 2 misuse. What it prints on starting can be pasted into a shell. Its data are in memory.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from infra.s3_server.ceph import ACCESS_KEY, SECRET_KEY, START_SECONDS, CephRgw
from infra.s3_server.packages import FETCH, fetch, server_folder, unpacked
from storage.errors import ConfigError, MillraceError, ProcessFailed


def main(argv: Sequence[str] | None = None) -> int:
    """Do as told; the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        {"fetch": _fetch, "start": _start, "stop": _stop, "serve": _serve}[arguments.command](arguments)
    except MillraceError as error:
        sys.stderr.write(f"millrace: {error}\n")
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m infra.s3_server", description="A real S3 server for tests and trials."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    get = commands.add_parser("fetch", help="download and unpack it, where that is not done yet (60 MB; Debian 12)")
    get.add_argument("--again", action="store_true", help="also where it is there already")
    get.add_argument("--seconds", type=float, default=600.0, help="give up after this time (default: 600)")
    for name, text in (("start", "start it in the background"), ("serve", "run it here until Ctrl-C")):
        serve = commands.add_parser(name, help=text)
        serve.add_argument("--port", type=int, default=7480, help="default: 7480; 0: a free one")
        serve.add_argument("--bucket", default="millrace", help="made at the start (default: millrace)")
    commands.add_parser("stop", help="stop the one in the background; its data are lost")
    return top


def _fetch(arguments: argparse.Namespace) -> None:
    folder = server_folder()
    if arguments.again or not unpacked(folder):
        sys.stderr.write(f"S3 server: fetching Ceph RGW into {folder}\n")
        fetch(folder, arguments.seconds)


def _serve(arguments: argparse.Namespace) -> None:
    """Until a signal. The folder of the server's own files bears this process's number and goes with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = server_folder().with_name(f"ceph-rgw-{os.getpid()}")
    server = CephRgw(server_folder(), folder, arguments.port)
    try:
        server.start()
        _make_bucket(server.url, arguments.bucket)
        sys.stdout.write(
            f"# Ceph RGW {server.version}, bucket {arguments.bucket}, data in memory\nexport AWS_ENDPOINT_URL={server.url} "
            f"AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={SECRET_KEY}\n"
        )
        sys.stdout.flush()
        server.wait()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    raise ProcessFailed("S3 server: the gateway ended by itself")


def _start(arguments: argparse.Namespace) -> None:
    if pid := _running():
        raise ConfigError(f"S3 server: one runs already, process {pid}; stop it: python -m infra.s3_server stop")
    argv = [sys.executable, "-m", "infra.s3_server", "serve", "--port", str(arguments.port)]
    if not unpacked(server_folder()):
        raise ConfigError(f"S3 server: found none in {server_folder()}; fetch it (60 MB): {FETCH}")
    with _pid_file().with_suffix(".log").open("w+") as log:
        process = subprocess.Popen(
            [*argv, "--bucket", arguments.bucket], stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
        lines = [process.stdout.readline() for _ in range(2)] if process.stdout else []
        if not lines[-1]:
            log.seek(0)
            raise ProcessFailed(f"S3 server: it did not start: {log.read().strip()}")
    _pid_file().write_text(str(process.pid))
    sys.stdout.write("".join(lines))


def _stop(_arguments: argparse.Namespace) -> None:
    if pid := _running():
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + START_SECONDS
        while _running() and time.monotonic() < end:
            time.sleep(0.05)
    for file in (_pid_file(), _pid_file().with_suffix(".log")):
        file.unlink(missing_ok=True)


def _running() -> int:
    """The process of the server in the background; 0 where there is none."""
    try:
        pid = int(_pid_file().read_text())
        called = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return 0
    return pid if b"infra.s3_server" in called else 0


def _pid_file() -> Path:
    return server_folder().with_name("ceph-rgw.pid")


def _make_bucket(url: str, name: str) -> None:
    from botocore.session import Session

    client = Session().create_client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    client.create_bucket(Bucket=name)


if __name__ == "__main__":
    sys.exit(main())
