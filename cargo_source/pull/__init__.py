"""READ: from the pages of the API to typed parquet, and on to dlt."""
