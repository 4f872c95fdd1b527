{{/* What scales a service: (dict "root" $ "part" "delivery"). The Deployment has no `replicas` then. */}}

{{/* The query of Prometheus; `pod` is the label that every usual way of scraping pods gives. */}}
{{- define "postrider.scalingQuery" -}}
{{- $scaling := (index .root.Values .part).autoscaling -}}
{{- if $scaling.query -}}
{{- $scaling.query -}}
{{- else -}}
{{- $of := ternary "ingress" "queue" (eq .part "ingress") -}}
sum({{ $scaling.metric }}{namespace="{{ .root.Release.Namespace }}",pod=~"{{ include "postrider.fullname" .root }}-{{ $of }}-.*"})
{{- end -}}
{{- end -}}

{{- define "postrider.hpa" -}}
{{- $scaling := (index .root.Values .part).autoscaling -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "postrider.partName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "postrider.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "postrider.partName" . }}
  minReplicas: {{ $scaling.minReplicas }}
  maxReplicas: {{ $scaling.maxReplicas }}
  metrics:
    {{- if $scaling.metric }}
    - type: External
      external:
        metric:
          name: {{ $scaling.metric }}
          {{- with $scaling.metricSelector }}
          selector: {{- toYaml . | nindent 12 }}
          {{- end }}
        target:
          type: AverageValue
          averageValue: {{ $scaling.target | quote }}
    {{- end }}
    {{- if $scaling.cpuUtilization }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $scaling.cpuUtilization }}
    {{- end }}
  behavior: {{- toYaml $scaling.behavior | nindent 4 }}
{{- end -}}

{{- define "postrider.keda" -}}
{{- $scaling := (index .root.Values .part).autoscaling -}}
{{- $keda := .root.Values.keda -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "postrider.partName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "postrider.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    name: {{ include "postrider.partName" . }}
  minReplicaCount: {{ $scaling.minReplicas }}
  maxReplicaCount: {{ $scaling.maxReplicas }}
  pollingInterval: {{ $keda.pollingInterval }}
  fallback:
    failureThreshold: 3
    replicas: {{ $scaling.minReplicas }}
    behavior: currentReplicasIfHigher
  advanced:
    horizontalPodAutoscalerConfig:
      behavior: {{- toYaml $scaling.behavior | nindent 8 }}
  triggers:
    {{- if $scaling.metric }}
    - type: prometheus
      metricType: AverageValue
      metadata:
        serverAddress: {{ $keda.prometheus.serverAddress | quote }}
        query: {{ include "postrider.scalingQuery" . | quote }}
        threshold: {{ $scaling.target | quote }}
        # No answer is not "nothing to do": the number of pods stays.
        ignoreNullValues: "false"
      {{- with $keda.prometheus.authenticationRef }}
      authenticationRef: {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
    {{- if $scaling.cpuUtilization }}
    - type: cpu
      metricType: Utilization
      metadata:
        value: {{ $scaling.cpuUtilization | quote }}
    {{- end }}
{{- end -}}
