"""How a release fits into a cluster: who reaches it and whom it reaches, how it grows, how its tables are brought to a release, how it is tried."""

import unittest

from rendering import component, helm, kind, objects, split

HERE = [{"podSelector": {}}]
SMTP = {"email": {"kind": "smtp", "smtp": {"host": "smtp.shop.example"}}}
TWILIO = {"sms": {"kind": "twilio", "twilio": {"accountSid": "A", "existingSecret": "twilio", "from": "+1"}}}


def ports(policy, direction):
    """Which ports a NetworkPolicy opens, with their peers; None: everybody."""
    peer = {"ingress": "from", "egress": "to"}[direction]
    return {port["port"]: rule.get(peer) for rule in policy["spec"][direction] for port in rule["ports"]}


class Network(unittest.TestCase):
    def policy(self, name, *layers, sandbox=False):
        return component(
            objects(layers[0] if sandbox and layers else {} if sandbox else split(*layers)), name, "NetworkPolicy"
        )

    def test_only_the_same_namespace_reaches_the_sandbox_and_it_reaches_nothing(self):
        policy = self.policy("all-in-one", sandbox=True)
        self.assertEqual(ports(policy, "ingress"), {50051: HERE, 9090: HERE})
        self.assertEqual(set(ports(policy, "egress")), {53})
        self.assertEqual(policy["spec"]["policyTypes"], ["Ingress", "Egress"])

    def test_nobody_calls_what_takes_no_calls(self):
        for name in ("worker-email", "scheduler", "console"):
            self.assertEqual(set(ports(self.policy(name), "ingress")), {9090}, name)

    def test_each_reaches_its_servers_only(self):
        layer = {
            "providers": {**SMTP, **TWILIO},
            "rabbitmq": {"hosts": ["a:5671", "b:5673"]},
            "postgres": {"port": 6432},
        }
        servers = {53, 6432, 5671, 5673}
        for name, more in (
            ("ingest", set()),
            ("scheduler", set()),
            ("console", set()),
            ("worker-email", {587}),
            ("worker-sms", {443}),
            ("worker-chat", set()),
        ):
            self.assertEqual(set(ports(self.policy(name, layer), "egress")), servers | more, name)

    def test_one_pod_that_sends_reaches_its_provider(self):
        values = split({"mode": "all-in-one", "postgres": {"host": ""}, "rabbitmq": {"hosts": []}, "providers": SMTP})
        self.assertEqual(set(ports(component(objects(values), "all-in-one", "NetworkPolicy"), "egress")), {53, 587})

    def test_https_leads_to_the_world_and_to_no_private_network(self):
        peers = ports(self.policy("worker-sms", {"providers": TWILIO}), "egress")[443]
        self.assertIn("169.254.0.0/16", peers[0]["ipBlock"]["except"])
        self.assertIn("10.0.0.0/8", peers[0]["ipBlock"]["except"])

    def test_peers_can_be_named(self):
        callers, database = [{"podSelector": {"matchLabels": {"calls": "tidings"}}}], [
            {"ipBlock": {"cidr": "10.0.0.5/32"}}
        ]
        layer = {"networkPolicy": {"callers": callers, "postgres": database}}
        self.assertEqual(ports(self.policy("ingest", layer), "ingress")[50051], callers)
        self.assertEqual(ports(self.policy("ingest", layer), "egress")[5432], database)

    def test_what_runs_to_its_end_reaches_what_it_needs(self):
        made = objects(split())
        self.assertEqual(set(ports(component(made, "migrate", "NetworkPolicy"), "egress")), {53, 5432})
        self.assertEqual(set(ports(component(made, "test", "NetworkPolicy"), "egress")), {53, 50051})

    def test_can_be_left_to_others(self):
        for values in ({}, split()):
            self.assertEqual(kind(objects({**values, "networkPolicy": {"enabled": False}}), "NetworkPolicy"), {})

    def test_callers_and_scrapers_come_by_services_of_their_own(self):
        made = objects(split())
        services = kind(made, "Service")
        found = {
            name: [(one["port"], one["appProtocol"]) for one in service["spec"]["ports"]]
            for name, service in services.items()
        }
        self.assertEqual(
            found,
            {
                "shop-tidings": [(50051, "grpc")],
                "shop-tidings-headless": [(50051, "grpc")],
                "shop-tidings-metrics": [(9090, "http")],
            },
        )
        labels = component(made, "ingest")["spec"]["template"]["metadata"]["labels"]
        for service in services.values():
            self.assertLessEqual(service["spec"]["selector"].items(), labels.items())
        self.assertEqual(services["shop-tidings-headless"]["spec"]["clusterIP"], "None")

    def test_every_selector_finds_the_pods_of_its_component_alone(self):
        made = objects(split())
        deployed = {
            one["metadata"]["labels"]["app.kubernetes.io/component"]: one for one in kind(made, "Deployment").values()
        }
        self.assertEqual(len(deployed), 6)
        for name, one in deployed.items():
            selector = one["spec"]["selector"]["matchLabels"]
            matching = [
                other
                for other, two in deployed.items()
                if selector.items() <= two["spec"]["template"]["metadata"]["labels"].items()
            ]
            self.assertEqual(matching, [name])


