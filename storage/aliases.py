"""The aliases that mean something by themselves. A model may have others, of any name."""

CHAMPION = "champion"  # what serves
CANARY = "canary"  # answers a share of the champion's requests, on trial
SHADOW = "shadow"  # is shown the champion's requests, and answers nobody
BESIDE = (CANARY, SHADOW)  # begun and ended beside the champion, where others are promoted to
