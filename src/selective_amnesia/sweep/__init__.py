"""Many stages on many processes and machines: a plan of tasks, made once each on Dask."""
