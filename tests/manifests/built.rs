//! What kustomize and helm make, and whether Kubernetes would take it.

use crate::tools::{HELM, KUBECTL, VALIDATE, printed, run};
use crate::tree::{Folder, documents, path, read};
use serde_json::Value;

/// The shapes that make pods of their own.
pub(crate) const SHAPES: [&str; 3] = ["node", "forward-target", "node-cache"];
/// All shapes.
pub(crate) const ALL: [&str; 4] = ["node", "forward-target", "node-cache", "coredns-sidecar"];
/// The oldest Kubernetes that the chart names, and one that knows every word used.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

/// What kustomize makes of a folder of the tree.
pub(crate) fn kustomize(folder: &str) -> String {
    printed(KUBECTL.command().arg("kustomize").arg(path(folder)))
}

/// What it makes of a shape; the sidecar goes into a Deployment that stands in for CoreDNS.
pub(crate) fn kustomized(shape: &str) -> String {
    if shape != "coredns-sidecar" {
        return kustomize(&format!("deploy/kubernetes/overlays/{shape}"));
    }
    // kustomize wants relative paths, and the folder lies anywhere.
    let folder = Folder::new("coredns");
    let overlay = path("deploy/kubernetes/overlays/coredns-sidecar");
    let up = "../".repeat(folder.path().components().count());
    folder.write("coredns.yaml", COREDNS);
    let overlay = format!("{up}{}", overlay.display());
    folder.write(
        "kustomization.yaml",
        &format!("resources: [coredns.yaml]\ncomponents: [\"{overlay}\"]\n"),
    );
    printed(KUBECTL.command().arg("kustomize").arg(folder.path()))
}

/// What helm makes of a shape.
pub(crate) fn helmed(shape: &str) -> String {
    let values = [format!("shape={shape}"), "clusterDNS=10.96.0.10".to_owned()];
    let (good, out, err) = template(&values);
    assert!(good, "{err}");
    out
}

/// What helm says with these values.
pub(crate) fn template(values: &[String]) -> (bool, String, String) {
    let mut helm = HELM.command();
    helm.args(["template", "unsix"])
        .arg(path("deploy/helm/unsix"));
    helm.args(["--namespace", "kube-system", "--kube-version", "1.34.0"]);
    for value in values {
        helm.args(["--set", value]);
    }
    run(&mut helm)
}

pub(crate) fn kustomize_is_valid() {
    for shape in ALL {
        valid(shape, &kustomized(shape), 2);
    }
    valid(
        "config",
        &kustomize("deploy/kubernetes/overlays/coredns-sidecar/config"),
        1,
    );
    valid("gai", &kustomize("deploy/gai"), 2);
    valid("k3s", &read("deploy/coredns/k3s.yaml"), 1);
}

pub(crate) fn helm_is_valid() {
    for shape in ALL {
        valid(shape, &helmed(shape), 1);
    }
}

/// Each of at least so many objects is what the schemas of Kubernetes say, and nothing more.
#[track_caller]
fn valid(name: &str, manifests: &str, least: usize) {
    let objects = documents(manifests);
    assert!(objects.len() >= least, "{name}: {objects:#?}");
    let folder = Folder::new(name);
    let file = folder.write("all.yaml", manifests);
    for version in VERSIONS {
        let mut validate = VALIDATE.command();
        validate.args(["--strict", "-k", version]).arg(&file);
        let (good, out, err) = run(&mut validate);
        assert!(good, "{name}, Kubernetes {version}:\n{out}{err}");
        let passed = (out + &err).matches(" passed for resource ").count();
        assert_eq!(passed, objects.len(), "{name}, Kubernetes {version}");
    }
}

/// The objects of a kind.
pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects
        .iter()
        .filter(|object| object["kind"] == kind)
        .collect()
}

/// As kubeadm has it, near enough.
const COREDNS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec:
      dnsPolicy: Default
      containers:
        - name: coredns
          image: registry.k8s.io/coredns/coredns:v1.13.1
          ports: [{name: metrics, containerPort: 9153}]
          volumeMounts: [{name: config-volume, mountPath: /etc/coredns}]
      volumes: [{name: config-volume, configMap: {name: coredns}}]
";
