"""What the rest of the laboratory counts with."""

from lab.maths.products import *  # noqa: F403  star imports are followed, too
from lab.maths.sums import mean as mean
from lab.maths.sums import total as total
