//! What our containers are given, and that it is the same wherever it is written.

use crate::built::{ALL, SHAPES, helmed, kustomize, kustomized, of_kind};
use crate::tools::run;
use crate::tree::{Folder, at, documents, list, read, text};
use serde_json::{Value, json};
use std::process::Command;
use unsix::config::Config;

/// A container of ours and the pod that it is in.
struct Container {
    shape: &'static str,
    pod: Value,
    spec: Value,
}

impl Container {
    /// All of them.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for shape in ALL {
            for object in documents(&kustomized(shape)) {
                let pod = at(&object, "/spec/template/spec").clone();
                let ours = list(&pod, "/containers").iter();
                let ours: Vec<Value> = ours
                    .filter(|one| one["name"] != "coredns")
                    .cloned()
                    .collect();
                all.extend(ours.into_iter().map(|spec| Self {
                    shape,
                    pod: pod.clone(),
                    spec,
                }));
            }
        }
        assert_eq!(all.len(), 5, "one for each shape, and attach");
        all
    }

    fn arguments(&self) -> Vec<&str> {
        list(&self.spec, "/args")
            .iter()
            .filter_map(Value::as_str)
            .collect()
    }

    fn attaches(&self) -> bool {
        self.arguments().first() == Some(&"attach")
    }

    /// The sample that it runs with.
    fn config(&self) -> Config {
        let file = self
            .arguments()
            .last()
            .unwrap()
            .strip_prefix("/etc/unsix/")
            .unwrap();
        Config::read(&read(&format!("config/{file}"))).unwrap()
    }

    /// Its port of this name.
    fn port(&self, name: &str) -> Option<u64> {
        let found = list(&self.spec, "/ports")
            .iter()
            .find(|port| port["name"] == name);
        found.and_then(|port| port["containerPort"].as_u64())
    }
}

/// Each is the sample byte by byte, as kustomize makes it and as helm does, and `unsix check` calls it good.
pub(crate) fn configmaps() {
    let folder = Folder::new("configmaps");
    for shape in ALL {
        for manifests in [kustomized(shape), helmed(shape)] {
            let objects = documents(&manifests);
            let [configmap] = of_kind(&objects, "ConfigMap")[..] else {
                panic!("{manifests}")
            };
            let data = configmap["data"].as_object().unwrap();
            for (name, content) in data.iter().filter(|(name, _)| *name != "patch.yaml") {
                let content = content.as_str().unwrap();
                assert_eq!(
                    content.trim_end(),
                    read(&format!("config/{name}")).trim_end(),
                    "{shape} {name}"
                );
                let file = folder.write(name, content);
                let (good, out, err) = run(Command::new(env!("CARGO_BIN_EXE_unsix"))
                    .arg("check")
                    .arg(file));
                assert!(good, "{shape} {name}: {out}{err}");
            }
        }
    }
}

pub(crate) fn ports() {
    for container in Container::all()
        .iter()
        .filter(|container| !container.attaches())
    {
        probes(container);
        objects(container);
    }
    image();
    targets();
}

/// The kubelet asks where the admin listener is.
fn probes(container: &Container) {
    let (shape, config) = (container.shape, container.config());
    let admin = config.admin.expect("probes ask it");
    let metrics = if shape == "coredns-sidecar" {
        "unsix-metrics"
    } else {
        "metrics"
    };
    assert_eq!(
        container.port(metrics),
        Some(admin.port().into()),
        "{shape}"
    );
    for (probe, page) in [("livenessProbe", "/live"), ("readinessProbe", "/ready")] {
        let get = &container.spec[probe]["httpGet"];
        if shape == "coredns-sidecar" && probe == "readinessProbe" {
            assert!(get.is_null(), "it would take CoreDNS out of its Service");
            continue;
        }
        assert_eq!(
            (text(get, "/port"), text(get, "/path")),
            (metrics, page),
            "{shape}"
        );
        // The kubelet asks at the pod's address, unless told another.
        let loopback = admin.ip().is_loopback();
        assert_eq!(
            get["host"],
            if loopback {
                json!(admin.ip())
            } else {
                Value::Null
            },
            "{shape}"
        );
    }
}

/// Services and policies lead to ports that the container has.
fn objects(container: &Container) {
    let (shape, config) = (container.shape, container.config());
    let objects = documents(&kustomized(shape));
    for service in of_kind(&objects, "Service") {
        for port in list(service, "/spec/ports") {
            assert_eq!(port["port"], 53);
            let listens = container
                .port(text(port, "/targetPort"))
                .expect("a port of the container");
            let all = config
                .listen
                .iter()
                .all(|address| u64::from(address.port()) == listens);
            assert!(all, "{shape}: {listens}");
        }
    }
    for policy in of_kind(&objects, "NetworkPolicy") {
        let rules = list(policy, "/spec/ingress").iter();
        for port in rules.flat_map(|rule| list(rule, "/ports")) {
            assert!(
                container.port(text(port, "/port")).is_some(),
                "{shape}: {port}"
            );
        }
    }
}

