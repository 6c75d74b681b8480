{{/* What a Pod's specification has whatever runs in it. Takes pod, the values of a Pod, and root. */}}
{{- define "tidings.pod.common" -}}
serviceAccountName: {{ .serviceAccountName }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .pod.securityContext | nindent 2 }}
{{- with .pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .pod.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .pod.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The Pod of a component. Takes root and component. */}}
{{- define "tidings.pod" -}}
{{- $root := .root }}
{{- $component := .component }}
{{- $pod := $component.values }}
{{- $templates := $root.Values.templates }}
metadata:
  labels:
    {{- include "tidings.labels" (dict "root" $root "component" $component.name) | nindent 4 }}
    {{- with $pod.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "tidings.config" . | sha256sum }}
    kubectl.kubernetes.io/default-container: tidings
    {{- with $pod.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "tidings.pod.common" (dict "root" $root "pod" $pod "serviceAccountName" (include "tidings.serviceAccountName" $root)) | nindent 2 }}
  # After preStop comes the drain, then the last words to broker and store.
  terminationGracePeriodSeconds: {{ add (int $pod.preStopSeconds) (int $pod.drainSeconds) 10 }}
  topologySpreadConstraints:
    {{- if $pod.topologySpreadConstraints }}
    {{- toYaml $pod.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "tidings.selector" (dict "root" $root "component" $component.name) | nindent 10 }}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
    {{- end }}
  {{- if or $pod.initContainers (eq $templates.source "gitSync") }}
  initContainers:
    {{- with $pod.initContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if eq $templates.source "gitSync" }}
    {{- include "tidings.gitSync" (dict "gitSync" $templates.gitSync "securityContext" $pod.containerSecurityContext) | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - name: tidings
      image: {{ include "tidings.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args:
        - serve
        - --config=/etc/tidings/tidings.toml
        {{- if $root.Values.paused }}
        - --paused
        {{- end }}
        {{- with $pod.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $pod.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $pod.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- if $component.serves }}
        - name: grpc
          containerPort: 50051
        {{- end }}
        - name: health
          containerPort: 9090
      lifecycle:
        preStop:
          sleep:
            seconds: {{ int $pod.preStopSeconds }}
      # Whether the process answers. It is gone when it cannot begin, and then starts again.
      startupProbe:
        httpGet: {path: /healthz, port: health}
        {{- toYaml $pod.startupProbe | nindent 8 }}
      # Whether it does its work: the store answers, and for workers the broker.
      readinessProbe:
        grpc: {port: 9090}
        {{- toYaml $pod.readinessProbe | nindent 8 }}
      # Not by gRPC health, which tells of the store: a store that is away is no reason to end a process.
      livenessProbe:
        httpGet: {path: /healthz, port: health}
        {{- toYaml $pod.livenessProbe | nindent 8 }}
      resources:
        {{- toYaml $pod.resources | nindent 8 }}
      securityContext:
        {{- toYaml $pod.containerSecurityContext | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/tidings/tidings.toml
          subPath: tidings.toml
          readOnly: true
        - name: data
          mountPath: /var/lib/tidings
        - name: tmp
          mountPath: /tmp
        {{- if ne $templates.source "builtin" }}
        - name: templates
          mountPath: /etc/tidings/templates
          readOnly: true
        {{- end }}
        {{- include "tidings.secretMounts" . | nindent 8 }}
        {{- range $pod.extraSecretMounts }}
        - name: extra-secret-{{ .name }}
          mountPath: {{ .mountPath }}
          readOnly: true
        {{- end }}
        {{- with $pod.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with $pod.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "tidings.fullname" $root }}
        items:
          - key: {{ $component.name }}.toml
            path: tidings.toml
    - name: data
      {{- if and (eq $component.name "all-in-one") $root.Values.store.persistence.enabled }}
      persistentVolumeClaim:
        claimName: {{ default (include "tidings.fullname" $root) $root.Values.store.persistence.existingClaim }}
      {{- else }}
      emptyDir: {}
      {{- end }}
    - name: tmp
      emptyDir: {}
    {{- if ne $templates.source "builtin" }}
    - name: templates
      {{- if eq $templates.source "configMap" }}
      configMap:
        name: {{ $templates.configMap.name }}
        items:
          {{- toYaml $templates.configMap.items | nindent 10 }}
      {{- else if eq $templates.source "persistentVolumeClaim" }}
      persistentVolumeClaim:
        claimName: {{ $templates.persistentVolumeClaim.claimName }}
        readOnly: true
      {{- else if eq $templates.source "image" }}
      image:
        reference: {{ $templates.image.reference | quote }}
        pullPolicy: {{ $templates.image.pullPolicy }}
      {{- else }}
      emptyDir: {}
      {{- end }}
    {{- end }}
    {{- include "tidings.secretVolumes" . | nindent 4 }}
    {{- if and (eq $templates.source "gitSync") $templates.gitSync.existingSecret }}
    - name: git-sync
      secret:
        secretName: {{ $templates.gitSync.existingSecret }}
        defaultMode: 0440
    {{- end }}
    {{- range $pod.extraSecretMounts }}
    - name: extra-secret-{{ .name }}
      secret:
        secretName: {{ .secretName }}
        defaultMode: 0440
    {{- end }}
    {{- with $pod.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* A sidecar that starts first: the program's start waits until the templates are there. */}}
{{- define "tidings.gitSync" -}}
- name: git-sync
  image: {{ .gitSync.image | quote }}
  restartPolicy: Always
  args:
    - --repo={{ .gitSync.repo }}
    - --ref={{ .gitSync.ref }}
    - --root=/templates
    - --link=current
    - --period={{ int .gitSync.periodSeconds }}s
    - --depth=1
    - --http-bind=:1234
    {{- if .gitSync.existingSecret }}
    - --username-file=/etc/git-sync/username
    - --password-file=/etc/git-sync/password
    {{- end }}
  # Answers once the first fetch is done.
  startupProbe:
    httpGet: {path: /, port: 1234}
    periodSeconds: 2
    failureThreshold: 60
  livenessProbe:
    httpGet: {path: /, port: 1234}
    periodSeconds: 30
  readinessProbe:
    httpGet: {path: /, port: 1234}
    periodSeconds: 30
  resources:
    {{- toYaml .gitSync.resources | nindent 4 }}
  securityContext:
    {{- toYaml .securityContext | nindent 4 }}
  volumeMounts:
    - name: templates
      mountPath: /templates
    - name: tmp
      mountPath: /tmp
    {{- if .gitSync.existingSecret }}
    - name: git-sync
      mountPath: /etc/git-sync
      readOnly: true
    {{- end }}
{{- end }}
