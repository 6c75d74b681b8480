"""How Pods run: what they may do, how they begin and end, what they mount, where they go."""

import unittest

from rendering import SCENARIOS, component, container, kind, objects, pod, pods, scenario, split

RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


class Restricted(unittest.TestCase):
    def test_no_pod_may_do_more_than_it_needs(self):
        for path in SCENARIOS:
            for where, spec in pods(objects(scenario(path))):
                with self.subTest(path.name, pod=where):
                    self.assertIs(spec["automountServiceAccountToken"], False)
                    self.assertEqual(spec["securityContext"]["runAsUser"], 65532)
                    self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
                    self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                    # A group that owns everything anew at each start would open the store's folder to it.
                    self.assertEqual(spec["securityContext"]["fsGroupChangePolicy"], "OnRootMismatch")
                    self.assertIs(spec["enableServiceLinks"], False)
                    ours = [
                        one
                        for one in spec["containers"] + spec.get("initContainers", [])
                        if one["name"] not in ("side", "before")
                    ]
                    self.assertTrue(ours)
                    for one in ours:
                        self.assertEqual(one["securityContext"], RESTRICTED, one["name"])
                        self.assertIn("memory", one["resources"]["limits"], one["name"])

    def test_secrets_are_files_of_the_group_and_never_variables(self):
        for path in SCENARIOS:
            for where, spec in pods(objects(scenario(path))):
                with self.subTest(path.name, pod=where):
                    for volume in spec.get("volumes", []):
                        if "secret" in volume:
                            self.assertEqual(volume["secret"]["defaultMode"], 0o440, volume["name"])
                    for one in spec["containers"]:
                        self.assertFalse([var for var in one.get("env", []) if "secretKeyRef" in str(var)])

    def test_the_chart_makes_no_secret(self):
        for path in SCENARIOS:
            with self.subTest(path.name):
                self.assertEqual(kind(objects(scenario(path)), "Secret"), {})


class Secrets(unittest.TestCase):
    def test_each_component_mounts_what_it_needs_and_no_more(self):
        made = objects(
            split(
                {
                    "tls": {"clientCa": {"existingSecret": "callers-ca"}},
                    "providers": {
                        "email": {"kind": "smtp", "smtp": {"host": "s", "username": "u", "existingSecret": "smtp"}},
                        "sms": {
                            "kind": "twilio",
                            "twilio": {"accountSid": "A", "existingSecret": "twilio", "from": "+1"},
                        },
                        "chat": {"kind": "discord", "discord": {"existingSecret": "discord"}},
                    },
                }
            )
        )
        servers = {"pg", "mq"}
        doors = {"gateway-tls", "callers-ca"}
        wanted = {
            "ingest": servers | doors,
            "worker-email": servers | {"smtp"},
            "worker-sms": servers | {"twilio"},
            "worker-chat": servers | {"discord"},
            "scheduler": servers | {"smtp", "twilio", "discord"},
            "console": servers | doors,
        }
        for name, secrets in wanted.items():
            with self.subTest(name):
                volumes = pod(made, name)["volumes"]
                self.assertEqual({one["secret"]["secretName"] for one in volumes if "secret" in one}, secrets)
                mounted = {one["name"] for one in container(made, name)["volumeMounts"]}
                self.assertEqual({one["name"] for one in volumes}, mounted)
        (job,) = kind(made, "Job").values()
        volumes = job["spec"]["template"]["spec"]["volumes"]
        self.assertEqual([one["secret"]["secretName"] for one in volumes if "secret" in one], ["pg"])


