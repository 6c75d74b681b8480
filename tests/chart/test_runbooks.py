"""What the runbooks and the guide tell people to type is tried: against the sandbox as the chart starts it, by $TIDINGS_BINARY."""

import os
import re
import shlex
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

import yaml

from rendering import HELMS, ROOT, SCENARIOS, kind, objects, scenario, settings
from test_monitoring import PROMTOOL, RUNBOOKS, findings, product, words

BINARY = os.environ.get("TIDINGS_BINARY", "")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
PAGES = sorted(RUNBOOKS.glob("*.md"))
# What a healthy sandbox answers with a refusal: nothing is held there, and nothing unknown. It is asked so that the words are known to be right.
REFUSED = {"recover": "NOT_PAUSED", "unknown resolve": "NOT_UNKNOWN"}
# A gateway that runs owns its folder and its ports, and doctor says so.
FINDS = {"doctor"}


def blocks(page, language):
    """The fenced blocks of a page in one language."""
    return [body for what, body in BLOCK.findall(page.read_text(encoding="utf-8")) if what == language]


def commands():
    for page in PAGES:
        for body in blocks(page, ""):
            for line in body.splitlines():
                yield page.stem, line


class Typed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not BINARY:
            raise AssertionError("TIDINGS_BINARY names no program; scripts/chart.sh does")
        made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(made.cleanup)
        cls.folder = Path(made.name)
        ((_, _, text),) = settings(objects())
        for port in (":50051", ":9090", ":8080"):
            text = text.replace(port, ":0")
        (cls.folder / "tidings.toml").write_text(
            text.replace("0.0.0.0", "127.0.0.1").replace("/var/lib/tidings", str(cls.folder))
        )
        said = (cls.folder / "said").open("w")
        cls.addClassCleanup(said.close)
        line = [BINARY, "serve", "--config", str(cls.folder / "tidings.toml")]
        gateway = subprocess.Popen(line, env=cls.environment(), stdout=said, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(gateway.wait)
        cls.addClassCleanup(gateway.kill)
        doors = {}
        until = time.monotonic() + 60
        while not {"gRPC", "health", "callers"} <= doors.keys():
            if gateway.poll() is not None or time.monotonic() > until:
                raise AssertionError("the sandbox did not start")
            time.sleep(0.05)
            doors = dict(one.split(None, 1) for one in (cls.folder / "said").read_text().splitlines() if " " in one)
        cls.address, cls.health = doors["gRPC"].strip(), doors["health"].strip()
        ended = cls.run_tidings(
            ["send", "order.shipped", "--to", "oncall@example.com", "--var", "order.number=1", "--wait=1m"]
        )
        cls.sent = ended.stdout.split("notification\t")[1].split()[0]

    @staticmethod
    def environment():
        return {"PATH": os.environ["PATH"]}

    @classmethod
    def run_tidings(cls, arguments):
        env = {**cls.environment(), "TIDINGS_ADDRESS": cls.address}
        return subprocess.run(
            [BINARY, *arguments], cwd=cls.folder, env=env, capture_output=True, text=True, timeout=600, check=False
        )

    def test_each_command_is_one_and_does_what_the_page_says(self):
        tried = 0
        for page, line in commands():
            if not line.startswith("tidings "):
                continue
            with self.subTest(page, line=line):
                arguments = shlex.split(line.replace(" ID", f" {self.sent}"))[1:]
                # The sandbox knows no callers, so there is nothing to show to it.
                for option in ("--address", "--ca-file", "--api-key-file"):
                    if option in arguments:
                        del arguments[arguments.index(option) : arguments.index(option) + 2]
                ended = self.run_tidings(arguments)
                told = ended.stdout + ended.stderr
                refused = next(
                    (reason for words, reason in REFUSED.items() if line.startswith(f"tidings {words}")), None
                )
                if refused:
                    self.assertEqual(ended.returncode, 1, told)
                    self.assertIn(refused, told)
                elif arguments[0] in FINDS:
                    self.assertEqual(ended.returncode, 1, told)
                    self.assertIn("every setting is known and in range", told)
                else:
                    self.assertEqual(ended.returncode, 0, told)
                tried += 1
        self.assertGreater(tried, 15)

    def test_a_filter_that_is_none_is_refused(self):
        """The test above can fail."""
        self.assertNotEqual(self.run_tidings(["notifications", "list", "--filter", "stat = FAILED"]).returncode, 0)

    def test_readiness_is_where_the_pages_say(self):
        asked = {line for _, line in commands() if line.startswith("curl ")}
        self.assertEqual(asked, {"curl --silent http://127.0.0.1:9090/readyz"})
        with urllib.request.urlopen(f"{self.health}/readyz", timeout=60) as answer:
            self.assertEqual(answer.read(), b"ready\n")

    def test_each_page_is_whole(self):
        for page in PAGES:
            if page.stem == "README":
                continue
            with self.subTest(page.stem):
                text = page.read_text(encoding="utf-8")
                for part in (
                    f"# {page.stem}\n",
                    "**What customers and services see.**",
                    "## Is it so?",
                    "## What to do",
                    "## Over when",
                ):
                    self.assertIn(part, text)
                self.assertTrue(blocks(page, "promql") or blocks(page, ""), "nothing to type")

    def test_queries_are_taken_by_promtool_and_ask_for_what_there_is(self):
        metrics, known = product(), words()
        queries = [(page.stem, body.strip()) for page in PAGES for body in blocks(page, "promql")]
        self.assertGreater(len(queries), 20)
        for page, query in queries:
            with self.subTest(page, query=query):
                self.assertEqual(list(findings(query, metrics, known)), [])
        rules = [{"record": f"runbooks:query{number}", "expr": query} for number, (_, query) in enumerate(queries)]
        (self.folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}))
        ended = subprocess.run(
            [PROMTOOL, "check", "rules", "rules.yaml"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_sentences_of_the_log_are_the_programs(self):
        source = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.rs"))
        for sentence in (
            "the provider is failing and is left alone",
            "the provider takes messages again",
            "the broker cannot be reached",
        ):
            self.assertIn(sentence, source)
            self.assertTrue(any(sentence in page.read_text(encoding="utf-8") for page in PAGES))

    def test_what_the_guide_says_can_be_installed(self):
        """Each `helm install` and `upgrade` of docs/install.md, with the files of values that stand there."""
        guide = ROOT / "docs" / "install.md"
        for name, body in zip(("values.yaml", "split.yaml"), blocks(guide, "yaml"), strict=True):
            (self.folder / name).write_text(body)
        lines = [
            line
            for body in blocks(guide, "")
            for line in body.splitlines()
            if re.match(r"helm (install|upgrade)", line)
        ]
        self.assertEqual(len(lines), 4)
        for line in lines:
            with self.subTest(line=line):
                _, command, release, chart, *options = shlex.split(line)
                self.assertTrue((ROOT / chart / "Chart.yaml").exists())
                options = [one for one in options if one != "--create-namespace"]
                ended = subprocess.run(
                    [HELMS["4"], "template", release, ROOT / chart, *options],
                    cwd=self.folder,
                    capture_output=True,
                    text=True,
                    timeout=600,
                    check=False,
                )
                self.assertEqual(ended.returncode, 0, ended.stderr)
                for name in re.findall(r"deployment/(\S+)", guide.read_text(encoding="utf-8")):
                    if name.startswith(release) and command == "install":
                        self.assertIn(f"name: {name}\n", ended.stdout)

    def test_objects_that_the_pages_name_are_the_charts(self):
        made = [one for path in SCENARIOS for one in objects(scenario(path), release="RELEASE".lower())]
        deployments = set(kind(made, "Deployment"))
        for page, line in commands():
            for name in re.findall(r"deployment/RELEASE-([\w-]+)", line):
                self.assertIn(f"release-{name}", deployments, page)
            for name in re.findall(r"app\.kubernetes\.io/component=([\w-]+)", line):
                self.assertTrue(any(one.endswith(f"-{name}") for one in deployments), page)


if __name__ == "__main__":
    unittest.main()
