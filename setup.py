"""What pyproject.toml can't say: the search spaces beside the package are built into it."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithSpaces(build_py):
    """Copies ``search_spaces/*.yaml`` into the package, so that an installed one has them."""

    def run(self) -> None:
        """Build the package."""
        super().run()
        if self.editable_mode:
            return  # the package stays where it is, and so do the spaces
        target = Path(self.build_lib) / "hpo" / "search_spaces"
        self.mkpath(str(target))
        for path in sorted(Path("search_spaces").glob("*.yaml")):
            self.copy_file(str(path), str(target / path.name))


setup(cmdclass={"build_py": BuildWithSpaces})
