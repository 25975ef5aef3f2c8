"""What the handlers of one worker share."""

from dataclasses import dataclass

from tasks.service.channel import Channel
from tasks.service.generating import Writers
from tasks.service.grants import Grants
from tasks.service.limits import Limits
from tasks.service.models import Models
from tasks.service.notes import Notes
from tasks.service.tally import Tally


@dataclass
class Service:
    """`channel` leads to the supervisor. `stopping`: answer what is under way, and ask for no more."""

    models: Models
    grants: Grants
    notes: Notes
    tally: Tally
    limits: Limits
    channel: Channel
    writers: Writers
    stopping: bool = False
