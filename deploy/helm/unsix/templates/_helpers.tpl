{{/* One name for everything: `RELEASE-SHAPE`. */}}
{{- define "unsix.name" -}}
{{ printf "%s-%s" .Release.Name .Values.shape | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "unsix.selector" -}}
app.kubernetes.io/name: unsix
app.kubernetes.io/instance: {{ include "unsix.name" . }}
{{- end }}

{{- define "unsix.labels" -}}
{{ include "unsix.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "unsix.metadata" -}}
name: {{ include "unsix.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "unsix.labels" . | nindent 2 }}
{{- end }}

{{- define "unsix.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The file of config/ that the shape runs with. */}}
{{- define "unsix.file" -}}
{{ get (dict "node" "node.yaml" "forward-target" "coredns.yaml" "coredns-sidecar" "sidecar.yaml" "node-cache" "node-cache.yaml") .Values.shape }}
{{- end }}

{{- define "unsix.config" -}}
{{- $sample := .Files.Get (printf "files/%s" (include "unsix.file" .)) -}}
{{- if .Values.config -}}
{{ toYaml .Values.config }}
{{- else if eq .Values.shape "node-cache" -}}
{{- $sample | replace "10.96.0.10" (required "clusterDNS: the shape node-cache needs the address of the cluster's DNS service, as in `--set clusterDNS=10.96.0.10`: kubectl -n kube-system get service -l k8s-app=kube-dns" .Values.clusterDNS) -}}
{{- else -}}
{{ $sample }}
{{- end -}}
{{- end }}

{{/* What every container of ours may do. */}}
{{- define "unsix.restricted" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
seccompProfile: {type: RuntimeDefault}
capabilities:
  drop: [ALL]
{{- end }}

{{- define "unsix.run" -}}
image: {{ include "unsix.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [run, --config, /etc/unsix/{{ include "unsix.file" . }}]
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end }}

{{- define "unsix.dns-ports" -}}
- {name: dns, containerPort: 5300, protocol: UDP}
- {name: dns-tcp, containerPort: 5300, protocol: TCP}
- {name: metrics, containerPort: 9353}
{{- end }}
