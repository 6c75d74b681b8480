"""The settings that the chart makes are ones that the real program takes, and each component gets what it needs and no more.

The program is $TIDINGS_BINARY. Its `doctor` reads a settings file as a start does, and says first what is wrong with it.
"""

import json
import os
import shutil
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

from rendering import KUBERNETES, ROOT, SCENARIOS, merged, objects, pods, scenario, settings, split

TEMPLATES = ROOT / "templates"
BINARY = os.environ.get("TIDINGS_BINARY", "")
SENDING = {
    "email": {
        "kind": "smtp",
        "rate": "50/s",
        "smtp": {"host": "smtp.shop.example", "username": "shop", "existingSecret": "smtp"},
    },
    "sms": {
        "kind": "twilio",
        "rate": "20/s",
        "twilio": {"accountSid": "AC0", "existingSecret": "twilio", "from": "+1"},
    },
    "chat": {"kind": "discord", "discord": {"existingSecret": "discord"}},
}


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


class TheProgram(unittest.TestCase):
    """Takes every file that is made for a scenario."""

    @classmethod
    def setUpClass(cls):
        if not BINARY:
            raise AssertionError("TIDINGS_BINARY names no program; scripts/chart.sh does")
        cls.made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.made.cleanup)
        cls.pki = Path(cls.made.name)
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl(
            cls.pki,
            "req",
            "-x509",
            *curve,
            "-days",
            "2",
            "-subj",
            "/CN=authority",
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
        )
        openssl(
            cls.pki,
            "req",
            *curve,
            "-subj",
            "/CN=gateway",
            "-addext",
            "subjectAltName=DNS:gateway",
            "-keyout",
            "tls.key",
            "-out",
            "gateway.csr",
        )
        openssl(
            cls.pki,
            "x509",
            "-req",
            "-in",
            "gateway.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-days",
            "2",
            "-copy_extensions",
            "copy",
            "-out",
            "tls.crt",
        )

    def laid_out(self, folder, all_objects):
        """What Kubernetes would mount below /etc/tidings, for all components together; who is not mounted to is looked at elsewhere."""
        for _, spec in pods(all_objects):
            for volume in spec.get("volumes", []):
                if not volume["name"].startswith("secret-"):
                    continue
                home = folder / "secrets" / volume["name"].removeprefix("secret-")
                home.mkdir(parents=True, exist_ok=True)
                for item in volume["secret"]["items"]:
                    known = self.pki / item["path"]
                    file = home / item["path"]
                    file.write_text(known.read_text() if known.exists() else "secret\n")
                    file.chmod(volume["secret"]["defaultMode"])

    def findings(self, folder, text):
        """What `doctor` says of these settings. Its own exit code also tells of servers that are not here."""
        file = folder / "tidings.toml"
        file.write_text(
            text.replace("/etc/tidings", str(folder))
            .replace("/var/lib/tidings", str(folder / "data"))
            .replace(":50051", ":0")
            .replace(":9090", ":0")
            .replace(":8080", ":0")
        )
        line = [BINARY, "doctor", "--json", "--config", str(file)]
        ended = subprocess.run(
            line, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=600, check=False
        )
        return ended.returncode, json.loads(ended.stdout)

    def test_takes_every_file_of_every_scenario(self):
        looked, taken = 0, set()
        for path in SCENARIOS:
            made = objects(scenario(path), kubernetes=KUBERNETES)
            for owner, name, text in settings(made):
                looked += 1
                # Scenarios share most files.
                if text in taken:
                    continue
                with self.subTest(path.name, file=name), tempfile.TemporaryDirectory() as folder:
                    folder = Path(folder)
                    self.laid_out(folder, made)
                    # Folders of templates are looked for when something is opened; what reads them is tried below.
                    (folder / "templates").mkdir()
                    code, findings = self.findings(folder, text)
                    self.assertEqual(
                        [one for one in findings if one["what"] == "configuration" and not one["good"]], [], owner
                    )
                    self.assertNotEqual(code, 64)
                    taken.add(text)
        self.assertGreater(looked, 3 * len(SCENARIOS))

    def test_would_refuse_what_is_wrong(self):
        """The test above can fail."""
        (_, _, text), *_ = settings(objects())
        with tempfile.TemporaryDirectory() as folder:
            code, findings = self.findings(Path(folder), text.replace("insecure = true", "insecure = false"))
        self.assertEqual(code, 64)
        self.assertIn("callers must be known then", findings[0]["sentence"])

    def templates(self, values, lay_out):
        """What `doctor` says of templates that lie as `lay_out` puts them into the mounted folder."""
        (_, _, text), *_ = settings(objects({"templates": values}))
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "templates").mkdir()
            lay_out(folder / "templates")
            _, findings = self.findings(folder, text)
        return next(one for one in findings if one["what"] == "templates")

    def test_reads_templates_as_a_config_map_lays_them_out(self):
        """Kubernetes writes a ConfigMap into a hidden folder with links beside it, which the program passes over or refuses."""

        def lay_out(mount):
            hidden = mount / "..2026_11_23_12_00_00.1"
            shutil.copytree(TEMPLATES, hidden)
            (mount / "..data").symlink_to(hidden.name)
            for one in hidden.iterdir():
                (mount / one.name).symlink_to(Path("..data") / one.name)

        found = self.templates(
            {"source": "configMap", "configMap": {"name": "messages", "items": [{"key": "shop", "path": "shop.toml"}]}},
            lay_out,
        )
        self.assertTrue(found["good"], found["sentence"])

    def test_reads_templates_as_git_sync_lays_them_out(self):
        """A link leads to the worktree of the newest commit."""

        def lay_out(mount):
            shutil.copytree(TEMPLATES, mount / ".worktrees" / "0123abc" / "messages")
            (mount / "current").symlink_to(".worktrees/0123abc")

        found = self.templates(
            {"source": "gitSync", "gitSync": {"repo": "https://git.shop.example/m.git", "path": "messages"}}, lay_out
        )
        self.assertTrue(found["good"], found["sentence"])

    def test_says_that_templates_are_missing(self):
        """The two tests above can fail."""
        found = self.templates(
            {"source": "persistentVolumeClaim", "persistentVolumeClaim": {"claimName": "m"}}, lambda mount: None
        )
        self.assertFalse(found["good"])


