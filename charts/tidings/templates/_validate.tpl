{{/* Every combination that cannot work, with a sentence each; all of them are told at once. */}}
{{- define "tidings.validate" -}}
{{- $v := .Values }}
{{- $faults := list }}
{{- $split := eq $v.mode "split" }}
{{- if and $split (eq $v.auth.mode "none") }}
{{- $faults = append $faults "mode split needs auth.mode callers: several processes behind a Service would let anybody send in the shop's name. Set auth.mode=callers, auth.callers and tls.existingSecret." }}
{{- end }}
{{- if and $split (not $v.postgres.host) }}
{{- $faults = append $faults "mode split needs a database that its processes share: set postgres.host." }}
{{- end }}
{{- if and $split (not $v.rabbitmq.hosts) }}
{{- $faults = append $faults "mode split needs a broker that its processes share: set rabbitmq.hosts." }}
{{- end }}
{{- if and (not $split) (or $v.postgres.host $v.rabbitmq.hosts) }}
{{- $faults = append $faults "mode all-in-one has a store and a queue of its own and would leave postgres and rabbitmq unused: set mode=split, or leave postgres.host and rabbitmq.hosts out." }}
{{- end }}
{{- if and $split (not (or $v.workers.email.enabled $v.workers.sms.enabled $v.workers.chat.enabled)) }}
{{- $faults = append $faults "no workers are enabled, so nothing would ever be handed over: enable one of workers.email, workers.sms, workers.chat." }}
{{- end }}
{{- if eq $v.auth.mode "callers" }}
{{- if not $v.auth.callers }}
{{- $faults = append $faults "auth.mode callers needs callers: name at least one in auth.callers." }}
{{- end }}
{{- if not $v.tls.existingSecret }}
{{- $faults = append $faults "auth.mode callers needs TLS, or keys would cross the network in the clear: set tls.existingSecret." }}
{{- end }}
{{- range $name, $caller := $v.auth.callers }}
{{- if not (or $caller.apiKeyHashes $caller.certificateNames) }}
{{- $faults = append $faults (printf "auth.callers.%s has no credential: give it apiKeyHashes (tidings keys new makes a key with its hash) or certificateNames." $name) }}
{{- end }}
{{- if and $caller.certificateNames (not $v.tls.clientCa.existingSecret) }}
{{- $faults = append $faults (printf "auth.callers.%s shows certificates that nothing could verify: set tls.clientCa.existingSecret to the authority that signs them." $name) }}
{{- end }}
{{- end }}
{{- if and $v.auth.consoleCaller (not (hasKey $v.auth.callers $v.auth.consoleCaller)) }}
{{- $faults = append $faults (printf "auth.consoleCaller is %q, and auth.callers has no such caller." $v.auth.consoleCaller) }}
{{- end }}
{{- else }}
{{- if $v.auth.callers }}
{{- $faults = append $faults "auth.mode none asks nobody who they are, and auth.callers names some: set auth.mode=callers, or leave auth.callers out." }}
{{- end }}
{{- range $channel, $provider := $v.providers }}
{{- if ne $provider.kind "outbox" }}
{{- $faults = append $faults (printf "auth.mode none is a sandbox and providers.%s.kind %s really sends, for whoever reaches the port: set auth.mode=callers, or kind=outbox." $channel $provider.kind) }}
{{- end }}
{{- end }}
{{- end }}
{{- with $v.providers.email }}
{{- if eq .kind "smtp" }}
{{- if not .smtp.host }}
{{- $faults = append $faults "providers.email.kind smtp needs providers.email.smtp.host." }}
{{- end }}
{{- if ne (empty .smtp.username) (empty .smtp.existingSecret) }}
{{- $faults = append $faults "providers.email.smtp.username and existingSecret go together: give both or neither." }}
{{- end }}
{{- if and .smtp.username (eq .smtp.tls "none") }}
{{- $faults = append $faults "providers.email.smtp would send its password in the clear: set tls to starttls or tls, or leave username out." }}
{{- end }}
{{- end }}
{{- end }}
{{- with $v.providers.sms }}
{{- if eq .kind "twilio" }}
{{- if not (and .twilio.accountSid .twilio.existingSecret) }}
{{- $faults = append $faults "providers.sms.kind twilio needs providers.sms.twilio.accountSid and existingSecret." }}
{{- end }}
{{- if eq (empty .twilio.from) (empty .twilio.messagingServiceSid) }}
{{- $faults = append $faults "providers.sms.twilio needs one sender: exactly one of from and messagingServiceSid." }}
{{- end }}
{{- end }}
{{- end }}
{{- with $v.providers.chat }}
{{- if eq .kind "discord" }}
{{- if not .discord.existingSecret }}
{{- $faults = append $faults "providers.chat.kind discord needs providers.chat.discord.existingSecret with its token." }}
{{- end }}
{{- if ne (eq .discord.mode "webhook") (not (empty .discord.webhookId)) }}
{{- $faults = append $faults "providers.chat.discord.webhookId goes with mode webhook: give both, or mode dm without it." }}
{{- end }}
{{- end }}
{{- end }}
{{- $scaled := list }}
{{- if $split }}{{- $scaled = list (list "ingest" $v.ingest) (list "workers.email" $v.workers.email) (list "workers.sms" $v.workers.sms) (list "workers.chat" $v.workers.chat) }}{{- end }}
{{- range $scaled }}
{{- $scaling := (last .).autoscaling }}
{{- if ne $scaling.kind "none" }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
{{- $faults = append $faults (printf "%s.autoscaling.minReplicas %d is more than maxReplicas %d." (first .) (int $scaling.minReplicas) (int $scaling.maxReplicas)) }}
{{- end }}
{{- if and (eq $scaling.kind "hpa") (lt (int $scaling.minReplicas) 1) }}
{{- $faults = append $faults (printf "%s.autoscaling.minReplicas 0 is for keda only: by CPU nothing would wake it again." (first .)) }}
{{- end }}
{{- if and (eq $scaling.kind "keda") (not $v.keda.prometheusAddress) }}
{{- $faults = append $faults (printf "%s.autoscaling.kind keda asks Prometheus for what waits: set keda.prometheusAddress." (first .)) }}
{{- end }}
{{- end }}
{{- end }}
{{- if ne (empty $v.keda.authenticationRef) (empty $v.keda.authModes) }}
{{- $faults = append $faults "keda.authenticationRef and keda.authModes go together: give both or neither." }}
{{- end }}
{{- with $v.templates }}
{{- if and (eq .source "configMap") (not (and .configMap.name .configMap.items)) }}
{{- $faults = append $faults "templates.source configMap needs templates.configMap.name and items, as a ConfigMap's keys cannot be paths." }}
{{- end }}
{{- if and (eq .source "persistentVolumeClaim") (not .persistentVolumeClaim.claimName) }}
{{- $faults = append $faults "templates.source persistentVolumeClaim needs templates.persistentVolumeClaim.claimName." }}
{{- end }}
{{- if eq .source "image" }}
{{- if not .image.reference }}
{{- $faults = append $faults "templates.source image needs templates.image.reference." }}
{{- end }}
{{- if semverCompare "<1.33.0-0" $.Capabilities.KubeVersion.Version }}
{{- $faults = append $faults (printf "templates.source image needs Kubernetes 1.33 or newer, and this is %s: take gitSync or persistentVolumeClaim." $.Capabilities.KubeVersion.Version) }}
{{- end }}
{{- end }}
{{- if and (eq .source "gitSync") (not .gitSync.repo) }}
{{- $faults = append $faults "templates.source gitSync needs templates.gitSync.repo." }}
{{- end }}
{{- end }}
{{- if and $v.grpcRoute.enabled (not $v.grpcRoute.parentRefs) }}
{{- $faults = append $faults "grpcRoute.enabled needs a Gateway: set grpcRoute.parentRefs." }}
{{- end }}
{{- if $faults }}
{{- fail (printf "\n\n%s\n" (join "\n" $faults)) }}
{{- end }}
{{- end }}
