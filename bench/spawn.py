"""Runs a command and prints what it took, as JSON: {"seconds", "cpu_seconds", "peak_bytes", "status"}.

A program of its own, and a small one: the system counts in a process's peak what its parent had when it was started.
"""

import json
import os
import subprocess
import sys
import time

begin = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(child.pid, 0)
took = time.perf_counter() - begin
figures = {
    "seconds": took,
    "cpu_seconds": used.ru_utime + used.ru_stime,
    "peak_bytes": used.ru_maxrss * 1024,
    "status": os.waitstatus_to_exitcode(status),
}
print(json.dumps(figures))
