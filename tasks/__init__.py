"""What a step does: the work itself, and thin Prefect tasks around it."""
