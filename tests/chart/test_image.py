"""The Dockerfile agrees with the project: what it builds from is there, and what runs is what the chart says."""

import json
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

from rendering import ROOT, container, objects, pod

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LAST = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


def copied():
    """What the build takes out of the project."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M)
    return [source for line in lines for source in line.split()[:-1]]


class Image(unittest.TestCase):
    def test_the_build_sees_what_it_copies_and_nothing_else(self):
        first, *let_in = [
            line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
        ]
        self.assertEqual(first, "*")
        self.assertEqual(
            sorted(one.removeprefix("!") for one in let_in), sorted(one.removeprefix("./") for one in copied())
        )

    def test_cargo_takes_what_is_copied(self):
        with tempfile.TemporaryDirectory() as folder:
            for one in copied():
                goal = Path(folder) / one
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(ROOT / one, goal) if (ROOT / one).is_dir() else shutil.copy(ROOT / one, goal)
            ended = subprocess.run(
                ["cargo", "metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            self.assertEqual(ended.returncode, 0, ended.stderr)
            self.assertEqual(json.loads(ended.stdout)["packages"][0]["name"], "tidings")
            # What the source takes in at compile time lies in what is copied.
            for file in (Path(folder) / "src").rglob("*.rs"):
                for taken in re.findall(r'include_(?:str|bytes)!\("([^"]+)"', file.read_text(encoding="utf-8")):
                    self.assertTrue((file.parent / taken).exists(), f"{file.name} takes in {taken}")
                for taken in re.findall(r'#\[folder = "([^"]+)"\]', file.read_text(encoding="utf-8")):
                    self.assertTrue((Path(folder) / taken).is_dir(), f"{file.name} takes in {taken}")

    def test_it_is_built_with_the_projects_rust(self):
        channel = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
        self.assertIn(f"FROM rust:{channel}-slim-", DOCKERFILE)

    def test_it_runs_as_a_user_without_rights_and_without_a_shell(self):
        self.assertRegex(LAST, r"FROM gcr\.io/distroless/cc-debian12:nonroot\n")
        self.assertNotIn("\nRUN", LAST)
        user = pod(objects(), "all-in-one")["securityContext"]
        self.assertIn(f"\nUSER {user['runAsUser']}:{user['runAsGroup']}\n", LAST)
        self.assertIn('ENTRYPOINT ["/usr/local/bin/tidings"]', LAST)
        ours = container(objects(), "all-in-one")
        self.assertNotIn("command", ours)
        self.assertEqual(ours["args"][0], "serve")

    def test_it_brings_its_bill_of_materials(self):
        self.assertIn("/out/usr/share/tidings/sbom.cdx.json", DOCKERFILE)
        self.assertRegex(DOCKERFILE, r"cargo install --locked cargo-cyclonedx --version")

    def test_the_chart_runs_this_version(self):
        version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
        self.assertEqual(container(objects(), "all-in-one")["image"], f"tidings:{version}")


if __name__ == "__main__":
    unittest.main()
