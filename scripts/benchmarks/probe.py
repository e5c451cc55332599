"""A process that asks a server for its health without a pause: `python -m scripts.benchmarks.probe PORT PID`.

For each line of its input it writes the longest processor time that the server used, while a response was waited for,
since the line before, in milliseconds: so long the response takes on a machine without other work.
"""

import select
import sys
import time
from http.client import HTTPConnection

from scripts.benchmarks.processes import processor_clock


def main() -> None:
    port, process = map(int, sys.argv[1:])
    connection, clock = HTTPConnection("127.0.0.1", port), processor_clock(process)
    longest = 0.0
    while True:
        started = time.clock_gettime(clock)
        connection.request("GET", "/v1/health")
        connection.getresponse().read()
        longest = max(longest, time.clock_gettime(clock) - started)
        if select.select([sys.stdin], [], [], 0.001)[0]:
            if not sys.stdin.readline():
                return
            print(f"{longest * 1000:.1f}", flush=True)
            longest = 0.0


if __name__ == "__main__":
    main()
