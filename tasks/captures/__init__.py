"""What a service has captured: requests with their answers, and the right answers told later, as Parquet in the store.

    captures/<model>/version=<n>/hour=<UTC, as 2026-11-21T14>/<time>-<recorder>-<number>.parquet    one row an item
    captures/<model>/version=<n>/labels/hour=…/….parquet                                            one row a label
    captures/<model>/version=<n>/reference.json                                                     the training rows' histograms
    captures/labels/hour=…/….parquet                         labels for requests that no worker remembered: for whichever model has them

An object is written once and whole; only erasing a subject ever replaces one, and its age alone removes it.
"""