class Growth(unittest.TestCase):
    def test_a_budget_for_evictions_only_where_there_is_more_than_one(self):
        found = set(kind(objects(split({"workers": {"sms": {"replicas": 1}}})), "PodDisruptionBudget"))
        self.assertEqual(
            found, {f"shop-tidings-{name}" for name in ("ingest", "worker-email", "worker-chat", "scheduler")}
        )
        self.assertEqual(kind(objects(), "PodDisruptionBudget"), {})
        one = component(objects(split()), "ingest", "PodDisruptionBudget")
        self.assertEqual((one["spec"]["maxUnavailable"], one["spec"]["unhealthyPodEvictionPolicy"]), (1, "AlwaysAllow"))

    def test_a_budget_goes_by_what_an_autoscaler_leaves(self):
        made = objects(
            split(
                {
                    "keda": {"prometheusAddress": "http://p:9090"},
                    "workers": {"email": {"autoscaling": {"kind": "keda", "minReplicas": 1}}},
                }
            )
        )
        self.assertNotIn("shop-tidings-worker-email", kind(made, "PodDisruptionBudget"))

    def test_whoever_is_scaled_is_scaled_by_one_and_told_no_number(self):
        made = objects(
            split(
                {
                    "keda": {"prometheusAddress": "http://p:9090"},
                    "ingest": {"autoscaling": {"kind": "hpa"}},
                    "workers": {"email": {"autoscaling": {"kind": "keda"}}, "sms": {"autoscaling": {"kind": "hpa"}}},
                }
            )
        )
        self.assertEqual(set(kind(made, "HorizontalPodAutoscaler")), {"shop-tidings-ingest", "shop-tidings-worker-sms"})
        self.assertEqual(set(kind(made, "ScaledObject")), {"shop-tidings-worker-email"})
        for name, scaled in (
            ("ingest", True),
            ("worker-email", True),
            ("worker-sms", True),
            ("worker-chat", False),
            ("scheduler", False),
        ):
            self.assertEqual("replicas" not in component(made, name)["spec"], scaled, name)
        one = component(made, "ingest", "HorizontalPodAutoscaler")
        self.assertEqual(one["spec"]["scaleTargetRef"]["name"], component(made, "ingest")["metadata"]["name"])

    def test_workers_follow_what_waits_for_their_channel_and_lanes(self):
        values = split(
            {
                "keda": {"prometheusAddress": "http://p:9090"},
                "workers": {"email": {"lanes": ["bulk"], "autoscaling": {"kind": "keda", "targetBacklog": 500}}},
            }
        )
        (trigger,) = component(objects(values), "worker-email", "ScaledObject")["spec"]["triggers"]
        self.assertEqual(trigger["type"], "prometheus")
        self.assertEqual(
            trigger["metadata"]["query"],
            'sum(max by (queue) (tidings_queue_messages{namespace="orders",queue=~"email[.](bulk)"}))',
        )
        self.assertEqual(trigger["metadata"]["threshold"], "500")


