"""`python serve_fake.py FOLDER [PORT]`: a server with fake workers in a process of its own, which can be killed."""

import sys
from pathlib import Path

from impasto.batches.local import LocalExecutor
from impasto.jobs.compute import Compute
from impasto.web.server import Address, Server
from impasto.web.service import Service

worker = (sys.executable, str(Path(__file__).parent / "fake_worker.py"))
executor = LocalExecutor(Compute(device="cpu", memory=10**9), 1, overwrite=True, command=worker)
server = Server(Service(Path(sys.argv[1]), executor), Address(port=int(sys.argv[2]) if len(sys.argv) > 2 else 0))
sys.stdout.write(f"{server.url}\n")
sys.stdout.flush()
server.run()
