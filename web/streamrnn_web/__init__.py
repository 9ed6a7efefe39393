"""The dashboard: index.html, style.css, favicon.svg and the bundle that the build puts into dist/.

>>> (FILES / "index.html").is_file()
True
"""

from pathlib import Path

FILES = Path(__file__).parent
"""The folder whose files the server hands out."""
