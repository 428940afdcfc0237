{{/* Why each line: deploy/kubernetes/overlays/node/daemonset.yaml */}}
{{- define "unsix.attach" -}}
image: {{ include "unsix.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [attach, --mode, {{ .Values.attach.mode }}, --config, /etc/unsix/{{ include "unsix.file" . }}]
securityContext:
  runAsUser: 0
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL], add: [NET_ADMIN]}
  seccompProfile: {type: RuntimeDefault}
  appArmorProfile: {type: Unconfined}
  seLinuxOptions: {type: spc_t}
resources:
  requests: {cpu: 5m, memory: 8Mi}
  limits: {memory: 32Mi}
volumeMounts:
  - {name: config, mountPath: /etc/unsix, readOnly: true}
  - {name: resolv-conf, mountPath: /etc/resolv.conf, readOnly: true}
  - {name: dbus, mountPath: /run/dbus, readOnly: true}
  - {name: tun, mountPath: /dev/net, readOnly: true}
{{- end }}
