{{- define "gostuck.fullname" -}}
{{- if contains "gostuck" .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-gostuck" .Release.Name | trunc 63 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "gostuck.selector" -}}
app.kubernetes.io/name: gostuck
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gostuck.labels" -}}
{{ include "gostuck.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "gostuck.serviceAccountName" -}}
{{- default (ternary (include "gostuck.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "gostuck.generatesToken" -}}
{{- and .Values.generateToken (not .Values.tokenSecret) }}
{{- end }}

{{- define "gostuck.tokenSecret" -}}
{{- if .Values.tokenSecret }}{{ .Values.tokenSecret }}{{ else if .Values.generateToken }}{{ include "gostuck.fullname" . | trunc 57 }}-token{{ end -}}
{{- end }}
