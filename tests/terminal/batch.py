"""Run several commands on one terminal, one after the other, so that they pay for one start: `batch.py JSON`."""

import json
import sys

from netdsl.cli.main import main

for words in json.loads(sys.argv[1]):
    print(f"$ netdsl {' '.join(words)}", flush=True)
    status = None
    try:
        main(words)
    except SystemExit as leaving:
        status = leaving.code
    print(f"status {status}", flush=True)
