{{/* Prefix of the names of everything: a release may have dots in its name, Services may not, nor begin with a digit. A name that
     is too long ends with a digest of the whole. */}}
{{- define "seatrial.name" -}}
{{- $name := .Release.Name | replace "." "-" -}}
{{- if not (contains "seatrial" $name) }}{{ $name = printf "%s-seatrial" $name }}{{ end -}}
{{- if regexMatch "^[0-9]" $name }}{{ $name = printf "r%s" $name }}{{ end -}}
{{- if gt (len $name) 50 }}{{ $name = printf "%s-%s" ($name | trunc 41 | trimSuffix "-") (.Release.Name | sha256sum | trunc 8) }}{{ end -}}
{{- $name -}}
{{- end }}

{{- define "seatrial.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{/* Labels of an object; takes a dict with root and part. */}}
{{- define "seatrial.labels" -}}
{{ include "seatrial.selector" . }}
app.kubernetes.io/part-of: seatrial
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "seatrial.selector" -}}
app.kubernetes.io/name: seatrial
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{/* Who has to read the journal in the cluster beside runs; an empty list where it is in a database. */}}
{{- define "seatrial.watching" -}}
{{- if and .Values.handingOver.enabled (not .Values.postgresql.journal.secret) }}
- handing-over
{{- end }}
{{- end }}

{{- define "seatrial.mlflow" -}}
{{ .Values.mlflow.url | default (printf "http://%s-mlflow.%s.svc:5000" (include "seatrial.name" .) .Release.Namespace) }}
{{- end }}

{{- define "seatrial.prefect" -}}
{{ .Values.prefect.url | default (printf "http://%s-prefect.%s.svc:4200/api" (include "seatrial.name" .) .Release.Namespace) }}
{{- end }}

{{/* What every pod is held to: the restricted profile of Pod Security. */}}
{{- define "seatrial.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.user }}
runAsUser: {{ int64 . }}
runAsGroup: {{ int64 . }}
fsGroup: {{ int64 . }}
{{- end }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "seatrial.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* A list of variables in which each name stands once, with what was said of it last: the API refuses others. */}}
{{- define "seatrial.distinct" -}}
{{- $all := fromYamlArray . }}
{{- $last := dict }}
{{- range $all }}{{ $_ := set $last .name . }}{{ end }}
{{- range $all }}
{{- if hasKey $last .name }}
{{ list (get $last .name) | toYaml }}
{{- $_ := unset $last .name }}
{{- end }}
{{- end }}
{{- end }}

{{/* Environment of whatever starts flows or runs them; a list. */}}
{{- define "seatrial.flowEnv" -}}
- {name: SEATRIAL_TRACKING_URI, value: {{ include "seatrial.mlflow" . | quote }}}
- {name: PREFECT_API_URL, value: {{ include "seatrial.prefect" . | quote }}}
- {name: PREFECT_SERVER_EPHEMERAL_ENABLED, value: "false"}
- {name: SEATRIAL_REQUESTS_SECRET, value: {{ include "seatrial.keys" . | quote }}}
{{- include "seatrial.loginEnv" . }}
{{- with .Values.prefect.apiKey }}{{ if .secret }}
- {name: PREFECT_API_KEY, valueFrom: {secretKeyRef: {name: {{ .secret | quote }}, key: {{ .key | quote }}}}}
{{- end }}{{ end }}
{{- if not .Values.postgresql.journal.secret }}
- {name: SEATRIAL_JOURNAL_URL, value: {{ printf "kubernetes://%s" .Release.Namespace | quote }}}
{{- end }}
{{ include "seatrial.env" . }}
{{- end }}

{{/* Environment of every program of Seatrial; a list. */}}
{{- define "seatrial.env" -}}
- {name: SEATRIAL_KEYS, value: /keys}
{{- with .Values.postgresql.journal }}{{ if .secret }}
- {name: SEATRIAL_JOURNAL_URL, valueFrom: {secretKeyRef: {name: {{ .secret | quote }}, key: {{ .key | quote }}}}}
{{- end }}{{ end }}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- include "seatrial.storageEnv" . }}
{{- include "seatrial.trustEnv" . }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "seatrial.storageEnv" -}}
{{- with .Values.objectStorage }}
{{- if .endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ .endpoint | quote }}}
- {name: MLFLOW_S3_ENDPOINT_URL, value: {{ .endpoint | quote }}}
{{- end }}
{{- if .region }}
- {name: AWS_DEFAULT_REGION, value: {{ .region | quote }}}
{{- end }}
{{- if .secret }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- {name: {{ . }}, valueFrom: {secretKeyRef: {name: {{ $.Values.objectStorage.secret | quote }}, key: {{ . }}}}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Each library looks for the certificates that it trusts under a name of its own. */}}
{{- define "seatrial.trustEnv" -}}
{{- if .Values.certificates.configMap }}
{{- range list "SSL_CERT_FILE" "REQUESTS_CA_BUNDLE" "AWS_CA_BUNDLE" "PREFECT_API_SSL_CERT_FILE" }}
- {name: {{ . }}, value: {{ printf "/etc/certificates/%s" $.Values.certificates.key | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "seatrial.trustMount" -}}
{{- if .Values.certificates.configMap }}
- {name: certificates, mountPath: /etc/certificates, readOnly: true}
{{- end }}
{{- end }}

{{- define "seatrial.trustVolume" -}}
{{- if .Values.certificates.configMap }}
- {name: certificates, configMap: {name: {{ .Values.certificates.configMap | quote }}}}
{{- end }}
{{- end }}

{{/* Folders that the image writes to, since its root is read-only. */}}
{{- define "seatrial.mounts" -}}
- {name: home, mountPath: /home/seatrial}
- {name: tmp, mountPath: /tmp}
{{- if .Values.specs }}
- {name: specs, mountPath: /project/specs, readOnly: true}
{{- end }}
{{- include "seatrial.trustMount" . }}
{{- end }}

{{- define "seatrial.volumes" -}}
- {name: home, emptyDir: {sizeLimit: 1Gi}}
- {name: tmp, emptyDir: {sizeLimit: 1Gi}}
{{- include "seatrial.specsVolume" . }}
{{- include "seatrial.trustVolume" . }}
{{- end }}

{{- define "seatrial.specsVolume" -}}
{{- if .Values.specs }}
- {name: specs, configMap: {name: {{ include "seatrial.name" . }}-specs}}
{{- end }}
{{- end }}

{{/* Fields of a pod's spec that are the same for every pod of the chart. */}}
{{- define "seatrial.pod" -}}
securityContext:
  {{- include "seatrial.podSecurity" . | nindent 2 }}
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Fields of a container that are the same for every container of the chart. */}}
{{- define "seatrial.container" -}}
image: {{ include "seatrial.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "seatrial.containerSecurity" . | nindent 2 }}
{{- end }}
