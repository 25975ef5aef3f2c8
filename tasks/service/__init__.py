"""The HTTP prediction service: Starlette and uvicorn, a micro-batcher, hot swap. No Prefect, Dask, pandas or torch."""
