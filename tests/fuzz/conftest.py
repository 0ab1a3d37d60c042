"""The fuzzer's modules find each other by their names, as where its script runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
