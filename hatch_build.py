"""The description of the distributions: README.md with links that also work outside the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class CustomMetadataHook(MetadataHookInterface):
    """Sets ``readme``; links lead to the tag of a release, or to the main branch for development versions."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Replace the relative links of README.md: images by the files themselves, others by their pages."""
        version = metadata["version"]
        place = f"{metadata['urls']['Repository']}/{{}}/{'main' if 'dev' in version else f'v{version}'}/"
        text = (Path(self.root) / "README.md").read_text("utf-8")
        text = re.sub(r"(!\[[^\]]*\]\()(?!https?:)", rf"\g<1>{place.format('raw')}", text)
        text = re.sub(r"((?<!!)\[[^\]]*\]\()(?!https?:|#)", rf"\g<1>{place.format('blob')}", text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
