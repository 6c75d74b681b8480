{{/* A duration, text, number, switch or list as TOML writes it: what JSON writes, too. */}}

{{/*
The settings of one component as the program reads them. Takes root and component. Each has what it needs: callers and TLS where calls are answered, a
provider and its secret where messages are handed over.
*/}}
{{- define "tidings.config" -}}
{{- $values := .root.Values }}
{{- $component := .component }}
{{- $one := has "all" $component.roles }}
{{- $secrets := "/etc/tidings/secrets" }}
{{- $named := and (eq $values.auth.mode "callers") (or $component.serves (has "console" $component.roles)) -}}
[server]
roles = {{ toJson $component.roles }}
grpc_address = {{ printf "%s:50051" $values.server.listenAddress | toJson }}
health_address = {{ printf "%s:9090" $values.server.listenAddress | toJson }}
console_address = "127.0.0.1:8080"
drain = {{ printf "%ds" (int $component.values.drainSeconds) | toJson }}
{{- if $component.serves }}
reflection = {{ $values.server.reflection }}
{{- if eq $values.auth.mode "none" }}
insecure = true
{{- end }}
{{- end }}
{{- if $named }}
console_caller = {{ toJson $values.auth.consoleCaller }}

[server.tls]
certificate_file = {{ printf "%s/tls/tls.crt" $secrets | toJson }}
key_file = {{ printf "%s/tls/tls.key" $secrets | toJson }}
{{- if $values.tls.clientCa.existingSecret }}
client_ca_file = {{ printf "%s/client-ca/ca.crt" $secrets | toJson }}
{{- end }}
{{- range $name, $caller := $values.auth.callers }}

[callers.{{ $name }}]
scopes = {{ toJson $caller.scopes }}
{{- with $caller.apiKeyHashes }}
api_key_hashes = {{ toJson . }}
{{- end }}
{{- with $caller.certificateNames }}
certificate_names = {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{ include "tidings.config.store" .root }}
{{- if $one }}

[queue]
kind = "memory"
window = {{ int $values.queue.window }}
{{- else }}

[queue]
kind = "rabbitmq"
window = {{ int $values.queue.window }}

[queue.rabbitmq]
{{- with $values.rabbitmq }}
hosts = {{ toJson .hosts }}
virtual_host = {{ toJson .virtualHost }}
user = {{ toJson .user }}
prefetch = {{ int .prefetch }}
tls = {{ .tls.enabled }}
{{- if .existingSecret }}
password_file = {{ printf "%s/rabbitmq/password" $secrets | toJson }}
{{- end }}
{{- if .tls.caSecret }}
ca_file = {{ printf "%s/rabbitmq-ca/ca.crt" $secrets | toJson }}
{{- end }}
{{- if .tls.clientSecret }}
certificate_file = {{ printf "%s/rabbitmq-client/tls.crt" $secrets | toJson }}
key_file = {{ printf "%s/rabbitmq-client/tls.key" $secrets | toJson }}
{{- end }}
{{- end }}
{{- end }}

[retention]
content = {{ toJson $values.retention.content }}
history = {{ toJson $values.retention.history }}
events = {{ toJson $values.retention.events }}

[catalog]
templates = {{ include "tidings.templateFolder" .root | toJson }}
reload = {{ and $values.templates.reload (ne $values.templates.source "builtin") }}

[telemetry]
log = {{ toJson $values.telemetry.log }}
format = {{ toJson $values.telemetry.format }}
{{- if or $one (has "worker" $component.roles) }}

[workers]
channels = {{ toJson $component.channels }}
lanes = {{ default list $component.values.lanes | toJson }}
{{- range $channel, $provider := $values.providers }}

[workers.{{ $channel }}]
{{- range $lane := list "critical" "transactional" "bulk" }}
concurrency_{{ $lane }} = {{ index $provider.concurrency $lane | int }}
{{- end }}
{{- end }}
{{- end }}
{{- range $channel := list "email" "sms" "chat" }}
{{- $provider := index $values.providers $channel }}
{{- if and (ne $provider.kind "outbox") (has $channel $component.holds) }}
{{ include (printf "tidings.config.%s" $provider.kind) (dict "provider" $provider "secrets" $secrets) }}
{{- else if $provider.rate }}

