"""Where trials run: in this process, or on a dask cluster."""
