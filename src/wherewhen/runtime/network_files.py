"""Files of users' networks: their checksums, and messages of the library that reads them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from wherewhen.core.errors import ConfigError
from wherewhen.runtime.weights import checksum

IR = ".xml"


def identity(path: str, expected: str, section: str) -> str:
    """sha256 of a file (IR: of both files), which passports of features have; ``expected`` where there is no file.

    ``section``: the name of its settings in messages. ConfigError where ``expected`` is another one.
    """
    if not Path(path).is_file():
        return expected
    actual = digest(Path(path), section)
    if expected not in ("", actual):
        raise ConfigError(
            f"{section}: {path} has changed: its sha256 is {actual}, the settings say {expected}; features "
            "and models made with it before don't fit it. Leave sha256 empty to accept it."
        )
    return actual


def digest(path: Path, section: str) -> str:
    """sha256 of a file, for IR of both of its files; ConfigError where the second one is missing."""
    if path.suffix.lower() != IR:
        return checksum(path)
    return sha256(f"{checksum(path)} {checksum(ir_weights(path, section))}".encode()).hexdigest()


def ir_weights(path: Path, section: str) -> Path:
    """The file of the weights of OpenVINO IR; ConfigError where it is missing."""
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise ConfigError(
            f"{section}: {path} is OpenVINO IR, which also needs its weights: expected {weights.name} beside it"
        )
    return weights


def first_line(error: Exception) -> str:
    """The part of an error of OpenVINO that names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("Exception from")), type(error).__name__)[:200]