# What the queue is filled with follows the limit.
[providers.outbox.{{ $channel }}]
channel = {{ toJson $channel }}
rate = {{ toJson $provider.rate }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where everything is kept: all that `tidings migrate` needs. */}}
{{- define "tidings.config.store" -}}
[store]
{{- if eq .Values.mode "all-in-one" }}
kind = "sqlite"
max_size = {{ toJson .Values.store.maxSize }}
{{- else }}
kind = "postgres"
{{- end }}
path = "/var/lib/tidings/data"
{{- if eq .Values.mode "split" }}
{{- with .Values.postgres }}

[store.postgres]
host = {{ toJson .host }}
port = {{ int .port }}
database = {{ toJson .database }}
user = {{ toJson .user }}
writers = {{ int .writers }}
readers = {{ int .readers }}
tls = {{ .tls.enabled }}
{{- if .existingSecret }}
password_file = "/etc/tidings/secrets/postgres/password"
{{- end }}
{{- if .tls.caSecret }}
ca_file = "/etc/tidings/secrets/postgres-ca/ca.crt"
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "tidings.config.smtp" }}

[providers.smtp.main]
{{- with .provider.smtp }}
host = {{ toJson .host }}
{{- if .port }}
port = {{ int .port }}
{{- end }}
tls = {{ toJson .tls }}
{{- if .username }}
username = {{ toJson .username }}
password_file = {{ printf "%s/smtp/password" $.secrets | toJson }}
{{- end }}
helo = {{ toJson .helo }}
message_id_domain = {{ toJson .messageIdDomain }}
max_connections = {{ int .maxConnections }}
data_timeout = {{ printf "%ds" (int .dataTimeoutSeconds) | toJson }}
{{- if .caSecret }}
ca_file = {{ printf "%s/smtp-ca/ca.crt" $.secrets | toJson }}
{{- end }}
{{- end }}
rate = {{ toJson .provider.rate }}
{{- end }}

{{- define "tidings.config.twilio" }}

[providers.twilio.main]
{{- with .provider.twilio }}
account_sid = {{ toJson .accountSid }}
auth_token_file = {{ printf "%s/twilio/token" $.secrets | toJson }}
{{- if .from }}
from = {{ toJson .from }}
{{- end }}
{{- if .messagingServiceSid }}
messaging_service_sid = {{ toJson .messagingServiceSid }}
{{- end }}
timeout = {{ printf "%ds" (int .timeoutSeconds) | toJson }}
{{- end }}
rate = {{ toJson .provider.rate }}
{{- end }}

{{- define "tidings.config.discord" }}

[providers.discord.main]
{{- with .provider.discord }}
mode = {{ toJson .mode }}
token_file = {{ printf "%s/discord/token" $.secrets | toJson }}
{{- if .webhookId }}
webhook_id = {{ toJson .webhookId }}
{{- end }}
timeout = {{ printf "%ds" (int .timeoutSeconds) | toJson }}
{{- end }}
rate = {{ toJson .provider.rate }}
{{- end }}

{{/* The template repository's folder; empty: the pack in the program. A ConfigMap's files are links, except below its hidden `..data`. */}}
{{- define "tidings.templateFolder" -}}
{{- with .Values.templates }}
{{- if eq .source "configMap" -}}
/etc/tidings/templates/..data
{{- else if eq .source "persistentVolumeClaim" -}}
{{ printf "/etc/tidings/templates/%s" .persistentVolumeClaim.path | trimSuffix "/" }}
{{- else if eq .source "image" -}}
{{ printf "/etc/tidings/templates/%s" .image.path | trimSuffix "/" }}
{{- else if eq .source "gitSync" -}}
{{ printf "/etc/tidings/templates/current/%s" .gitSync.path | trimSuffix "/" }}
{{- end }}
{{- end }}
{{- end }}

