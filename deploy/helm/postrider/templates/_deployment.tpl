{{/* The Deployment of a service: (dict "root" $ "part" "queue"). All four are the same but for their values and ports. */}}

{{- define "postrider.containerPorts" -}}
{{- if eq .part "ingress" }}
{{- $proxy := .root.Values.ingress.service.proxyProtocol.enabled }}
{{- range include "postrider.smtpPorts" .root | fromYamlArray }}
- name: {{ .name }}
  containerPort: {{ .containerPort }}
  protocol: TCP
{{- if $proxy }}
- name: proxy-{{ .port }}
  containerPort: {{ add 10000 .containerPort }}
  protocol: TCP
{{- end }}
{{- end }}
{{- end }}
- name: metrics
  containerPort: 9464
  protocol: TCP
- name: health
  containerPort: 8086
  protocol: TCP
{{- end -}}

{{/*
Three questions of grpc.health.v1, plaintext, by number because a probe takes no name. Start-up waits for NATS and its
streams as long as it takes (an hour); liveness is the event loop alone: a NATS that is away must restart nobody.
*/}}
{{- define "postrider.probes" -}}
startupProbe:
  grpc: { port: 8086, service: started }
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 1800
livenessProbe:
  grpc: { port: 8086, service: live }
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 3
readinessProbe:
  grpc: { port: 8086, service: ready }
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{/*
All that a pod reads, in one volume: postrider.yaml, its own credentials for NATS, certificates. Files of a mounted Secret
follow the Secret, because nothing is mounted by subPath. (dict "root" $ "part" "queue" "user" "queue")
*/}}
{{- define "postrider.etcVolume" -}}
{{- $root := .root -}}
name: etc
projected:
  defaultMode: 0440
  sources:
    - configMap:
        name: {{ include "postrider.fullname" $root }}
        items: [{ key: postrider.yaml, path: postrider.yaml }]
    {{- include "postrider.natsCredentialSource" . | nindent 4 }}
    {{- if include "postrider.natsTls" $root | fromYaml }}
    {{- include "postrider.natsTlsSource" $root | nindent 4 }}
    {{- end }}
    {{- if and (eq .part "ingress") (include "postrider.tlsSecret" $root) }}
    - secret:
        name: {{ include "postrider.tlsSecret" $root }}
        items:
          - { key: tls.crt, path: tls/tls.crt }
          - { key: tls.key, path: tls/tls.key }
    {{- end }}
{{- end -}}

{{- define "postrider.natsCredentialSource" -}}
{{- $nats := .root.Values.nats -}}
{{- $credentials := $nats.external.credentials -}}
{{- if $nats.embedded.enabled }}
- secret:
    name: {{ include "postrider.natsUsersSecret" .root }}
    items:
      - { key: {{ .user }}.user, path: nats/user }
      - { key: {{ .user }}.password, path: nats/password }
{{- else if $credentials.existingSecret }}
{{- $prefix := ternary (printf "%s." .user) "" $credentials.perService }}
- secret:
    name: {{ $credentials.existingSecret }}
    items:
      {{- range get (dict "password" (list "user" "password") "nkey" (list "nk") "creds" (list "creds")) $credentials.kind }}
      - { key: {{ $prefix }}{{ . }}, path: nats/{{ . }} }
      {{- end }}
{{- end }}
{{- end -}}

{{- define "postrider.natsTlsSource" -}}
- secret:
    {{- if .Values.nats.embedded.enabled }}
    name: {{ .Values.nats.embedded.tls.existingSecret }}
    items: [{ key: ca.crt, path: nats-tls/ca.crt }]
    {{- else }}
    name: {{ .Values.nats.external.tls.existingSecret }}
    items:
      - { key: ca.crt, path: nats-tls/ca.crt }
      {{- if .Values.nats.external.tls.clientCertificate }}
      - { key: tls.crt, path: nats-tls/tls.crt }
      - { key: tls.key, path: nats-tls/tls.key }
      {{- end }}
    {{- end }}
{{- end -}}

{{/* Each constraint with the pods it is about filled in; of one revision, so that a rollout does not unbalance the next. */}}
{{- define "postrider.topologySpread" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "postrider.selectorLabels" . | fromYaml)) -}}
{{- $made := list -}}
{{- range (index .root.Values .part).topologySpreadConstraints -}}
{{- $filled := merge (deepCopy .) $own -}}
{{- if not (hasKey . "labelSelector") }}{{ $filled = merge $filled (dict "matchLabelKeys" (list "pod-template-hash")) }}{{ end -}}
{{- $made = append $made $filled -}}
{{- end -}}
{{- toYaml $made -}}
{{- end -}}

{{/* Where a pod may run and who takes precedence: (dict "values" ...). */}}
{{- define "postrider.scheduling" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "postrider.container" -}}
{{- $values := index .root.Values .part -}}
name: {{ .part }}
image: {{ include "postrider.image" (dict "root" .root "image" .root.Values.image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [postrider-{{ .part }}]
args: [--config, /etc/postrider/postrider.yaml]
{{- with $values.extraEnv }}
env: {{- toYaml . | nindent 2 }}
{{- end }}
ports: {{- include "postrider.containerPorts" . | nindent 2 }}
{{- include "postrider.probes" . | nindent 0 }}
resources: {{- toYaml $values.resources | nindent 2 }}
securityContext: {{- mergeOverwrite (include "postrider.securityContext" . | fromYaml) (deepCopy $values.securityContext) | toYaml | nindent 2 }}
volumeMounts:
  - { name: etc, mountPath: /etc/postrider, readOnly: true }
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "postrider.deployment" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .part -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "postrider.partName" . }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "postrider.labels" . | nindent 4 }}
  {{- with $values.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if eq $values.autoscaling.type "none" }}
  replicas: {{ $values.replicas }}
  {{- end }}
  revisionHistoryLimit: {{ $root.Values.revisionHistoryLimit }}
  strategy: {{- toYaml $values.strategy | nindent 4 }}
  selector:
    matchLabels: {{- include "postrider.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "postrider.labels" . | nindent 8 }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ include "postrider.config" $root | sha256sum }}
        kubectl.kubernetes.io/default-container: {{ .part }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "postrider.serviceAccountName" . }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      terminationGracePeriodSeconds: {{ include "postrider.grace" . }}
      {{- if $values.hostNetwork }}
      hostNetwork: true
      dnsPolicy: ClusterFirstWithHostNet
      {{- end }}
      {{- with $values.dnsConfig }}
      dnsConfig: {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext: {{- mergeOverwrite (include "postrider.podSecurityContext" . | fromYaml) (deepCopy $values.podSecurityContext) | toYaml | nindent 8 }}
      {{- include "postrider.scheduling" (dict "values" $values) | nindent 6 }}
      {{- with include "postrider.topologySpread" . | fromYamlArray }}
      topologySpreadConstraints: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.initContainers }}
      initContainers: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - {{- include "postrider.container" . | nindent 10 }}
        {{- with $values.extraContainers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
        - {{- include "postrider.etcVolume" (dict "root" $root "part" .part "user" .part) | nindent 10 }}
        {{- with $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}
