"""What Prometheus and Grafana are given: rules that promtool takes, alerts that fire when they should and not otherwise, names that the product has."""

import json
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from rendering import CHART, ROOT, SCENARIOS, component, kind, objects, split

PROMTOOL = shutil.which("promtool") or str(ROOT / ".tools/prometheus/usr/bin/promtool")
CASES = yaml.safe_load((Path(__file__).parent / "alerts.yaml").read_text(encoding="utf-8"))
RUNBOOKS = ROOT / "docs" / "runbooks"

METRIC = re.compile(r"(counter|gauge|histogram)!\(\s*\"(tidings_\w+)\"(.*?)\)\s*\.", re.S)
LABEL = re.compile(r'"(\w+)"\s*=>')
# What Prometheus adds, and what is made in the query itself.
ADDED = {"namespace", "pod", "le", "job", "instance"}


def product():
    """Every metric of the product with its kind and labels. src/event.rs is the one home of their names, which tests/tidy.rs keeps."""
    text = (ROOT / "src" / "event.rs").read_text(encoding="utf-8")
    return {name: (what, set(LABEL.findall(rest))) for what, name, rest in METRIC.findall(text)}


def words():
    """Every text that the product's source has, where the values of labels come from."""
    found = set()
    for file in (ROOT / "src").rglob("*.rs"):
        found.update(re.findall(r'"([\w.]*)"', file.read_text(encoding="utf-8")))
    return found


def findings(query, metrics, known):
    """What a query asks for that the product does not have."""
    made_here = set(re.findall(r'label_replace\(.*?,\s*"(\w+)",', query)) | ADDED
    for name, matchers in re.findall(r"\b(tidings_\w+)(?:\{([^}]*)\})?", query):
        base, part = name, None
        if name not in metrics:
            base, _, part = name.rpartition("_")
        if base not in metrics or (
            part is not None and (metrics[base][0] != "histogram" or part not in ("bucket", "sum", "count"))
        ):
            yield f"{name} is no metric of the product"
            continue
        if part is None and metrics[base][0] == "histogram":
            yield f"{name} is a histogram: ask for its _bucket, _sum or _count"
        for label, value in re.findall(r'(\w+)\s*[=!]~?\s*"([^"]*)"', matchers or ""):
            if label not in metrics[base][1] | ADDED:
                yield f"{name} has no label {label}"
            elif label not in ADDED and "$" not in value:
                # A pattern is told by its alternatives, where they are plain.
                yield from (
                    f"{label} of {name} is never {one}"
                    for one in value.split("|")
                    if re.fullmatch(r"\w*", one) and one not in known
                )
    have = set().union(*(metrics[name][1] for name in metrics if name in query)) | made_here
    for clause in re.findall(r"\b(?:by|ignoring)\s*\(([^)]*)\)", query):
        for label in filter(None, re.split(r"[,\s]+", clause)):
            if label not in have:
                yield f"nothing in the query has a label {label}"


def rendered():
    """The groups of rules that the chart makes for many processes."""
    made = objects(split({"prometheusRule": {"enabled": True, "runbookUrl": "https://wiki.shop.example/runbooks/"}}))
    (rule,) = kind(made, "PrometheusRule").values()
    return rule["spec"]["groups"]


def alerts(groups):
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def promtool_test(name, case, fires):
    """One case as promtool reads it."""
    expected = []
    if fires:
        rule = ALERTS[name]
        annotations = {**rule["annotations"], "summary": case["says"]}
        # Of a rule that asks what is absent, the labels are those it asks for.
        expected = [
            {"exp_labels": {"namespace": "orders", **rule["labels"], **case["labels"]}, "exp_annotations": annotations}
        ]
    series = [
        {"series": one.replace("{", '{namespace="orders",', 1), "values": values}
        for one, values in case["series"].items()
    ]
    return {
        "interval": case.get("every", "1m"),
        "input_series": series,
        "alert_rule_test": [{"eval_time": case["at"], "alertname": name, "exp_alerts": expected}],
    }


