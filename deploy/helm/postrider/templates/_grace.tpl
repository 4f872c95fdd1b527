{{/* How long a pod may take to stop: what `config.drain` lets each service wait for, and time to hand over and to flush. */}}

{{/* "5 min" -> milliseconds, "5 GiB" -> octets. */}}
{{- define "postrider.quantity" -}}
{{- $factors := dict "ms" 1 "s" 1000 "min" 60000 "h" 3600000 "d" 86400000 "B" 1 "KiB" 1024 "MiB" 1048576 "GiB" 1073741824 -}}
{{- mul (regexFind "^[0-9]+" . | int64) (get $factors (regexFind "[A-Za-z]+$" .)) -}}
{{- end -}}

{{/* "5 min" -> seconds, rounded up. */}}
{{- define "postrider.seconds" -}}
{{- div (add (include "postrider.quantity" . | int64) 999) 1000 -}}
{{- end -}}

{{/*
The least that (dict "root" $ "part" "delivery") needs; seconds. What is behind the waits, commits of ingress, goodbyes to others and the
last spans, takes 12 s at most.
*/}}
{{- define "postrider.graceMin" -}}
{{- $drain := .root.Values.config.drain -}}
{{- $seconds := include "postrider.seconds" $drain.wait | int64 -}}
{{- if eq .part "ingress" -}}
{{- $seconds = add $seconds (include "postrider.seconds" $drain.sessions | int64) -}}
{{- end -}}
{{- if eq .part "delivery" -}}
{{- $seconds = add $seconds (include "postrider.seconds" $drain.attempts | int64) (include "postrider.seconds" $drain.dots | int64) -}}
{{- end -}}
{{- add $seconds 15 -}}
{{- end -}}

{{/* The grace period: what the values say, else the least that is needed and 15 s. */}}
{{- define "postrider.grace" -}}
{{- $override := (index .root.Values .part).terminationGracePeriodSeconds -}}
{{- $least := include "postrider.graceMin" . | int64 -}}
{{- if $override -}}{{ int64 $override }}{{- else -}}{{ add $least 15 }}{{- end -}}
{{- end -}}