class EachComponent(unittest.TestCase):
    def of(self, *layers):
        made = objects(split({"providers": SENDING}, *layers))
        return {
            name.removesuffix(".toml"): tomllib.loads(text)
            for owner, name, text in settings(made)
            if not owner.endswith("-migrate")
        }

    def test_does_one_thing(self):
        told = self.of({"workers": {"email": {"lanes": ["bulk"]}}})
        roles = {name: (one["server"]["roles"], one.get("workers", {}).get("channels")) for name, one in told.items()}
        self.assertEqual(
            roles,
            {
                "ingest": (["ingest"], None),
                "worker-email": (["worker"], ["email"]),
                "worker-sms": (["worker"], ["sms"]),
                "worker-chat": (["worker"], ["chat"]),
                "scheduler": (["scheduler"], None),
                "console": (["console"], None),
            },
        )
        self.assertEqual(told["worker-email"]["workers"]["lanes"], ["bulk"])

    def test_knows_the_providers_that_it_needs(self):
        told = self.of()
        kinds = {name: sorted(one.get("providers", {})) for name, one in told.items()}
        # The scheduler takes over from dead workers no sooner than the slowest answer of any provider. The rate of a provider bounds what ingest
        # puts into the queue, for which it needs no secret.
        self.assertEqual(kinds["scheduler"], ["discord", "smtp", "twilio"])
        self.assertEqual(kinds["worker-email"], ["outbox", "smtp"])
        self.assertEqual(kinds["ingest"], ["outbox"])
        self.assertEqual(told["ingest"]["providers"]["outbox"]["email"], {"channel": "email", "rate": "50/s"})

    def test_listens_where_callers_and_probes_come_and_keeps_the_console_to_itself(self):
        for name, one in self.of().items():
            with self.subTest(name):
                self.assertEqual(one["server"]["health_address"], "0.0.0.0:9090")
                self.assertEqual(one["server"]["console_address"], "127.0.0.1:8080")
                self.assertNotIn("insecure", one["server"])
                self.assertEqual("tls" in one["server"], name in ("ingest", "console"))
                self.assertEqual("callers" in one, name in ("ingest", "console"))

    def test_is_told_how_long_it_may_drain(self):
        told = self.of({"pod": {"drainSeconds": 20}, "workers": {"email": {"drainSeconds": 90}}})
        self.assertEqual(told["ingest"]["server"]["drain"], "20s")
        self.assertEqual(told["worker-email"]["server"]["drain"], "90s")

    def test_takes_texts_as_they_are(self):
        odd = 'a"b\\c${x}<&>é'
        told = self.of({"postgres": {"user": odd}})
        self.assertEqual(told["ingest"]["store"]["postgres"]["user"], odd)


class TheSandbox(unittest.TestCase):
    def test_is_open_and_sends_nothing(self):
        ((_, name, text),) = settings(objects())
        told = tomllib.loads(text)
        self.assertEqual(name, "all-in-one.toml")
        self.assertTrue(told["server"]["insecure"])
        self.assertEqual((told["store"]["kind"], told["queue"]["kind"]), ("sqlite", "memory"))
        self.assertNotIn("providers", told)

    def test_is_closed_with_callers(self):
        values = merged(
            {
                "auth": {
                    "mode": "callers",
                    "callers": {"a": {"scopes": ["read"], "apiKeyHashes": ["sha256:" + "0" * 64]}},
                },
                "tls": {"existingSecret": "t"},
            }
        )
        ((_, _, text),) = settings(objects(values))
        told = tomllib.loads(text)
        self.assertNotIn("insecure", told["server"])
        self.assertEqual(told["callers"]["a"]["scopes"], ["read"])


if __name__ == "__main__":
    unittest.main()
