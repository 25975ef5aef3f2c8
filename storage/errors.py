"""What can go wrong, as one tree with two branches.

    MillraceError
    ├── TransientError          worth another try: the cause lies outside and may pass
    │   ├── StorageUnavailable      network, 5xx, throttling
    │   ├── WorkerLost              a Dask worker or its scheduler went away
    │   └── ProcessLost             a child process was killed by a signal
    └── PermanentError          another try gives the same answer
        ├── ConfigError             a setting, option or argument
        ├── SchemaError             data that do not fit their declaration
        │   └── Unreadable              a file that cannot be read, or is no file like the others
        ├── NotFound                a name, version, object or file that is not there
        ├── Conflict                somebody else wrote first
        ├── CorruptArtifact         bytes that do not match their digest
        ├── StorageSilent           no good answer from an object store, for longer than it is waited for
        ├── Untrusted               a missing, wrong or unknown signature
        └── ProcessFailed           a child process ended with an error of its own

Every message names the thing, the value found, the value wanted and the next step.
"""


class MillraceError(Exception):
    """Root of all errors that this project raises on purpose."""


class TransientError(MillraceError):
    """The cause lies outside and may pass: retry with backoff."""


class PermanentError(MillraceError):
    """Another try gives the same answer: never retried."""


class StorageUnavailable(TransientError):
    """The object store did not answer, or answered with a server error."""


class WorkerLost(TransientError):
    """A Dask worker or its scheduler went away."""


class ProcessLost(TransientError):
    """A child process was killed by a signal."""


class ConfigError(PermanentError):
    """A setting, option or argument cannot be used."""


class SchemaError(PermanentError):
    """Data do not fit their declaration."""


class Unreadable(SchemaError):
    """A file is damaged, or not like the others: of many, it is refused by itself and the others are read."""


class NotFound(PermanentError):
    """A name, version, object or file is not there."""


class Conflict(PermanentError):
    """Somebody else wrote first."""


class CorruptArtifact(PermanentError):
    """Stored bytes do not match their digest or size."""


class StorageSilent(PermanentError):
    """The object store has not answered for longer than it is waited for: nobody tries again by himself."""


class Untrusted(PermanentError):
    """A signature is missing, wrong, or by a key that is not trusted here."""


class ProcessFailed(PermanentError):
    """A child process ended with an error of its own."""