class Migrations(unittest.TestCase):
    def job(self, **layer):
        (job,) = kind(objects(split(layer)), "Job").values()
        return job

    def test_run_before_the_release_with_what_they_need_brought_along(self):
        made = objects(split())
        (job,) = kind(made, "Job").values()
        hook = job["metadata"]["annotations"]
        self.assertEqual(hook["helm.sh/hook"], "pre-install,pre-upgrade")
        settings = next(
            one
            for one in made
            if one["kind"] == "ConfigMap" and "helm.sh/hook" in one["metadata"].get("annotations", {})
        )
        self.assertLess(
            int(settings["metadata"]["annotations"]["helm.sh/hook-weight"]), int(hook["helm.sh/hook-weight"])
        )
        spec = job["spec"]["template"]["spec"]
        self.assertEqual(spec["volumes"][0]["configMap"]["name"], settings["metadata"]["name"])
        # The release's account is made after its hooks have run.
        self.assertEqual(spec["serviceAccountName"], "default")
        self.assertEqual(spec["containers"][0]["args"], ["migrate", "--config=/etc/tidings/tidings.toml"])

    def test_a_plain_job_is_another_one_for_another_image(self):
        first, second = (self.job(migrations={"kind": "job"}, image={"tag": tag}) for tag in ("1", "2"))
        self.assertFalse([key for key in first["metadata"]["annotations"] if key.startswith("helm.sh/")])
        self.assertNotEqual(first["metadata"]["name"], second["metadata"]["name"])
        self.assertIn("ttlSecondsAfterFinished", first["spec"])
        self.assertEqual(first["spec"]["template"]["spec"]["serviceAccountName"], "shop-tidings")

    def test_nothing_to_run_where_a_start_does_it(self):
        self.assertEqual(kind(objects(split({"migrations": {"kind": "start"}})), "Job"), {})
        self.assertEqual(kind(objects(), "Job"), {})


class Tried(unittest.TestCase):
    def test_helm_test_sends_a_message_through_the_sandbox(self):
        (pod,) = kind(objects(), "Pod").values()
        self.assertEqual(pod["metadata"]["annotations"]["helm.sh/hook"], "test")
        (one,) = pod["spec"]["containers"]
        self.assertEqual(one["args"][:3], ["send", "order.shipped", "--to=helm-test@example.com"])
        self.assertIn("--wait=1m", one["args"])
        self.assertIn("--address=http://shop-tidings.orders.svc:50051", one["args"])

    def test_helm_test_sends_nothing_where_it_would_leave(self):
        self.assertEqual(kind(objects(split()), "Pod"), {})
        (pod,) = kind(objects(split({"tests": {"apiKeySecret": "key", "caSecret": "ca"}})), "Pod").values()
        arguments = pod["spec"]["containers"][0]["args"]
        self.assertIn("--dry-run", arguments)
        self.assertIn("--address=https://shop-tidings.orders.svc:50051", arguments)

    def notes(self, values):
        ended = helm(values, "--dry-run=client", command="install")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return ended.stdout.partition("NOTES:")[2]

    def test_the_notes_say_what_is_insecure_and_what_comes_next(self):
        notes = self.notes({})
        self.assertIn("INSECURE: auth.mode is none.", notes)
        self.assertIn("Only Pods of this namespace reach it", notes)
        self.assertIn("helm -n orders test shop", notes)
        self.assertIn("port-forward deployment/shop-tidings-all-in-one 8080", notes)
        notes = self.notes(split())
        self.assertNotIn("INSECURE", notes)
        self.assertIn("deployment/shop-tidings-worker-sms", notes)
        self.assertIn("NOTE: chat, email, sms: captured, not sent", notes)
        slow = split({"providers": {"email": {"kind": "smtp", "smtp": {"host": "s", "dataTimeoutSeconds": 300}}}})
        self.assertIn("NOTE: worker-email drains for 135 s and smtp may take 300 s to answer", self.notes(slow))
        self.assertNotIn("drains for", self.notes(split({"providers": SMTP})))
        self.assertIn("every Pod of the cluster reaches it", self.notes({"networkPolicy": {"enabled": False}}))


if __name__ == "__main__":
    unittest.main()
