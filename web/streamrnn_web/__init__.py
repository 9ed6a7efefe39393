"""The dashboard: index.html, style.css, favicon.svg, and the bundle that the build puts into dist/.

Nothing runs here. The server hands these files out (streamrnn_server/pages.py).
"""
