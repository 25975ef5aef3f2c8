"""Models made elsewhere, as releases like our own: told by content, opened, adapted to `x` → `y`, compared with the original, released.

`kinds` says what a file is, `tables` reads the rows that come with it, `originals` opens the model and lets it answer, `answers` says what
it answers, `adapting` makes the graph and the transforms that serve, `judging` holds it against labelled rows, `releasing` makes it a version.
The command is `flows.cli_import`; the order of all this is `flows.import_model`.
"""
