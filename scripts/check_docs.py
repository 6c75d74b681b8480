#!/usr/bin/env python3
"""Checks what the project's documents and side files claim, as far as a program can.

- A relative link in a tracked Markdown file leads to a tracked file or folder, and its #anchor to a heading there.
- proto/tidings/service_config.json retries just the methods that the .proto files call idempotent.

Needs git and nothing but Python's standard library. Prints each finding as FILE:LINE: what; exit code 1 if there is one.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^\s*(```|~~~)")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
CODE = re.compile(r"`[^`]*`")


def tracked() -> set[str]:
    # What will be committed counts too, so that the check can run before the commit.
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split("\0")
    return {name for name in listed if name and (ROOT / name).exists()}


def prose(path: Path):
    """(number, line) outside of fenced code."""
    fenced = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def anchors(path: Path) -> set[str]:
    """Headings as GitHub turns them into anchors."""
    found: set[str] = set()
    for _, line in prose(path):
        if match := re.match(r"#{1,6}\s+(.*?)\s*#*$", line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1])
            base = anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            again = 0
            while anchor in found:
                again += 1
                anchor = f"{base}-{again}"
            found.add(anchor)
    return found


def links(files: set[str]):
    folders = {str(parent) for name in files for parent in Path(name).parents}
    for name in sorted(n for n in files if n.endswith(".md")):
        path = ROOT / name
        for number, line in prose(path):
            for match in LINK.finditer(CODE.sub("", line)):
                target, _, anchor = unquote(match[1]).partition("#")
                if re.match(r"[a-z][a-z0-9+.-]*:", target):
                    continue
                goal = (path.parent / target).resolve() if target else path
                if not goal.is_relative_to(ROOT):
                    yield f"{name}:{number}: {match[1]} leads out of the project"
                    continue
                inside = str(goal.relative_to(ROOT))
                if inside not in files and inside not in folders:
                    yield f"{name}:{number}: {match[1]} leads nowhere"
                elif anchor and goal.suffix == ".md" and anchor not in anchors(goal):
                    yield f"{name}:{number}: no heading for #{anchor}"


def retries():
    config = "proto/tidings/service_config.json"
    retried = {(n["service"], n["method"]) for entry in json.loads((ROOT / config).read_text())["methodConfig"]
               for n in entry["name"] if "retryPolicy" in entry}
    idempotent = set()
    for path in sorted((ROOT / "proto" / "tidings").rglob("*.proto")):
        text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
        package = re.search(r"^package ([\w.]+);", text, re.M)[1]
        for service, body in re.findall(r"^service (\w+) \{(.*?)^\}", text, re.M | re.S):
            for method, rest in re.findall(r"\brpc (\w+)\((.*?)(?=\brpc |\Z)", body, re.S):
                if "idempotency_level" in rest:
                    idempotent.add((f"{package}.{service}", method))
    if not idempotent:
        yield "proto: no idempotent method found, so this check has gone blind"
    for service, method in sorted(retried - idempotent):
        yield f"{config}:1: {service}/{method} is retried, but its .proto does not call it idempotent"
    for service, method in sorted(idempotent - retried):
        yield f"{config}:1: {service}/{method} is idempotent, but is not retried"


def main() -> int:
    found = [*links(tracked()), *retries()]
    print("\n".join(found) if found else "documents ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
