"""How quickly the server gives pages: fetch them all and throw them away. Shows that it is not the bottleneck."""

import json
import sys
import time

from raw import PAGE, fetch_pages
from served import MODEL_UUID


def main(url: str, _folder: str, rows: str) -> None:
    """Fetch, and say how long it took."""
    received = 0

    def count(page: bytes) -> None:
        nonlocal received
        received += len(page)

    started = time.perf_counter()
    fetch_pages(url, MODEL_UUID, int(rows), count)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "pages": -(-int(rows) // PAGE), "bytes": received}))


if __name__ == "__main__":
    main(*sys.argv[1:])
