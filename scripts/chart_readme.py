#!/usr/bin/env python3
"""Makes the table of values in charts/tidings/README.md from the comments in values.yaml, and sees to it that each value has one.

    scripts/chart_readme.py            writes the table
    scripts/chart_readme.py --check    exit code 1 when the table is another one

A comment belongs to the key below it and begins with `# -- `; further lines of it follow. Needs PyYAML.
"""

import json
import re
import sys
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parents[1] / "charts" / "tidings"
BEGIN, END = "<!-- values: made by scripts/chart_readme.py -->", "<!-- end of values -->"
KEY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z][\w]*):(?P<rest>.*)$")


def commented(text):
    """(path, comment or None, whether it has keys of its own below it) of every key that stands on a line of its own."""
    stack, comment, found = [], [], []
    inside = None
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare.startswith("#"):
            if bare.startswith("# -- "):
                comment = [bare.removeprefix("# -- ")]
            elif comment:
                comment.append(bare.lstrip("# "))
            continue
        match = KEY.match(line)
        depth = len(line) - len(line.lstrip())
        if inside is not None and bare and depth > inside:
            continue
        inside = None
        if not match:
            if not bare:
                comment = []
            continue
        while stack and stack[-1][0] >= depth:
            stack.pop()
        stack.append((depth, match["name"]))
        path = tuple(name for _, name in stack)
        rest = match["rest"].split(" #")[0].strip()
        found.append((path, " ".join(comment) or None, rest == "", number))
        if comment:
            # What a comment speaks of is one value, whatever lies in it.
            inside = depth
        comment = []
    return found


def rows():
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    faults, table = [], []
    for path, comment, opens, number in commented(text):
        if comment is None:
            if not opens:
                faults.append(f"charts/tidings/values.yaml:{number}: {'.'.join(path)} has no comment")
            continue
        value = values
        for name in path:
            value = value[name]
        shown = json.dumps(value, ensure_ascii=False)
        table.append(f"| `{'.'.join(path)}` | `{shown}` | {comment} |".replace("||", r"\|\|"))
    return faults, table


def main():
    check = sys.argv[1:] == ["--check"]
    faults, table = rows()
    if faults:
        print("\n".join(faults))
        return 1
    readme = CHART / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in rest:
        print(f"charts/tidings/README.md: the marks {BEGIN} and {END} are missing")
        return 1
    wanted = "\n".join([before + BEGIN, "| value | default | what it is |", "|---|---|---|", *table, END + after])
    if check and wanted != text:
        print("charts/tidings/README.md: the table is not that of values.yaml; run scripts/chart_readme.py")
        return 1
    if not check:
        readme.write_text(wanted, encoding="utf-8")
    print(f"chart readme ok: {len(table)} values")
    return 0


if __name__ == "__main__":
    sys.exit(main())