{{/*
The Secrets that a component mounts, as JSON {"all": [{id, secretName, items}]}: each its own folder below /etc/tidings/secrets. Takes root and component.
*/}}
{{- define "tidings.secrets" -}}
{{- $values := .root.Values }}
{{- $component := .component }}
{{- $all := list }}
{{- if eq $values.mode "split" }}
{{- with $values.postgres }}
{{- if .existingSecret }}{{- $all = append $all (dict "id" "postgres" "secretName" .existingSecret "items" (list (dict "key" .passwordKey "path" "password"))) }}{{- end }}
{{- if .tls.caSecret }}{{- $all = append $all (dict "id" "postgres-ca" "secretName" .tls.caSecret "items" (list (dict "key" .tls.caKey "path" "ca.crt"))) }}{{- end }}
{{- end }}
{{- if $component.roles }}
{{- with $values.rabbitmq }}
{{- if .existingSecret }}{{- $all = append $all (dict "id" "rabbitmq" "secretName" .existingSecret "items" (list (dict "key" .passwordKey "path" "password"))) }}{{- end }}
{{- if .tls.caSecret }}{{- $all = append $all (dict "id" "rabbitmq-ca" "secretName" .tls.caSecret "items" (list (dict "key" .tls.caKey "path" "ca.crt"))) }}{{- end }}
{{- if .tls.clientSecret }}{{- $all = append $all (dict "id" "rabbitmq-client" "secretName" .tls.clientSecret "items" (list (dict "key" "tls.crt" "path" "tls.crt") (dict "key" "tls.key" "path" "tls.key"))) }}{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq $values.auth.mode "callers") (or $component.serves (has "console" $component.roles)) }}
{{- with $values.tls }}
{{- $all = append $all (dict "id" "tls" "secretName" .existingSecret "items" (list (dict "key" .certificateKey "path" "tls.crt") (dict "key" .privateKeyKey "path" "tls.key"))) }}
{{- if .clientCa.existingSecret }}{{- $all = append $all (dict "id" "client-ca" "secretName" .clientCa.existingSecret "items" (list (dict "key" .clientCa.key "path" "ca.crt"))) }}{{- end }}
{{- end }}
{{- end }}
{{- with $values.providers.email }}
{{- if and (eq .kind "smtp") (has "email" $component.holds) }}
{{- if .smtp.existingSecret }}{{- $all = append $all (dict "id" "smtp" "secretName" .smtp.existingSecret "items" (list (dict "key" .smtp.passwordKey "path" "password"))) }}{{- end }}
{{- if .smtp.caSecret }}{{- $all = append $all (dict "id" "smtp-ca" "secretName" .smtp.caSecret "items" (list (dict "key" .smtp.caKey "path" "ca.crt"))) }}{{- end }}
{{- end }}
{{- end }}
{{- with $values.providers.sms }}
{{- if and (eq .kind "twilio") (has "sms" $component.holds) }}{{- $all = append $all (dict "id" "twilio" "secretName" .twilio.existingSecret "items" (list (dict "key" .twilio.tokenKey "path" "token"))) }}{{- end }}
{{- end }}
{{- with $values.providers.chat }}
{{- if and (eq .kind "discord") (has "chat" $component.holds) }}{{- $all = append $all (dict "id" "discord" "secretName" .discord.existingSecret "items" (list (dict "key" .discord.tokenKey "path" "token"))) }}{{- end }}
{{- end }}
{{- dict "all" $all | toJson }}
{{- end }}

{{/* The volumes of those Secrets. The group of the Pod may read them, nobody else: the program refuses a file that is open to all. */}}
{{- define "tidings.secretVolumes" -}}
{{- range (include "tidings.secrets" . | fromJson).all }}
- name: secret-{{ .id }}
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
    items:
      {{- toYaml .items | nindent 6 }}
{{- end }}
{{- end }}

{{- define "tidings.secretMounts" -}}
{{- range (include "tidings.secrets" . | fromJson).all }}
- name: secret-{{ .id }}
  mountPath: /etc/tidings/secrets/{{ .id }}
  readOnly: true
{{- end }}
{{- end }}
