"""On what things run: Dask clusters, child processes, what this machine is."""
