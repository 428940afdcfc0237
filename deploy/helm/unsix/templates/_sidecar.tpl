{{/* What `kubectl patch` puts beside CoreDNS: helm cannot change a Deployment that is not its own. */}}
{{- define "unsix.sidecar" -}}
spec:
  template:
    spec:
      containers:
        - name: unsix
          {{- include "unsix.run" . | nindent 10 }}
          ports: [{name: unsix-metrics, containerPort: 9353}]
          livenessProbe:
            httpGet: {port: unsix-metrics, path: /live}
            failureThreshold: 3
          securityContext:
            {{- include "unsix.restricted" . | nindent 12 }}
          volumeMounts:
            - {name: unsix, mountPath: /etc/unsix, readOnly: true}
      volumes:
        - name: unsix
          configMap: {name: {{ include "unsix.name" . }}}
{{- end }}
