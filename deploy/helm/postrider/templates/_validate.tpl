{{/*
What no schema can say. All problems are named at once, each with its key. Called first of all, by services.yaml.
*/}}
{{- define "postrider.validate" -}}
{{- $problems := concat (include "postrider.configProblems" . | fromYamlArray) (include "postrider.rangeProblems" . | fromYamlArray) (include "postrider.natsProblems" . | fromYamlArray) (include "postrider.ingressProblems" . | fromYamlArray) (include "postrider.scalingProblems" . | fromYamlArray) -}}
{{- if $problems -}}
{{- fail (printf "\n\nthe values contradict themselves:\n- %s\n" (join "\n- " $problems)) -}}
{{- end -}}
{{- end -}}

{{/* Keys of postrider.yaml that the chart writes itself, and what says it instead. */}}
{{- define "postrider.configProblems" -}}
{{- $problems := list -}}
{{- $config := .Values.config -}}
{{- range $key, $reason := dict
  "listeners" "ports and addresses follow from ingress.service"
  "tls" "the certificate is `certificate`"
  "health" "probes ask port 8086 of every pod"
  "admin" "the queue's port for operators is 7070 inside its pod: kubectl exec deploy/<queue> -- postrider queue ls" -}}
{{- if hasKey $config $key }}{{ $problems = append $problems (printf "config.%s: the chart sets it: %s" $key $reason) }}{{ end -}}
{{- end -}}
{{- range $key, $reason := dict
  "url" "it follows from nats.embedded, or is nats.external.url"
  "credentials" "they are nats.external.credentials, or follow from nats.embedded"
  "tls" "it is nats.external.tls or nats.embedded.tls"
  "provision" "services check the streams; provision.enabled says who makes them" -}}
{{- if hasKey ($config.nats | default dict) $key }}{{ $problems = append $problems (printf "config.nats.%s: the chart sets it: %s" $key $reason) }}{{ end -}}
{{- end -}}
{{- range $key := list "metricsAddress" "metricsPorts" -}}
{{- if hasKey ($config.telemetry | default dict) $key }}{{ $problems = append $problems (printf "config.telemetry.%s: the chart sets it: metrics are at port 9464 of every pod" $key) }}{{ end -}}
{{- end -}}
{{- range $config.routes -}}
{{- if and $.Values.tests.enabled (eq (lower .domain) $.Values.tests.domain) }}{{ $problems = append $problems (printf "config.routes: the route of %s is that of `helm test`: set tests.domain or tests.enabled" .domain) }}{{ end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/* Durations and sizes that services would refuse: the schema knows their form only. */}}
{{- define "postrider.rangeProblems" -}}
{{- $problems := list -}}
{{- range $path, $range := .Files.Get "files/config-ranges.json" | fromJson -}}
{{- $found := $.Values.config -}}
{{- range splitList "." $path }}{{ $found = ternary (get (default dict $found) .) "" (kindIs "map" $found) }}{{ end -}}
{{- if not (kindIs "slice" $found) }}{{ $found = list $found }}{{ end -}}
{{- range compact $found -}}
{{- $value := include "postrider.quantity" . | int64 -}}
{{- if or (lt $value (include "postrider.quantity" (index $range 0) | int64)) (gt $value (include "postrider.quantity" (index $range 1) | int64)) -}}
{{- $problems = append $problems (printf "config.%s: expected something between %s and %s; found %q" $path (index $range 0) (index $range 1) .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{- define "postrider.natsProblems" -}}
{{- $problems := list -}}
{{- $nats := .Values.nats -}}
{{- if $nats.embedded.enabled -}}
{{- if $nats.external.url }}{{ $problems = append $problems "nats.external.url: with an external NATS, set nats.embedded.enabled=false" }}{{ end -}}
{{- $problems = concat $problems (include "postrider.natsUpgradeProblems" . | fromYamlArray) -}}
{{- $copies := int (include "postrider.natsConfig" . | fromYaml).replicas -}}
{{- if gt $copies (int $nats.embedded.replicas) }}{{ $problems = append $problems (printf "config.nats.replicas: %d copies need as many servers: nats.embedded.replicas is %d" $copies (int $nats.embedded.replicas)) }}{{ end -}}
{{- $reserved := include "postrider.natsReserved" . | int64 -}}
{{- $storage := include "postrider.natsStorage" . | int64 -}}
{{- if gt $reserved $storage -}}
{{- $mib := 1048576 -}}
{{- $problems = append $problems (printf "nats.embedded.persistence.size: %s gives JetStream %d MiB, and the streams of waiting mail reserve %d MiB: 2 x config.nats.spoolStreams x config.nats.spoolSizeMax" $nats.embedded.persistence.size (div $storage $mib) (div $reserved $mib)) -}}
{{- end -}}
{{- else -}}
{{- if not $nats.external.url }}{{ $problems = append $problems "nats.external.url: without nats.embedded.enabled, say where NATS is" }}{{ end -}}
{{- if and $nats.external.tls.clientCertificate (not $nats.external.tls.existingSecret) }}{{ $problems = append $problems "nats.external.tls.clientCertificate: it comes from nats.external.tls.existingSecret, which is empty" }}{{ end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{/* What an upgrade would break; nothing without a cluster. */}}
{{- define "postrider.natsUpgradeProblems" -}}
{{- $problems := list -}}
{{- $embedded := .Values.nats.embedded -}}
{{- with lookup "apps/v1" "StatefulSet" .Release.Namespace (include "postrider.natsFullname" .) -}}
{{- $servers := int .spec.replicas -}}
{{- if gt $servers (int $embedded.replicas) }}{{ $problems = append $problems (printf "nats.embedded.replicas: %d servers hold the mail that waits, and %d would not find it" $servers (int $embedded.replicas)) }}{{ end -}}
{{- range .spec.volumeClaimTemplates -}}
{{- $size := .spec.resources.requests.storage -}}
{{- if ne $size $embedded.persistence.size }}{{ $problems = append $problems (printf "nats.embedded.persistence.size: it is %s and cannot be changed in a StatefulSet: let the claims grow (kubectl edit pvc), then kubectl delete statefulset --cascade=orphan %s, then upgrade" $size (include "postrider.natsFullname" $)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{- define "postrider.ingressProblems" -}}
{{- $problems := list -}}
{{- $certificate := .Values.certificate -}}
{{- $service := .Values.ingress.service -}}
{{- $sources := 0 -}}
{{- range list (ne $certificate.existingSecret "") $certificate.certManager.enabled $certificate.selfSigned.enabled }}{{ if . }}{{ $sources = add1 $sources }}{{ end }}{{ end -}}
{{- if gt (int $sources) 1 }}{{ $problems = append $problems "certificate: only one of existingSecret, certManager.enabled and selfSigned.enabled" }}{{ end -}}
{{- if and $certificate.certManager.enabled (not $certificate.certManager.dnsNames) }}{{ $problems = append $problems "certificate.certManager.dnsNames: for which names?" }}{{ end -}}
{{- if and $certificate.certManager.enabled (not $certificate.certManager.issuerRef.name) }}{{ $problems = append $problems "certificate.certManager.issuerRef.name: who issues it?" }}{{ end -}}
{{- if and $certificate.selfSigned.enabled (not .Values.config.hostname) }}{{ $problems = append $problems "certificate.selfSigned.enabled: the certificate is for config.hostname, which is empty" }}{{ end -}}
{{- if not (include "postrider.smtpPorts" . | fromYamlArray) }}{{ $problems = append $problems "ingress.service.ports: none is left (465 needs a certificate)" }}{{ end -}}
{{- if and $service.proxyProtocol.enabled (not $service.proxyProtocol.trusted) }}{{ $problems = append $problems "ingress.service.proxyProtocol.trusted: from which networks do load balancers come?" }}{{ end -}}
{{- range list (list "ingress.service" $service) (list "ingress.service.proxyProtocol" $service.proxyProtocol) -}}
{{- $settings := index . 1 -}}
{{- if and (ne $settings.type "LoadBalancer") (or $settings.loadBalancerClass $settings.loadBalancerSourceRanges) }}{{ $problems = append $problems (printf "%s.loadBalancer...: only for type LoadBalancer" (index . 0)) }}{{ end -}}
{{- end -}}
{{- if and (or (ne $service.type "ClusterIP") $service.externalIPs) (eq $service.externalTrafficPolicy "Cluster") .Values.config.relayNetworks -}}
{{- $problems = append $problems "ingress.service.externalTrafficPolicy: Cluster replaces every client's address by that of a node, so that config.relayNetworks would let the whole Internet relay: use Local, or proxyProtocol" -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end -}}

{{- define "postrider.scalingProblems" -}}
{{- $problems := list -}}
{{- range $part := splitList " " (include "postrider.services" .) -}}
{{- $values := index $.Values $part -}}
{{- $least := include "postrider.graceMin" (dict "root" $ "part" $part) | int64 -}}
{{- $grace := include "postrider.grace" (dict "root" $ "part" $part) | int64 -}}
{{- if lt $grace $least }}{{ $problems = append $problems (printf "%s.terminationGracePeriodSeconds: %d is less than what config.drain lets it wait for and 15 s to hand over: %d" $part $grace $least) }}{{ end -}}
{{- $scaling := $values.autoscaling -}}
{{- if ne $scaling.type "none" -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}{{ $problems = append $problems (printf "%s.autoscaling.minReplicas: more than maxReplicas" $part) }}{{ end -}}
{{- if and (not $scaling.metric) (not $scaling.cpuUtilization) }}{{ $problems = append $problems (printf "%s.autoscaling: by what? Set metric or cpuUtilization" $part) }}{{ end -}}
{{- if and (eq $scaling.type "keda") $scaling.metric (not $.Values.keda.prometheus.serverAddress) }}{{ $problems = append $problems (printf "keda.prometheus.serverAddress: %s.autoscaling asks Prometheus for %s" $part $scaling.metric) }}{{ end -}}
{{- end -}}
{{- if and $values.autoscaling.cpuUtilization (ne $scaling.type "none") (not (($values.resources).requests).cpu) }}{{ $problems = append $problems (printf "%s.autoscaling.cpuUtilization: a share of %s.resources.requests.cpu, which is empty" $part $part) }}{{ end -}}
{{- end -}}
{{- $metrics := .Values.metrics -}}
{{- if and $metrics.podMonitor.enabled $metrics.serviceMonitor.enabled }}{{ $problems = append $problems "metrics: only one of podMonitor.enabled and serviceMonitor.enabled: everything would be counted twice" }}{{ end -}}
{{- toYaml $problems -}}
{{- end -}}
