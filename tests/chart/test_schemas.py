"""What the chart makes is what Kubernetes takes, for the oldest, a middle and the newest version it is checked for, by both helms."""

import subprocess
import unittest

import kubernetes_validate
import yaml

from rendering import CHART, HELMS, SCENARIOS, objects, scenario

# The chart's kubeVersion begins with the first. 1.32 is also the last without templates from an OCI artifact.
VERSIONS = ("1.30", "1.33", "1.37")
NEEDS = {"template-image-values.yaml": "1.33"}
# Kinds of others, which have no schema here: the Prometheus operator's, KEDA's, the Gateway API's, and an example in extraObjects.
OTHERS = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ScaledObject", "GRPCRoute", "ExternalSecret"}


def number(version):
    return tuple(int(part) for part in version.split("."))


class Schemas(unittest.TestCase):
    def test_every_scenario_is_taken_by_every_version(self):
        looked = 0
        for path in SCENARIOS:
            for version in VERSIONS:
                if number(version) < number(NEEDS.get(path.name, "0.0")):
                    continue
                for one in objects(scenario(path), kubernetes=version):
                    if one["kind"] in OTHERS:
                        continue
                    with self.subTest(path.name, kubernetes=version, object=f"{one['kind']}/{one['metadata']['name']}"):
                        kubernetes_validate.validate(one, version, strict=True)
                        looked += 1
        self.assertGreater(looked, 400)

    def test_a_misspelt_key_is_seen(self):
        """The test above can fail."""
        one = next(one for one in objects() if one["kind"] == "Deployment")
        wrong = yaml.safe_load(yaml.safe_dump(one))
        wrong["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 1
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)

    def test_both_helms_make_the_same(self):
        for path in SCENARIOS:
            with self.subTest(path.name):
                values = scenario(path)
                self.assertEqual(objects(values, version="3"), objects(values, version="4"))

    def test_both_helms_lint_every_scenario(self):
        for version, helm in HELMS.items():
            for path in SCENARIOS:
                with self.subTest(path.name, helm=version):
                    line = [
                        str(helm),
                        "lint",
                        "--strict",
                        str(CHART),
                        "--values",
                        str(path),
                        "--kube-version",
                        "1.34.0",
                    ]
                    ended = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)
                    self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def test_every_object_has_a_namespace_and_says_to_whom_it_belongs(self):
        for path in SCENARIOS:
            for one in objects(scenario(path)):
                with self.subTest(path.name, object=f"{one['kind']}/{one['metadata']['name']}"):
                    self.assertIn(one["metadata"].get("namespace"), ("orders", "monitoring"))
                    # What is in extraObjects is the operator's.
                    if one["kind"] != "ExternalSecret" and not one["metadata"]["name"].endswith("-more"):
                        self.assertEqual(one["metadata"]["labels"]["app.kubernetes.io/part-of"], "tidings")


if __name__ == "__main__":
    unittest.main()
