"""Pure functions over targets and outputs: metrics with intervals, the comparison of two models, the gate, the choice."""
