"""`python -m impasto`: the command."""

import sys

from impasto.cli import main

sys.exit(main())
