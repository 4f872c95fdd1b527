{{/* postrider.yaml, made of `config` and of what the chart itself knows: ports, addresses, files, NATS. */}}

{{/* "host:port,..." -> one URL per server of our own NATS, so that a client can leave one that stops. */}}
{{- define "postrider.natsUrl" -}}
{{- if .Values.nats.embedded.enabled -}}
{{- $scheme := ternary "tls" "nats" (ne .Values.nats.embedded.tls.existingSecret "") -}}
{{- $root := . -}}
{{- $urls := list -}}
{{- range $i := until (int .Values.nats.embedded.replicas) -}}
{{- $urls = append $urls (printf "%s://%s-%d.%s:4222" $scheme (include "postrider.natsFullname" $root) $i (include "postrider.natsHeadless" $root)) -}}
{{- end -}}
{{- join "," $urls -}}
{{- else -}}
{{- .Values.nats.external.url -}}
{{- end -}}
{{- end -}}

{{/* One entry per container port: name, port in the Service, port in the pod, role, tls. 465 wants a certificate. */}}
{{- define "postrider.smtpPorts" -}}
{{- $ports := .Values.ingress.service.ports -}}
{{- $made := list -}}
{{- if $ports.smtp.enabled -}}
{{- $made = append $made (dict "name" "smtp" "port" 25 "containerPort" 2525 "role" "mx" "tls" "starttls" "nodePort" $ports.smtp.nodePort) -}}
{{- end -}}
{{- if and $ports.submissions.enabled (include "postrider.tlsSecret" .) -}}
{{- $made = append $made (dict "name" "submissions" "port" 465 "containerPort" 2465 "role" "relay" "tls" "implicit" "nodePort" $ports.submissions.nodePort) -}}
{{- end -}}
{{- if $ports.submission.enabled -}}
{{- $made = append $made (dict "name" "submission" "port" 587 "containerPort" 2587 "role" "relay" "tls" "starttls" "nodePort" $ports.submission.nodePort) -}}
{{- end -}}
{{- toYaml $made -}}
{{- end -}}

{{- define "postrider.listeners" -}}
{{- $proxy := .Values.ingress.service.proxyProtocol -}}
{{- $address := .Values.listenAddress -}}
{{- $listeners := list -}}
{{- range include "postrider.smtpPorts" . | fromYamlArray -}}
{{- $listeners = append $listeners (dict "address" $address "port" (int .containerPort) "role" .role "tls" .tls) -}}
{{- if $proxy.enabled -}}
{{- $twin := dict "trusted" $proxy.trusted "headerWaitMax" $proxy.headerWaitMax -}}
{{- $listeners = append $listeners (dict "address" $address "port" (add 10000 .containerPort | int) "role" .role "tls" .tls "proxyProtocol" $twin) -}}
{{- end -}}
{{- end -}}
{{- toYaml $listeners -}}
{{- end -}}

{{/* True when clients from outside the cluster can come to the SMTP ports. */}}
{{- define "postrider.isExposed" -}}
{{- $service := .Values.ingress.service -}}
{{- if or (ne $service.type "ClusterIP") $service.externalIPs $service.proxyProtocol.enabled .Values.ingress.hostNetwork -}}true{{- end -}}
{{- end -}}

{{/*
Who may relay when `config.relayNetworks` does not say it: pods, as long as nobody from outside comes to the SMTP ports. A
load balancer or a node that puts its own address in place of the client's would make everybody a neighbour.
*/}}
{{- define "postrider.relayNetworks" -}}
{{- if hasKey .Values.config "relayNetworks" -}}
{{- toYaml .Values.config.relayNetworks -}}
{{- else if include "postrider.isExposed" . -}}
["127.0.0.0/8", "::1/128"]
{{- else -}}
["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]
{{- end -}}
{{- end -}}

{{- define "postrider.natsCredentials" -}}
{{- if .Values.nats.embedded.enabled -}}
userFile: /etc/postrider/nats/user
passwordFile: /etc/postrider/nats/password
{{- else if .Values.nats.external.credentials.existingSecret -}}
{{- $kind := .Values.nats.external.credentials.kind -}}
{{- if eq $kind "password" -}}
userFile: /etc/postrider/nats/user
passwordFile: /etc/postrider/nats/password
{{- else if eq $kind "nkey" -}}
nkeySeedFile: /etc/postrider/nats/nk
{{- else -}}
credsFile: /etc/postrider/nats/creds
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Secret with certificates for NATS, and whether a client shows one of its own. */}}
{{- define "postrider.natsTls" -}}
{{- $nats := .Values.nats -}}
{{- if and $nats.embedded.enabled $nats.embedded.tls.existingSecret -}}
ca: /etc/postrider/nats-tls/ca.crt
{{- else if and (not $nats.embedded.enabled) $nats.external.tls.existingSecret -}}
ca: /etc/postrider/nats-tls/ca.crt
{{- if $nats.external.tls.clientCertificate }}
certificate: /etc/postrider/nats-tls/tls.crt
key: /etc/postrider/nats-tls/tls.key
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "postrider.natsConfig" -}}
{{- $given := deepCopy (.Values.config.nats | default dict) -}}
{{- $own := dict "url" (include "postrider.natsUrl" .) "provision" "check" -}}
{{- $own = merge $own (dict "credentials" (include "postrider.natsCredentials" . | fromYaml)) (dict "tls" (include "postrider.natsTls" . | fromYaml)) -}}
{{- range list "credentials" "tls" }}{{ if not (get $own .) }}{{ $own = omit $own . }}{{ end }}{{ end -}}
{{- $copies := ternary (ternary 3 1 (ge (int .Values.nats.embedded.replicas) 3)) 3 .Values.nats.embedded.enabled -}}
{{- merge $own $given (dict "replicas" $copies "spoolStreams" 3) | toYaml -}}
{{- end -}}

{{- define "postrider.servicePorts" -}}
{{- $port := . -}}
{{- dict "ingress" $port "queue" $port "resolver" $port "delivery" $port | toYaml -}}
{{- end -}}

{{- define "postrider.routes" -}}
{{- $routes := deepCopy (.Values.config.routes | default list) -}}
{{- if .Values.tests.enabled -}}
{{- $routes = append $routes (dict "domain" .Values.tests.domain "to" (printf "%s-smoke:2525" (include "postrider.fullname" .))) -}}
{{- end -}}
{{- toYaml $routes -}}
{{- end -}}

{{- define "postrider.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "listeners" (include "postrider.listeners" . | fromYamlArray) -}}
{{- $_ := set $config "relayNetworks" (include "postrider.relayNetworks" . | fromYamlArray) -}}
{{- $_ := set $config "routes" (include "postrider.routes" . | fromYamlArray) -}}
{{- if include "postrider.tlsSecret" . -}}
{{- $_ := set $config "tls" (dict "certificate" "/etc/postrider/tls/tls.crt" "key" "/etc/postrider/tls/tls.key") -}}
{{- end -}}
{{- $_ := set $config "nats" (include "postrider.natsConfig" . | fromYaml) -}}
{{- $telemetry := dict "metricsAddress" .Values.listenAddress "metricsPorts" (include "postrider.servicePorts" 9464 | fromYaml) -}}
{{- $_ := set $config "telemetry" (merge $telemetry ($config.telemetry | default dict)) -}}
{{- $_ := set $config "health" (dict "address" .Values.listenAddress "ports" (include "postrider.servicePorts" 8086 | fromYaml)) -}}
{{- $_ := set $config "admin" (dict "address" "127.0.0.1" "port" 7070) -}}
{{- toYaml $config -}}
{{- end -}}