/// The image listens where the configuration in it says.
fn image() {
    let image = read("deploy/container/Dockerfile");
    let file = image
        .lines()
        .find_map(|line| line.strip_prefix("COPY config/"));
    let (sample, place) = file.unwrap().split_once(' ').unwrap();
    let config = Config::read(&read(&format!("config/{sample}"))).unwrap();
    let (dns, admin) = (config.listen[0].port(), config.admin.unwrap().port());
    let exposed = format!("\nEXPOSE {dns}/udp {dns}/tcp {admin}/tcp\n");
    let command = format!("CMD [\"run\", \"--config\", \"{place}\"]");
    let health = format!(" CMD [\"/unsix\", \"healthcheck\", \"--config\", \"{place}\"]\n");
    for line in [
        &exposed,
        &command,
        &health,
        "\nUSER 65532:65532\n",
        "\nENTRYPOINT [\"/unsix\"]\n",
    ] {
        assert!(image.contains(line), "Dockerfile: {line}");
    }
}

/// Whoever leads CoreDNS to the sidecar names its address.
fn targets() {
    let sidecar = Config::read(&read("config/sidecar.yaml")).unwrap().listen[0];
    for place in [
        "deploy/coredns/Corefile",
        "deploy/README.md",
        "deploy/helm/unsix/templates/NOTES.txt",
    ] {
        assert!(
            read(place).contains(&sidecar.to_string()),
            "{place}: {sidecar}"
        );
    }
}

pub(crate) fn rights() {
    for container in Container::all() {
        let shape = container.shape;
        let (security, pod) = (&container.spec["securityContext"], &container.pod);
        let common = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "seccompProfile": {"type": "RuntimeDefault"}});
        for (key, value) in common.as_object().unwrap() {
            assert_eq!(&security[key], value, "{shape}: {key}");
        }
        assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{shape}");
        let added = match (shape, container.attaches()) {
            ("node", true) => json!(["NET_ADMIN"]),
            ("node", false) => json!(["NET_BIND_SERVICE"]),
            _ => Value::Null,
        };
        assert_eq!(security["capabilities"]["add"], added, "{shape}");
        let root = container.attaches();
        assert_eq!(
            security["runAsUser"],
            if root { 0 } else { 65532 },
            "{shape}"
        );
        assert_eq!(security["runAsNonRoot"] == true, !root, "{shape}");
        for mount in list(&container.spec, "/volumeMounts") {
            assert_eq!(mount["readOnly"], true, "{shape}: {mount}");
        }
        assert!(pod["initContainers"].is_null(), "{shape}");
        if shape != "coredns-sidecar" {
            assert_eq!(pod["automountServiceAccountToken"], false, "{shape}");
            assert_eq!(pod["dnsPolicy"], "Default", "{shape}");
            assert_eq!(pod["hostNetwork"] == true, shape == "node", "{shape}");
        }
    }
}

/// The real program takes the arguments, as far as they can be taken without acting.
pub(crate) fn commands() {
    for container in Container::all() {
        let mut unsix = Command::new(env!("CARGO_BIN_EXE_unsix"));
        let (good, out, err) = run(unsix.args(container.arguments()).arg("--help"));
        assert!(
            good && out.contains("Example"),
            "{}: {out}{err}",
            container.shape
        );
    }
}

pub(crate) fn images() {
    let version = env!("CARGO_PKG_VERSION");
    for container in Container::all() {
        let image = text(&container.spec, "/image");
        assert_eq!(
            image,
            format!("ghcr.io/unsix/unsix:{version}"),
            "{}",
            container.shape
        );
    }
    let dockerfile = read("deploy/container/Dockerfile");
    let stages: Vec<&str> = dockerfile
        .lines()
        .filter(|line| line.starts_with("FROM "))
        .collect();
    assert_eq!(stages, ["FROM ${BUILDER} AS build", "FROM scratch"]);
    assert!(dockerfile.contains("\nARG BUILDER=public.ecr.aws/"));
    let chart = documents(&read("deploy/helm/unsix/Chart.yaml")).remove(0);
    assert_eq!(
        (text(&chart, "/version"), text(&chart, "/appVersion")),
        (version, version)
    );
    for object in documents(&kustomize("deploy/gai")) {
        for container in list(&object, "/spec/template/spec/containers") {
            let image = text(container, "/image");
            assert!(image.starts_with("registry.k8s.io/"), "{image}");
        }
    }
}

/// Whatever selects pods by their labels selects the shape's own, and what a pod mounts is there.
pub(crate) fn selectors() {
    for shape in SHAPES {
        let objects = documents(&kustomized(shape));
        let workload = objects
            .iter()
            .find(|object| !object["spec"]["template"].is_null())
            .unwrap();
        let labels = at(workload, "/spec/template/metadata/labels");
        let places = [
            "/spec/selector/matchLabels",
            "/spec/podSelector/matchLabels",
            "/spec/selector",
        ];
        let mut met = 0;
        for object in &objects {
            let selector = places
                .iter()
                .find_map(|place| object.pointer(place)?.as_object());
            let Some(selector) = selector else { continue };
            let fits = selector.iter().all(|(key, value)| labels[key] == *value);
            assert!(!selector.is_empty() && fits, "{shape}: {object}");
            met += 1;
        }
        let expected = if shape == "forward-target" {
            4
        } else {
            objects.len() - 1
        };
        assert_eq!(met, expected, "{shape}");
        let configmap = text(of_kind(&objects, "ConfigMap")[0], "/metadata/name");
        let mounted = list(workload, "/spec/template/spec/volumes")
            .iter()
            .find_map(|one| one.pointer("/configMap/name"));
        assert_eq!(mounted.unwrap(), configmap);
        for scaler in of_kind(&objects, "HorizontalPodAutoscaler") {
            assert_eq!(
                scaler["spec"]["scaleTargetRef"]["name"],
                workload["metadata"]["name"]
            );
        }
    }
}
