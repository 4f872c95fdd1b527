{{/* Parts of NetworkPolicies. Ports are those of pods: a policy sees a connection behind the translation of a Service. */}}

{{- define "postrider.policyMeta" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "postrider.partName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "postrider.labels" (dict "root" .root) | nindent 4 }}
{{- end -}}

{{/* Pods of the named parts: (dict "root" $ "parts" (list "queue")). */}}
{{- define "postrider.podsOf" -}}
matchLabels: {{- include "postrider.selectorLabels" (dict "root" .root) | nindent 2 }}
matchExpressions:
  - { key: app.kubernetes.io/component, operator: In, values: {{ toJson .parts }} }
{{- end -}}

{{- define "postrider.tcp" -}}
{{- $ports := list -}}
{{- range . }}{{ $ports = append $ports (dict "port" (int .) "protocol" "TCP") }}{{ end -}}
{{- toYaml $ports -}}
{{- end -}}

{{/* "host:port", "[::1]:port" -> port; nothing for a Unix socket. */}}
{{- define "postrider.portOf" -}}
{{- if not (hasPrefix "unix:" .) }}{{ regexFind "[0-9]+$" . }}{{ end -}}
{{- end -}}

{{/* Ports of every server of nats.external.url. */}}
{{- define "postrider.natsPorts" -}}
{{- if .Values.nats.embedded.enabled -}}
[4222]
{{- else -}}
{{- $ports := list -}}
{{- range splitList "," .Values.nats.external.url }}{{ $ports = append $ports (regexFind ":[0-9]+$" (trim .) | trimPrefix ":" | default "4222" | int) }}{{ end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}
{{- end -}}

{{/* Ports of hosts that the configuration names: routes, LMTP gateways, smart host. */}}
{{- define "postrider.namedPorts" -}}
{{- $config := .Values.config -}}
{{- $found := list -}}
{{- range $config.routes }}{{ $found = append $found (include "postrider.portOf" .to) }}{{ end -}}
{{- range $config.localDomains }}{{ with .gateway.lmtp }}{{ $found = append $found (include "postrider.portOf" .) }}{{ end }}{{ end -}}
{{- with $config.smartHost }}{{ $found = append $found (include "postrider.portOf" .) }}{{ end -}}
{{- $found | uniq | compact | toJson -}}
{{- end -}}

{{/* Port of config.telemetry.otlpEndpoint. */}}
{{- define "postrider.otlpPort" -}}
{{- with (.Values.config.telemetry).otlpEndpoint -}}
{{- $host := (urlParse .).host -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" -}}
{{- $port | default (ternary "443" "80" (hasPrefix "https:" .)) -}}
{{- end -}}
{{- end -}}

{{/* Who asks every service for metrics and health. */}}
{{- define "postrider.operationIn" -}}
{{- $policy := .Values.networkPolicy -}}
{{- with $policy.metrics.from }}
- from: {{- toYaml . | nindent 4 }}
  ports: [{ port: 9464, protocol: TCP }]
{{- end }}
{{- with $policy.probesFrom }}
- from: {{- toYaml . | nindent 4 }}
  ports: [{ port: 8086, protocol: TCP }]
{{- end }}
{{- if .Values.tests.enabled }}
- from:
    - podSelector: {{- include "postrider.podsOf" (dict "root" . "parts" (list "smoke")) | nindent 8 }}
  ports: [{ port: 8086, protocol: TCP }]
{{- end }}
{{- end -}}

{{/*
Name servers of config.dns.servers, "address", "address:port" or "[address]:port", as rules: the resolver asks them and not
those of its pod.
*/}}
{{- define "postrider.dnsServers" -}}
{{- range (.Values.config.dns).servers -}}
{{- $address := . -}}
{{- $port := "53" -}}
{{- if regexMatch "^(\\[.*\\]|[^:]+):[0-9]+$" . -}}
{{- $port = regexFind "[0-9]+$" . -}}
{{- $address = regexReplaceAll ":[0-9]+$" . "" | trimPrefix "[" | trimSuffix "]" -}}
{{- end }}
- to:
    - ipBlock: { cidr: "{{ $address }}/{{ ternary 128 32 (contains ":" $address) }}" }
  ports:
    - { port: {{ $port }}, protocol: UDP }
    - { port: {{ $port }}, protocol: TCP }
{{- end }}
{{- end -}}

{{/* Where every service sends its spans, and what the values add. */}}
{{- define "postrider.operationOut" -}}
{{- $otlp := .Values.networkPolicy.otlp -}}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- with include "postrider.otlpPort" . }}
- ports: [{ port: {{ . }}, protocol: TCP }]
  {{- with $otlp.to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}
