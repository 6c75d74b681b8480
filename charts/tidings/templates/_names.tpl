{{/* The chart's name in names of objects. */}}
{{- define "tidings.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* The release's name in names of objects; short enough for what is put behind it. */}}
{{- define "tidings.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "tidings.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "tidings.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Labels by which Pods are chosen; they never change. Takes root and component. */}}
{{- define "tidings.selector" -}}
app.kubernetes.io/name: {{ include "tidings.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/* Labels of every object. Takes root and component, which may be empty. */}}
{{- define "tidings.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: tidings
{{ include "tidings.selector" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tidings.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "tidings.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "tidings.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/*
What this release runs, as JSON {"all": [component…]}. A component has: name; roles, as the program calls them; channels that it hands over, empty for
all; holds, the channels whose provider and its secret it needs; serves, whether callers reach it; values, those of its Pods.
The scheduler needs every provider's settings, because it takes over from dead workers no sooner than their slowest answer.
*/}}
{{- define "tidings.components" -}}
{{- $channels := list "email" "sms" "chat" }}
{{- $all := list }}
{{- if eq .Values.mode "all-in-one" }}
{{- $all = append $all (dict "name" "all-in-one" "roles" (list "all") "channels" list "holds" $channels "serves" true "values" .Values.allInOne) }}
{{- else }}
{{- $all = append $all (dict "name" "ingest" "roles" (list "ingest") "channels" list "holds" list "serves" true "values" .Values.ingest) }}
{{- range $channel := $channels }}
{{- $values := index $.Values.workers $channel }}
{{- if $values.enabled }}
{{- $all = append $all (dict "name" (printf "worker-%s" $channel) "roles" (list "worker") "channels" (list $channel) "holds" (list $channel) "serves" false "values" $values) }}
{{- end }}
{{- end }}
{{- $all = append $all (dict "name" "scheduler" "roles" (list "scheduler") "channels" list "holds" $channels "serves" false "values" .Values.scheduler) }}
{{- if .Values.console.enabled }}
{{- $all = append $all (dict "name" "console" "roles" (list "console") "channels" list "holds" list "serves" false "values" (mergeOverwrite (dict "replicas" 1) .Values.console)) }}
{{- end }}
{{- end }}
{{- $done := list }}
{{- range $all }}
{{- $done = append $done (set . "values" (mergeOverwrite (deepCopy $.Values.pod) (deepCopy .values))) }}
{{- end }}
{{- dict "all" $done | toJson }}
{{- end }}

{{/* How many Pods a component has at least. */}}
{{- define "tidings.leastReplicas" -}}
{{- $scaling := default dict .autoscaling }}
{{- if and $scaling (ne $scaling.kind "none") }}{{ int $scaling.minReplicas }}{{ else }}{{ int (default 1 .replicas) }}{{ end }}
{{- end }}
