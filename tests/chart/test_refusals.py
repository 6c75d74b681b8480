"""What cannot work is refused before anything is installed, with a sentence that says what to change."""

import re
import unittest

from rendering import CHART, SPLIT, helm, merged, refusal, split

HASH = ["sha256:" + "1" * 64]
SMTP = {"kind": "smtp", "smtp": {"host": "smtp.shop.example"}}
TWILIO = {"kind": "twilio", "twilio": {"accountSid": "AC0", "existingSecret": "twilio", "from": "+1"}}
DISCORD = {"kind": "discord", "discord": {"existingSecret": "discord"}}


def without(values, *path):
    """The same without one value."""
    copy = merged(values)
    inner = copy
    for key in path[:-1]:
        inner[key] = dict(inner[key])
        inner = inner[key]
    del inner[path[-1]]
    return copy


def caller(**credentials):
    return split({"auth": {"callers": {"invoices": {"scopes": ["read"], **credentials}}}})


def provider(channel, *layers):
    return split({"providers": {channel: merged(*layers)}})


SENTENCES = {
    "split without a database": (
        without(SPLIT, "postgres", "host"),
        "mode split needs a database that its processes share: set postgres.host.",
    ),
    "split without a broker": (
        without(SPLIT, "rabbitmq", "hosts"),
        "mode split needs a broker that its processes share: set rabbitmq.hosts.",
    ),
    "split without workers": (
        split({"workers": {channel: {"enabled": False} for channel in ("email", "sms", "chat")}}),
        "no workers are enabled, so nothing would ever be handed over: enable one of workers.email, workers.sms, workers.chat.",
    ),
    "one Pod with a database": (
        {"postgres": {"host": "db"}},
        "mode all-in-one has a store and a queue of its own and would leave postgres and rabbitmq unused: set mode=split,",
    ),
    "one Pod with a broker": ({"rabbitmq": {"hosts": ["mq:5671"]}}, "would leave postgres and rabbitmq unused"),
    "callers without any": (
        without(SPLIT, "auth", "callers"),
        "auth.mode callers needs callers: name at least one in auth.callers.",
    ),
    "callers without TLS": (
        without(SPLIT, "tls"),
        "auth.mode callers needs TLS, or keys would cross the network in the clear: set tls.existingSecret.",
    ),
    "a caller without a credential": (
        caller(),
        "auth.callers.invoices has no credential: give it apiKeyHashes (tidings keys new makes a key with its hash)",
    ),
    "a certificate that nothing verifies": (
        caller(certificateNames=["spiffe://shop.example/invoices"]),
        "auth.callers.invoices shows certificates that nothing could verify: set tls.clientCa.existingSecret",
    ),
    "a console for nobody": (
        split({"auth": {"consoleCaller": "ghost"}}),
        'auth.consoleCaller is "ghost", and auth.callers has no such caller.',
    ),
    "nobody is asked, and callers": (
        {"auth": {"callers": {"orders": {"scopes": ["read"], "apiKeyHashes": HASH}}}},
        "auth.mode none asks nobody who they are, and auth.callers names some: set auth.mode=callers,",
    ),
    "nobody is asked, and mail is sent": (
        {"providers": {"email": SMTP}},
        "auth.mode none is a sandbox and providers.email.kind smtp really sends, for whoever reaches the port: set auth.mode=callers, or kind=outbox.",
    ),
    "nobody is asked, and texts are sent": ({"providers": {"sms": TWILIO}}, "providers.sms.kind twilio really sends"),
    "nobody is asked, and chats are sent": (
        {"providers": {"chat": DISCORD}},
        "providers.chat.kind discord really sends",
    ),
    "mail without a server": (
        provider("email", {"kind": "smtp"}),
        "providers.email.kind smtp needs providers.email.smtp.host.",
    ),
    "a name without a password": (
        provider("email", SMTP, {"smtp": {"username": "shop"}}),
        "providers.email.smtp.username and existingSecret go together: give both or neither.",
    ),
    "a password without a name": (
        provider("email", SMTP, {"smtp": {"existingSecret": "smtp"}}),
        "username and existingSecret go together",
    ),
    "a password in the clear": (
        provider("email", SMTP, {"smtp": {"username": "shop", "existingSecret": "smtp", "tls": "none"}}),
        "providers.email.smtp would send its password in the clear: set tls to starttls or tls,",
    ),
    "texts without an account": (
        provider("sms", TWILIO, {"twilio": {"accountSid": ""}}),
        "providers.sms.kind twilio needs providers.sms.twilio.accountSid and existingSecret.",
    ),
    "texts without a token": (
        provider("sms", TWILIO, {"twilio": {"existingSecret": ""}}),
        "twilio.accountSid and existingSecret.",
    ),
    "texts from nobody": (
        provider("sms", TWILIO, {"twilio": {"from": ""}}),
        "needs one sender: exactly one of from and messagingServiceSid.",
    ),
    "texts from two": (
        provider("sms", TWILIO, {"twilio": {"messagingServiceSid": "MG0"}}),
        "exactly one of from and messagingServiceSid.",
    ),
    "chat without a token": (
        provider("chat", {"kind": "discord"}),
        "providers.chat.kind discord needs providers.chat.discord.existingSecret with its token.",
    ),
    "a webhook without its id": (
        provider("chat", DISCORD, {"discord": {"mode": "webhook"}}),
        "providers.chat.discord.webhookId goes with mode webhook:",
    ),
    "a webhook's id for a bot": (
        provider("chat", DISCORD, {"discord": {"webhookId": "1"}}),
        "providers.chat.discord.webhookId goes with mode webhook:",
    ),
    "more at least than at most": (
        split({"ingest": {"autoscaling": {"kind": "hpa", "minReplicas": 9, "maxReplicas": 3}}}),
        "ingest.autoscaling.minReplicas 9 is more than maxReplicas 3.",
    ),
    "to nothing by CPU": (
        split({"workers": {"sms": {"autoscaling": {"kind": "hpa", "minReplicas": 0}}}}),
        "workers.sms.autoscaling.minReplicas 0 is for keda only: by CPU nothing would wake it again.",
    ),
    "KEDA without Prometheus": (
        split({"workers": {"email": {"autoscaling": {"kind": "keda"}}}}),
        "workers.email.autoscaling.kind keda asks Prometheus for what waits: set keda.prometheusAddress.",
    ),
    "half a sign-in of KEDA": (
        split({"keda": {"authenticationRef": "prometheus"}}),
        "keda.authenticationRef and keda.authModes go together: give both or neither.",
    ),
    "templates from no ConfigMap": (
        {"templates": {"source": "configMap", "configMap": {"name": "messages"}}},
        "templates.source configMap needs templates.configMap.name and items, as a ConfigMap's keys cannot be paths.",
    ),
    "templates from no claim": (
        {"templates": {"source": "persistentVolumeClaim"}},
        "templates.source persistentVolumeClaim needs templates.persistentVolumeClaim.claimName.",
    ),
    "templates from no artifact": (
        {"templates": {"source": "image"}},
        "templates.source image needs templates.image.reference.",
    ),
    "templates from no repository": (
        {"templates": {"source": "gitSync"}},
        "templates.source gitSync needs templates.gitSync.repo.",
    ),
    "a route from no Gateway": (
        {"grpcRoute": {"enabled": True}},
        "grpcRoute.enabled needs a Gateway: set grpcRoute.parentRefs.",
    ),
}

