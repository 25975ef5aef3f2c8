"""Automations of the Prefect server, from `deployments/automations.yaml`: made once, changed afterwards, never doubled."""

import os
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from storage.errors import ConfigError

NOTIFY = "MILLRACE_NOTIFY"
WEBHOOK = "webhook"  # the one block type that is called, not told


def apply_automations(file: Path) -> str:
    """Apply the file to the server in use; who is told now, in words. ConfigError where the block that it names is not there."""
    wanted = yaml.safe_load(file.read_text(encoding="utf-8"))
    block = os.environ.get(NOTIFY) or wanted["notify"]
    with get_client(sync_client=True) as client:
        block_id = _block_id(client, block) if block else ""
        for automation in wanted["automations"]:
            tell = automation.pop("tell", None)
            if tell is None or block_id:
                told = [_told(block, block_id, tell)] if tell else []
                _apply(client, AutomationCore.model_validate({"actions": told, **automation}))
    return (
        f"{block} is told of failed, crashed and late runs"
        if block
        else f"nobody is told of failures ({NOTIFY} names no block)"
    )


def _block_id(client: SyncPrefectClient, block: str) -> str:
    kind, _, name = block.partition("/")
    try:
        return str(client.read_block_document_by_name(name, kind).id)
    except ObjectNotFound:
        raise ConfigError(
            f"{NOTIFY}: found {block!r}, and the server has no such block; "
            "make one on the UI's page Blocks and name it as type/name, as in slack-webhook/ops"
        ) from None


def _told(block: str, block_id: str, tell: dict[str, str]) -> dict[str, Any]:
    if block.startswith(f"{WEBHOOK}/"):
        return {"type": "call-webhook", "block_document_id": block_id, "payload": tell["body"]}
    return {"type": "send-notification", "block_document_id": block_id, **tell}


def _apply(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    """Make it, or change it; one that is right already is left alone: to change it is to forget the runs that it watches."""
    there = client.read_automations_by_name(wanted.name)
    if not there:
        client.create_automation(wanted)
        return
    wanted = wanted.model_copy(update={"enabled": there[0].enabled})
    if there[0].model_dump(exclude={"id"}) != wanted.model_dump():
        client.update_automation(there[0].id, wanted)
