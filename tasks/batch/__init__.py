"""Batch prediction: files of rows in, Parquet out, by the transforms and the runtime of the service."""