# These need more than values, and are tried by tests of their own.
OWN = ("mode split needs auth.mode callers", "templates.source image needs Kubernetes 1.33")

# What the schema alone refuses: a value and the part of helm's message that names it.
SCHEMA = {
    "an unknown key": ({"replicas": 3}, "replicas"),
    "an unknown key inside": ({"postgres": {"hots": "db"}}, "hots"),
    "an unknown mode": ({"mode": "cluster"}, "/mode"),
    "a second owner of an embedded store": ({"allInOne": {"replicas": 2}}, "replicas"),
    "a password among the values": (split({"postgres": {"password": "secret"}}), "password"),
    "a key where its hash belongs": (
        split({"auth": {"callers": {"orders": {"scopes": ["read"], "apiKeyHashes": ["tk_secret"]}}}}),
        "apiKeyHashes",
    ),
    "an unknown scope": (
        split({"auth": {"callers": {"orders": {"scopes": ["admin"], "apiKeyHashes": HASH}}}}),
        "scopes",
    ),
    "a caller's name with a dot": (
        split({"auth": {"callers": {"a.b": {"scopes": ["read"], "apiKeyHashes": HASH}}}}),
        "a.b",
    ),
    "an unknown lane": (split({"workers": {"email": {"lanes": ["fast"]}}}), "/lanes"),
    "an unknown alert": ({"prometheusRule": {"alerts": {"TidingsOnFire": {"enabled": False}}}}, "TidingsOnFire"),
    "a broker without a port": (split({"rabbitmq": {"hosts": ["mq"]}}), "/hosts"),
    "a rate without a unit": ({"providers": {"email": {"rate": "50"}}}, "/rate"),
    "a drain that no process allows": ({"pod": {"drainSeconds": 601}}, "drainSeconds"),
    "a worker's drain that no process allows": (split({"workers": {"email": {"drainSeconds": 601}}}), "drainSeconds"),
    "a provider's answer that is waited for too long": (
        {"providers": {"email": {"smtp": {"dataTimeoutSeconds": 601}}}},
        "dataTimeoutSeconds",
    ),
    "ingest by KEDA": (split({"ingest": {"autoscaling": {"kind": "keda"}}}), "/kind"),
}