class BeginAndEnd(unittest.TestCase):
    def test_the_grace_period_covers_waiting_draining_and_last_words(self):
        made = objects(
            split({"pod": {"preStopSeconds": 7, "drainSeconds": 20}, "workers": {"email": {"drainSeconds": 135}}})
        )
        for name, grace in (("ingest", 7 + 20 + 10), ("worker-email", 7 + 135 + 10)):
            self.assertEqual(pod(made, name)["terminationGracePeriodSeconds"], grace)
            self.assertEqual(container(made, name)["lifecycle"], {"preStop": {"sleep": {"seconds": 7}}})

    def test_a_worker_drains_longer_than_its_provider_may_take(self):
        values = objects(split({"providers": {"email": {"kind": "smtp", "smtp": {"host": "s"}}}}))
        text = next(iter(kind(values, "ConfigMap").values()))["data"]["worker-email.toml"]
        self.assertIn('data_timeout = "120s"', text)
        self.assertIn('drain = "135s"', text)

    def test_probes_ask_in_the_clear_and_life_does_not_depend_on_servers(self):
        for values in ({}, split()):
            made = objects(values)
            for one in kind(made, "Deployment").values():
                (ours,) = one["spec"]["template"]["spec"]["containers"]
                with self.subTest(one["metadata"]["name"]):
                    self.assertEqual(ours["readinessProbe"]["grpc"], {"port": 9090})
                    for probe in ("startupProbe", "livenessProbe"):
                        self.assertEqual(ours[probe]["httpGet"], {"path": "/healthz", "port": "health"})
                    self.assertIn({"name": "health", "containerPort": 9090}, ours["ports"])

    def test_other_settings_start_their_own_component_anew_and_no_other(self):
        def sums(*layers):
            made = kind(objects(split(*layers)), "Deployment")
            return {
                name: one["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
                for name, one in made.items()
            }

        before, after = sums(), sums({"workers": {"email": {"lanes": ["bulk"]}}})
        self.assertEqual([name for name in before if before[name] != after[name]], ["shop-tidings-worker-email"])

    def test_one_owner_of_the_embedded_store_at_a_time(self):
        spec = component(objects(), "all-in-one")["spec"]
        self.assertEqual((spec["replicas"], spec["strategy"]), (1, {"type": "Recreate"}))

    def test_processes_are_replaced_one_by_one(self):
        spec = component(objects(split()), "ingest")["spec"]
        self.assertEqual(
            spec["strategy"], {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        )

    def test_a_store_that_was_put_back_is_held_by_every_process(self):
        for name in kind(objects(split()), "Deployment"):
            role = name.removeprefix("shop-tidings-")
            self.assertNotIn("--paused", container(objects(split()), role)["args"])
            self.assertIn("--paused", container(objects(split({"paused": True})), role)["args"])


class Volumes(unittest.TestCase):
    def test_the_embedded_store_outlives_its_pod_and_the_release(self):
        made = objects()
        (claim,) = kind(made, "PersistentVolumeClaim").values()
        self.assertEqual(claim["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")
        data = next(one for one in pod(made, "all-in-one")["volumes"] if one["name"] == "data")
        self.assertEqual(data["persistentVolumeClaim"], {"claimName": claim["metadata"]["name"]})

    def test_a_claim_that_is_there_is_taken(self):
        made = objects({"store": {"persistence": {"existingClaim": "mine"}}})
        self.assertEqual(kind(made, "PersistentVolumeClaim"), {})
        data = next(one for one in pod(made, "all-in-one")["volumes"] if one["name"] == "data")
        self.assertEqual(data["persistentVolumeClaim"], {"claimName": "mine"})

    def test_git_sync_is_there_before_the_program_and_beside_it(self):
        made = objects({"templates": {"source": "gitSync", "gitSync": {"repo": "https://git.shop.example/m.git"}}})
        (sync,) = pod(made, "all-in-one")["initContainers"]
        self.assertEqual(sync["restartPolicy"], "Always")
        self.assertIn("startupProbe", sync)
        self.assertIn("--repo=https://git.shop.example/m.git", sync["args"])


class Placement(unittest.TestCase):
    def test_pods_are_spread_over_zones_where_that_is_possible(self):
        spread = pod(objects(split()), "ingest")["topologySpreadConstraints"]
        self.assertEqual(
            [(one["topologyKey"], one["whenUnsatisfiable"]) for one in spread],
            [("topology.kubernetes.io/zone", "ScheduleAnyway"), ("kubernetes.io/hostname", "ScheduleAnyway")],
        )

    def test_a_component_says_otherwise_than_all(self):
        made = objects(
            split(
                {
                    "pod": {"priorityClassName": "low", "nodeSelector": {"a": "b"}},
                    "ingest": {"priorityClassName": "high"},
                }
            )
        )
        self.assertEqual(pod(made, "ingest")["priorityClassName"], "high")
        self.assertEqual(pod(made, "scheduler")["priorityClassName"], "low")
        self.assertEqual(pod(made, "ingest")["nodeSelector"], {"a": "b"})

    def test_everything_extra_arrives(self):
        full = next(path for path in SCENARIOS if path.name == "full-values.yaml")
        made = objects(scenario(full))
        spec, ours = pod(made, "ingest"), container(made, "ingest")
        self.assertEqual([one["name"] for one in spec["containers"]], ["tidings", "side"])
        self.assertEqual(spec["initContainers"][0]["name"], "before")
        self.assertEqual(ours["env"], [{"name": "TIDINGS_TELEMETRY__LOG", "value": "debug"}])
        self.assertEqual(ours["envFrom"], [{"configMapRef": {"name": "more-env"}}])
        self.assertEqual(ours["args"][-1], "--lane=critical")
        self.assertEqual(ours["image"], "registry.shop.example/tidings@sha256:" + "3" * 64)
        mounts = {one["name"]: one["mountPath"] for one in ours["volumeMounts"]}
        self.assertEqual((mounts["more"], mounts["extra-secret-relay-ca"]), ("/more", "/etc/relay"))
        for key in (
            "nodeSelector",
            "tolerations",
            "affinity",
            "hostAliases",
            "dnsPolicy",
            "dnsConfig",
            "runtimeClassName",
            "imagePullSecrets",
        ):
            self.assertTrue(spec[key], key)
        self.assertEqual(component(made, "ingest")["spec"]["minReadySeconds"], 5)
        self.assertEqual(component(made, "ingest")["spec"]["revisionHistoryLimit"], 2)
        self.assertEqual(component(made, "ingest")["metadata"]["labels"]["team"], "messaging")
        self.assertIn("shop-news-more", kind(made, "ConfigMap"))


if __name__ == "__main__":
    unittest.main()