ALERTS = alerts(rendered())


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(made.cleanup)
        cls.folder = Path(made.name)
        (cls.folder / "rules.yaml").write_text(yaml.safe_dump({"groups": rendered()}))

    def promtool(self, *arguments):
        return subprocess.run(
            [PROMTOOL, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=600, check=False
        )

    def test_promtool_takes_the_rules(self):
        ended = self.promtool("check", "rules", "rules.yaml")
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_quiet(self):
        self.assertEqual(set(CASES), set(ALERTS))
        for name, case in CASES.items():
            self.assertTrue(case["fires"] and case["quiet"], name)

    def test_each_alert_fires_when_it_should_and_not_otherwise(self):
        tests = [
            promtool_test(name, one, how == "fires")
            for name, case in CASES.items()
            for how in ("fires", "quiet")
            for one in case[how]
        ]
        # What is about days is looked at more seldom.
        for every in sorted({one["interval"] for one in tests}):
            some = [one for one in tests if one["interval"] == every]
            (self.folder / "tests.yaml").write_text(
                yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": every, "tests": some})
            )
            ended = self.promtool("test", "rules", "tests.yaml")
            self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_promtool_sees_an_alert_that_does_not_fire(self):
        """The test above can fail."""
        case = promtool_test("TidingsStorePaused", CASES["TidingsStorePaused"]["quiet"][0], False)
        case["alert_rule_test"][0]["exp_alerts"] = [{"exp_labels": {"severity": "page"}}]
        (self.folder / "wrong.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [case]}))
        self.assertNotEqual(self.promtool("test", "rules", "wrong.yaml").returncode, 0)

    def test_each_alert_has_a_page_and_each_page_an_alert(self):
        pages = {page.stem for page in RUNBOOKS.glob("Tidings*.md")}
        self.assertEqual(pages, set(ALERTS))
        for name, rule in ALERTS.items():
            self.assertEqual(rule["annotations"]["runbook_url"], f"https://wiki.shop.example/runbooks/{name}.md")
            self.assertEqual(rule["annotations"]["runbook"], f"docs/runbooks/{name}.md")
            self.assertIn(rule["labels"]["severity"], ("page", "ticket"))

    def test_the_schema_knows_just_these_alerts(self):
        schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
        known = schema["properties"]["prometheusRule"]["properties"]["alerts"]["properties"]
        self.assertEqual(set(known), set(ALERTS))

    def test_each_alert_has_a_switch(self):
        own = {"TidingsDown": {"enabled": False}, "TidingsQueueFull": {"for": "1h", "severity": "page"}}
        made = objects(
            split({"prometheusRule": {"enabled": True, "alerts": own, "alertLabels": {"team": "messaging"}}})
        )
        (rule,) = kind(made, "PrometheusRule").values()
        found = alerts(rule["spec"]["groups"])
        self.assertEqual(set(ALERTS) - set(found), {"TidingsDown"})
        self.assertEqual(found["TidingsQueueFull"]["for"], "1h")
        self.assertEqual(found["TidingsQueueFull"]["labels"], {"severity": "page", "team": "messaging"})

    def test_alerts_are_about_this_release_and_its_settings(self):
        layer = {
            "prometheusRule": {"enabled": True, "selector": 'cluster="{{ .Release.Name }}"'},
            "queue": {"window": 500},
        }
        (rule,) = kind(objects(split(layer)), "PrometheusRule").values()
        for name, one in alerts(rule["spec"]["groups"]).items():
            self.assertIn('cluster="shop"', one["expr"], name)
            self.assertNotIn("@", one["expr"], name)
        self.assertIn("0.4 * 500", alerts(rule["spec"]["groups"])["TidingsQueueFull"]["expr"])

    def test_one_process_without_a_broker_has_no_alerts_about_one(self):
        (rule,) = kind(objects({"prometheusRule": {"enabled": True}}), "PrometheusRule").values()
        found = alerts(rule["spec"]["groups"])
        self.assertEqual(
            {name for name in ALERTS if name not in found},
            {name for name in ALERTS if name.startswith("TidingsBroker")},
        )


class Names(unittest.TestCase):
    metrics, known = product(), words()

    def test_the_product_has_metrics(self):
        """The tests below would not see a file that says it in another way."""
        source = (ROOT / "src" / "event.rs").read_text(encoding="utf-8")
        self.assertEqual(set(self.metrics), set(re.findall(r'"(tidings_\w+)"', source)))
        self.assertIn(("counter", {"category", "outcome", "reason"}), self.metrics.values())

    def test_rules_ask_for_what_there_is(self):
        for group in rendered():
            for rule in group["rules"]:
                with self.subTest(rule.get("alert") or rule["record"]):
                    self.assertEqual(list(findings(rule["expr"], self.metrics, self.known)), [])

    def test_panels_ask_for_what_there_is(self):
        looked = 0
        for file in sorted((CHART / "dashboards").glob("*.json")):
            for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
                for target in panel.get("targets", []):
                    looked += 1
                    with self.subTest(file.name, panel=panel["title"]):
                        self.assertIn("tidings_", target["expr"])
                        self.assertEqual(list(findings(target["expr"], self.metrics, self.known)), [])
        self.assertGreater(looked, 20)

    def test_keda_asks_for_what_there_is(self):
        values = split(
            {"keda": {"prometheusAddress": "http://p:9090"}, "workers": {"email": {"autoscaling": {"kind": "keda"}}}}
        )
        (trigger,) = component(objects(values), "worker-email", "ScaledObject")["spec"]["triggers"]
        self.assertEqual(list(findings(trigger["metadata"]["query"], self.metrics, self.known)), [])

    def test_what_there_is_not_is_seen(self):
        """The tests above can fail."""
        wrong = {
            "rate(tidings_intent_total[5m])": "tidings_intent_total is no metric of the product",
            "tidings_intents_total_bucket": "tidings_intents_total_bucket is no metric of the product",
            "tidings_render_duration_seconds": "tidings_render_duration_seconds is a histogram",
            'tidings_intents_total{result="ok"}': "tidings_intents_total has no label result",
            'tidings_intents_total{outcome=~"accepted|refusd"}': "outcome of tidings_intents_total is never refusd",
            "sum by (chanel) (tidings_delivery_attempts_total)": "nothing in the query has a label chanel",
        }
        for query, sentence in wrong.items():
            self.assertIn(sentence, " ".join(findings(query, self.metrics, self.known)), query)


class Scraped(unittest.TestCase):
    def test_monitors_find_every_process_once(self):
        made = objects(
            split({"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}, "podMonitor": {"enabled": True}})
        )
        (service,) = kind(made, "ServiceMonitor").values()
        (pods,) = kind(made, "PodMonitor").values()
        self.assertEqual(service["metadata"]["labels"]["release"], "p")
        found = [
            name
            for name, one in kind(made, "Service").items()
            if service["spec"]["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()
        ]
        self.assertEqual(found, ["shop-tidings-metrics"])
        (left,) = pods["spec"]["selector"]["matchExpressions"]
        self.assertEqual((left["operator"], left["values"]), ("NotIn", ["ingest", "migrate", "test"]))
        self.assertEqual(pods["spec"]["podMetricsEndpoints"][0]["port"], "health")

    def test_nobody_is_watched_unasked(self):
        made = {one["kind"] for one in objects()}
        self.assertFalse(made & {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ScaledObject"})

    def test_dashboards_are_where_grafana_looks(self):
        path = next(one for one in SCENARIOS if one.name == "monitoring-values.yaml")
        made = kind(objects(yaml.safe_load(path.read_text())), "ConfigMap")
        boards = {name: one for name, one in made.items() if "dashboard" in name}
        self.assertEqual(
            set(boards), {f"shop-tidings-dashboard-{name}" for name in ("overview", "delivery", "fatigue")}
        )
        for one in boards.values():
            self.assertEqual(one["metadata"]["namespace"], "monitoring")
            self.assertEqual(one["metadata"]["labels"]["grafana_dashboard"], "1")
            (text,) = one["data"].values()
            self.assertTrue(json.loads(text)["uid"].startswith("tidings-"))


if __name__ == "__main__":
    unittest.main()