class Refusals(unittest.TestCase):
    def test_each_combination_that_cannot_work_has_its_sentence(self):
        everything = []
        for name, (values, sentence) in SENTENCES.items():
            with self.subTest(name):
                told = refusal(values)
                self.assertIn(sentence, told)
                everything.append(told)
        # And each sentence of the chart has its case, here or in a test of its own.
        template = (CHART / "templates" / "_validate.tpl").read_text(encoding="utf-8")
        sentences = re.findall(r'append \$faults \(?(?:printf )?"([^"]+)"', template)
        self.assertEqual(len(sentences), template.count("append $faults"))
        for sentence in sentences:
            if sentence.startswith(OWN):
                continue
            pattern = ".+?".join(re.escape(part) for part in re.split("%[sdq]", sentence))
            self.assertTrue(any(re.search(pattern, told) for told in everything), f"no case for: {sentence}")

    def test_all_faults_are_told_at_once(self):
        told = refusal(split({"postgres": {"host": ""}, "rabbitmq": {"hosts": []}}))
        self.assertIn("set postgres.host.", told)
        self.assertIn("set rabbitmq.hosts.", told)

    def test_values_that_are_unknown_or_out_of_range_are_refused_by_the_schema(self):
        for name, (values, where) in SCHEMA.items():
            with self.subTest(name):
                told = refusal(values)
                self.assertIn("specifications of the schema", told)
                self.assertIn(where, told)

    def test_several_processes_never_serve_whoever_comes(self):
        values = split({"auth": {"mode": "none", "callers": {}}})
        self.assertIn("auth/mode", refusal(values).replace("auth.mode", "auth/mode"))
        # Whoever turns the schema off is told by the chart, too.
        told = refusal(values, "--skip-schema-validation")
        self.assertIn(
            "mode split needs auth.mode callers: several processes behind a Service would let anybody send in the shop's name.",
            told,
        )

    def test_an_artifact_of_templates_needs_a_kubernetes_that_mounts_it(self):
        values = {"templates": {"source": "image", "image": {"reference": "registry.shop.example/messages:1"}}}
        self.assertEqual(helm(values, kubernetes="1.33").returncode, 0)
        ended = helm(values, kubernetes="1.32")
        self.assertIn(
            "templates.source image needs Kubernetes 1.33 or newer, and this is v1.32.0: take gitSync", ended.stderr
        )

    def test_a_kubernetes_that_is_too_old_is_refused(self):
        ended = helm({}, kubernetes="1.29")
        self.assertIn("chart requires kubeVersion: >=1.30.0-0", ended.stderr)


if __name__ == "__main__":
    unittest.main()
