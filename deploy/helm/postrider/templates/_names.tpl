{{/* Names, labels and images. `context` is the root; templates about one part take (dict "root" $ "part" "queue"). */}}

{{- define "postrider.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters, so that every name made of it fits a label (63). */}}
{{- define "postrider.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "postrider.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "postrider.partName" -}}
{{ include "postrider.fullname" .root }}-{{ .part }}
{{- end -}}

{{/* What a selector has: never changed, because a Deployment's selector cannot be. */}}
{{- define "postrider.selectorLabels" -}}
app.kubernetes.io/name: {{ include "postrider.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .part }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "postrider.labels" -}}
{{ include "postrider.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: postrider
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .root.Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* (dict "root" $ "image" values) with registry, repository, tag, digest; the tag is the chart's appVersion when empty. */}}
{{- define "postrider.image" -}}
{{- $image := .image -}}
{{- with $image.registry }}{{ . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "postrider.serviceAccountName" -}}
{{- $account := (index .root.Values .part).serviceAccount -}}
{{- if $account.create -}}
{{- default (include "postrider.partName" .) $account.name -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end -}}

{{- define "postrider.natsFullname" -}}
{{ include "postrider.fullname" . }}-nats
{{- end -}}

{{- define "postrider.natsHeadless" -}}
{{ include "postrider.natsFullname" . }}-headless
{{- end -}}

{{/* The Secret with passwords for our own NATS. */}}
{{- define "postrider.natsUsersSecret" -}}
{{ .Values.nats.embedded.auth.existingSecret | default (printf "%s-users" (include "postrider.natsFullname" .)) }}
{{- end -}}

{{- define "postrider.tlsSecret" -}}
{{- $certificate := .Values.certificate -}}
{{- if $certificate.existingSecret -}}
{{ $certificate.existingSecret }}
{{- else if or $certificate.certManager.enabled $certificate.selfSigned.enabled -}}
{{ include "postrider.fullname" . }}-tls
{{- end -}}
{{- end -}}

{{- define "postrider.services" -}}
ingress queue resolver delivery
{{- end -}}

{{/* Who may run in a container of ours: nobody but a user of its own, with nothing (Pod Security Standard "restricted"). */}}
{{- define "postrider.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "postrider.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}
