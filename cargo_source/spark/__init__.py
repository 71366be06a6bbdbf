"""Spark: models read by many tasks at once, and frames of any size pushed back.

>>> from cargo_source.spark import register  # doctest: +SKIP
>>> register(spark)  # doctest: +SKIP
>>> companies = spark.read.format("cargo").option("model", "companies").load()  # doctest: +SKIP
>>> Workspace().push(companies.where("employees > 50"), "companies", key="domain")  # doctest: +SKIP
"""

from cargo_source.spark.source import CargoDataSource, register

__all__ = ["CargoDataSource", "register"]
