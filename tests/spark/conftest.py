from importlib.util import find_spec

# `make test` needs only what it installs; `make test-all` and `.ci/run` install pyspark, and ask for Java first.
collect_ignore_glob = [] if find_spec("pyspark") else ["test_*.py"]
