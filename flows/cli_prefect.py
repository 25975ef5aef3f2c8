"""`millrace up`, `down` and `deploy`: a Prefect server with UI, the deployments, and one worker, in the background of this data root."""

import argparse
import os
import sys

from flows.by_hand import prepare_environment
from flows.local_prefect import POOL, api_url, start_server, start_worker
from infra import background
from storage.errors import ConfigError
from storage.locks import hold

CANCEL_SECONDS = 15.0


def up(arguments: argparse.Namespace) -> int:
    """Start what is not running yet, tell the server the deployments, and say where everything is."""
    prepare_environment(debug=True)
    with hold("up", waiting=lambda: _say("another `millrace up` or `down` is at work here; waiting")):
        _say("server: starting, a minute the first time" if not api_url() else "server: runs already")
        api = os.environ["PREFECT_API_URL"] = start_server(arguments.port)
        from flows.deploying import is_online

        _deploy(api)
        start_worker(api, lambda: is_online(POOL))
    _say(_where(api))
    return 0


def deploy(arguments: argparse.Namespace) -> int:
    """Tell another server the same: work pools, deployments, automations."""
    prepare_environment(debug=True)
    api = arguments.api or os.environ.get("PREFECT_API_URL") or api_url()
    if not api:
        raise ConfigError("deploy: no server; name one with --api or PREFECT_API_URL, or start one with: millrace up")
    os.environ["PREFECT_API_URL"] = api
    _deploy(api)
    return 0


def down(arguments: argparse.Namespace) -> int:
    """Cancel the runs that the worker has begun, then end worker and server and all that is left of them."""
    prepare_environment(debug=True)
    with hold("up", waiting=lambda: _say("another `millrace up` or `down` is at work here; waiting")):
        if api := api_url():
            os.environ["PREFECT_API_URL"] = api
            from flows.deploying import cancel_runs

            for name in cancel_runs(CANCEL_SECONDS):
                _say(f"run {name}: cancelled; what was finished is kept, the next run goes on from there")
        ended = background.stop_all()
    _say(f"stopped: {ended} processes" if ended else "nothing was running")
    return 0


def _deploy(api: str) -> None:
    from flows.deploying import deploy as tell

    try:
        told = tell(api)
    except ConfigError as error:
        told = str(error)
    _say(f"deployments: made from deployments/prefect.yaml\nautomations: {told}")


def _where(api: str) -> str:
    return f"""worker: runs, pool {POOL!r}
UI          {api.removesuffix("/api")}
Run         export PREFECT_API_URL={api}
            prefect deployment run pipeline/default --param preset=digits --param 'overrides={{"train.epochs": 3}}' --watch
Schedule    switch on pipeline/nightly in the UI
Logs        {background.log_of("server").parent}
Stop        make down (or: millrace down)"""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
