"""What is counted of each version in a trial, in this order: requests and those it failed on, batches and slow ones, labels and wrong answers."""

ANSWERS, FAILED, BATCHES, SLOW, LABELS, WRONG = range(6)
NONE = (0,) * 6
