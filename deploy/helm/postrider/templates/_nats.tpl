{{/* Our own NATS: its configuration, and who may do what there. */}}

{{/* Kubernetes quantity -> octets. */}}
{{- define "postrider.octets" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[A-Za-z]*$" . -}}
{{- $factors := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mul $number (get $factors $unit | int64) -}}
{{- end -}}

{{/* What JetStream may store: nine tenths of the volume, because a file system and its files take some of it. */}}
{{- define "postrider.natsStorage" -}}
{{- div (mul (include "postrider.octets" .Values.nats.embedded.persistence.size | int64) 9) 10 -}}
{{- end -}}

{{/* What the streams for waiting mail reserve on every server: SPOOL and STORE, each so many times. */}}
{{- define "postrider.natsReserved" -}}
{{- $nats := include "postrider.natsConfig" . | fromYaml -}}
{{- $each := include "postrider.quantity" ($nats.spoolSizeMax | default "20 GiB") | int64 -}}
{{- mul 2 (int64 $nats.spoolStreams) $each -}}
{{- end -}}

{{/* Every user of our NATS, sorted. */}}
{{- define "postrider.natsUsers" -}}
{{- .Files.Get "files/nats-permissions.json" | fromJson | keys | sortAlpha | join " " -}}
{{- end -}}

{{/* A subject with "<k>" stands for one subject per SPOOL and STORE stream. (dict "subjects" list "streams" 3) */}}
{{- define "postrider.natsSubjects" -}}
{{- $streams := int .streams -}}
{{- $made := list -}}
{{- range $subject := .subjects -}}
{{- if contains "<k>" $subject -}}
{{- range $k := until $streams }}{{ $made = append $made (replace "<k>" (toString $k) $subject) }}{{ end -}}
{{- else -}}
{{- $made = append $made $subject -}}
{{- end -}}
{{- end -}}
{{- toRawJson $made -}}
{{- end -}}

{{/* What one user may do, as nats-server reads it: (dict "permissions" {publish, subscribe, ...} "streams" 3). */}}
{{- define "postrider.natsPermissions" -}}
{{- $streams := .streams -}}
{{- $made := dict -}}
{{- range $verb, $rules := .permissions -}}
{{- if and (kindIs "map" $rules) (or (hasKey $rules "allow") (hasKey $rules "deny")) -}}
{{- $filled := dict -}}
{{- range $kind, $subjects := $rules }}{{ $_ := set $filled $kind (include "postrider.natsSubjects" (dict "subjects" $subjects "streams" $streams) | fromJsonArray) }}{{ end -}}
{{- $_ := set $made $verb $filled -}}
{{- else -}}
{{- $_ := set $made $verb $rules -}}
{{- end -}}
{{- end -}}
{{- toRawJson $made -}}
{{- end -}}

{{- define "postrider.natsServerConfig" -}}
{{- $root := . -}}
{{- $embedded := .Values.nats.embedded -}}
{{- $name := include "postrider.natsFullname" . -}}
{{- $streams := (include "postrider.natsConfig" . | fromYaml).spoolStreams -}}
# {{ $embedded.replicas }} of these servers. What is named with "$" below is defined in a Secret.
include "users/passwords.conf"
{{- if gt (int $embedded.replicas) 1 }}
include "users/routes.conf"
{{- end }}

port: 4222
http: 8222
pid_file: "/var/run/nats/nats.pid"
max_payload: 8MB
# A client whose network is gone keeps its subscriptions until this has run out: jobs for it would be lost on their way.
ping_interval: "10s"
ping_max: 2
lame_duck_grace_period: 10s
lame_duck_duration: 30s

jetstream {
  store_dir: "/data"
  # An accepted mail is on the disk of most servers before the client hears of it.
  sync_interval: always
  max_mem: 256MB
  max_file: {{ include "postrider.natsStorage" . }}
}
{{- if gt (int $embedded.replicas) 1 }}

cluster {
  name: {{ $name | quote }}
  port: 6222
  no_advertise: true
  authorization { user: route, password: $password_route, timeout: 5 }
  # Of these servers: the URLs hold a password.
  routes = $routes
}
{{- end }}
{{- if $embedded.tls.existingSecret }}

tls {
  cert_file: "/etc/nats/tls/tls.crt"
  key_file: "/etc/nats/tls/tls.key"
  ca_file: "/etc/nats/tls/ca.crt"
}
{{- end }}

authorization {
  timeout: 5
  users = [
    {{- $permissions := .Files.Get "files/nats-permissions.json" | fromJson }}
    {{- range $user := splitList " " (include "postrider.natsUsers" .) }}
    { user: {{ $user }}, password: $password_{{ $user }}, permissions: {{ include "postrider.natsPermissions" (dict "permissions" (get $permissions $user) "streams" $streams) }} }
    {{- end }}
  ]
}
{{- end -}}

{{- define "postrider.natsTopologySpread" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "postrider.selectorLabels" (dict "root" . "part" "nats") | fromYaml)) -}}
{{- $made := list -}}
{{- range .Values.nats.embedded.topologySpreadConstraints }}{{ $made = append $made (merge (deepCopy .) $own) }}{{ end -}}
{{- toYaml $made -}}
{{- end -}}

{{/*
Start-up waits until all streams are back; ready is a server that works; alive is one whose JetStream is on. Lame duck lets
clients go one by one before the server stops.
*/}}
{{- define "postrider.natsContainer" -}}
{{- $embedded := .Values.nats.embedded -}}
name: nats
image: {{ include "postrider.image" (dict "root" . "image" .Values.nats.image) }}
imagePullPolicy: {{ .Values.nats.image.pullPolicy }}
command: [nats-server]
args: [--config, /etc/nats/nats.conf, --name, $(POD_NAME)]
env:
  - name: POD_NAME
    valueFrom: { fieldRef: { fieldPath: metadata.name } }
  {{- with $embedded.resources.limits }}
  {{- with .memory }}
  # The collector works harder before the limit is met.
  - name: GOMEMLIMIT
    value: {{ div (mul (include "postrider.octets" . | int64) 9) 10 | quote }}
  {{- end }}
  {{- end }}
  {{- with $embedded.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - { name: client, containerPort: 4222, protocol: TCP }
  - { name: cluster, containerPort: 6222, protocol: TCP }
  - { name: monitor, containerPort: 8222, protocol: TCP }
startupProbe:
  httpGet: { path: /healthz, port: monitor }
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 900
livenessProbe:
  httpGet: { path: "/healthz?js-enabled-only=true", port: monitor }
  periodSeconds: 30
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: { path: "/healthz?js-server-only=true", port: monitor }
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
lifecycle:
  preStop:
    exec:
      command: [nats-server, --signal, ldm=/var/run/nats/nats.pid]
resources: {{- toYaml $embedded.resources | nindent 2 }}
securityContext: {{- include "postrider.securityContext" . | nindent 2 }}
volumeMounts:
  - { name: etc, mountPath: /etc/nats, readOnly: true }
  - { name: run, mountPath: /var/run/nats }
  - { name: data, mountPath: /data }
{{- end -}}
