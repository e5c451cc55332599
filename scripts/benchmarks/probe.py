"""A process of its own that asks a server for its health without a pause: `python -m scripts.benchmarks.probe PORT`.

For each line of its input it writes the longest time that a response took since the line before, in milliseconds.
"""

import select
import sys
import time
from http.client import HTTPConnection


def main() -> None:
    connection = HTTPConnection("127.0.0.1", int(sys.argv[1]))
    longest = 0.0
    while True:
        started = time.perf_counter()
        connection.request("GET", "/v1/health")
        connection.getresponse().read()
        longest = max(longest, time.perf_counter() - started)
        if select.select([sys.stdin], [], [], 0.001)[0]:
            if not sys.stdin.readline():
                return
            print(f"{longest * 1000:.1f}", flush=True)
            longest = 0.0


if __name__ == "__main__":
    main()
