{{/* The operator's name: fairlead-operator for a release called fairlead. */}}
{{- define "fairlead.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-operator" (.Values.nameOverride | default .Release.Name | trunc 54 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "fairlead.selectorLabels" -}}
app.kubernetes.io/name: fairlead
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "fairlead.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "fairlead.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "fairlead.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "fairlead.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* An image reference from {repository, tag, digest}. */}}
{{- define "fairlead.image" -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository .tag -}}
{{- end -}}
{{- end -}}

{{/* What Prometheus is shown and how it is known, from .Values.prometheus: the files, … */}}
{{- define "fairlead.prometheusSources" -}}
{{- with .bearerToken.secret }}
- secret: {name: {{ . }}, items: [{key: {{ $.bearerToken.key }}, path: token}]}
{{- end }}
{{- with .basicAuth.secret }}
- secret: {name: {{ . }}, items: [{key: username, path: username}, {key: password, path: password}]}
{{- end }}
{{- with .tls.ca.secret }}
- secret: {name: {{ . }}, items: [{key: {{ $.tls.ca.key }}, path: ca.crt}]}
{{- end }}
{{- with .tls.ca.configMap }}
- configMap: {name: {{ . }}, items: [{key: {{ $.tls.ca.key }}, path: ca.crt}]}
{{- end }}
{{- with .tls.clientCertificate.secret }}
- secret: {name: {{ . }}, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}
{{- end }}
{{- end -}}

{{/* … and the variables that name them. */}}
{{- define "fairlead.prometheusEnv" -}}
{{- $folder := "/etc/fairlead/prometheus" -}}
{{- if and .tls.ca.secret .tls.ca.configMap }}
{{- fail "prometheus.tls.ca: name a Secret or a ConfigMap, not both" }}
{{- end }}
{{- if and (or .bearerToken.secret .bearerToken.serviceAccount) .basicAuth.secret }}
{{- fail "prometheus: bearerToken and basicAuth exclude each other" }}
{{- end }}
{{- if and .bearerToken.secret .bearerToken.serviceAccount }}
{{- fail "prometheus.bearerToken: name a Secret or set serviceAccount, not both" }}
{{- end }}
{{- if .bearerToken.secret }}
- {name: FAIRLEAD_PROMETHEUS_TOKEN_FILE, value: {{ $folder }}/token}
{{- end }}
{{- if .bearerToken.serviceAccount }}
- {name: FAIRLEAD_PROMETHEUS_TOKEN_FILE, value: /var/run/secrets/kubernetes.io/serviceaccount/token}
{{- end }}
{{- if .basicAuth.secret }}
- {name: FAIRLEAD_PROMETHEUS_USERNAME_FILE, value: {{ $folder }}/username}
- {name: FAIRLEAD_PROMETHEUS_PASSWORD_FILE, value: {{ $folder }}/password}
{{- end }}
{{- if or .tls.ca.secret .tls.ca.configMap }}
- {name: FAIRLEAD_PROMETHEUS_CA_FILE, value: {{ $folder }}/ca.crt}
{{- end }}
{{- if .tls.clientCertificate.secret }}
- {name: FAIRLEAD_PROMETHEUS_CERTIFICATE_FILE, value: {{ $folder }}/tls.crt}
- {name: FAIRLEAD_PROMETHEUS_KEY_FILE, value: {{ $folder }}/tls.key}
{{- end }}
{{- if .tls.insecureSkipVerify }}
- {name: FAIRLEAD_PROMETHEUS_INSECURE_SKIP_VERIFY, value: "true"}
{{- end }}
{{- with .headers }}
- {name: FAIRLEAD_PROMETHEUS_HEADERS, value: {{ toJson . | quote }}}
{{- end }}
{{- if .headersSecret }}
- {name: FAIRLEAD_PROMETHEUS_HEADERS_DIR, value: /etc/fairlead/prometheus-headers}
{{- end }}
{{- end -}}

{{/* What the operator may do where it watches. Nothing it does not use. */}}
{{- define "fairlead.rules" -}}
- apiGroups: [fairlead.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [fairlead.dev]
  resources: [metrictemplates]
  verbs: [get]
- apiGroups: [fairlead.dev]
  resources: [modelrollouts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [fairlead.dev]
  resources: [modeldeployments/status, modelrollouts/status]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
