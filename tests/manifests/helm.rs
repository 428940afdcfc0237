//! The chart: the same as kustomize makes, and values that are checked.

use crate::built::{SHAPES, helmed, kustomized, of_kind, template};
use crate::tools::{HELM, run};
use crate::tree::{documents, path, read, text};
use serde_json::Value;
use std::fs;
use unsix::config::Config;

pub(crate) fn lint() {
    let (good, out, err) = run(HELM
        .command()
        .args(["lint", "--strict"])
        .arg(path("deploy/helm/unsix")));
    assert!(good && !out.contains("[WARNING]"), "{out}{err}");
}

/// Its own labels apart, each object is the other's.
pub(crate) fn same_objects() {
    for shape in SHAPES {
        assert_eq!(bare(&helmed(shape)), bare(&kustomized(shape)), "{shape}");
    }
}

/// The objects by kind, without what each way adds on top; ConfigMaps have a test of their own.
fn bare(manifests: &str) -> Vec<Value> {
    let mut objects = documents(manifests);
    objects.retain(|object| object["kind"] != "ConfigMap");
    for object in &mut objects {
        let metadata = object["metadata"].as_object_mut().unwrap();
        assert!(metadata.remove("labels").is_some());
    }
    objects.sort_by_key(|object| object["kind"].to_string());
    objects
}

pub(crate) fn same_sidecar() {
    let objects = documents(&helmed("coredns-sidecar"));
    let [configmap] = of_kind(&objects, "ConfigMap")[..] else {
        panic!("{objects:#?}")
    };
    let ours = documents(text(configmap, "/data/patch.yaml")).remove(0);
    let file = "deploy/kubernetes/overlays/coredns-sidecar/sidecar.yaml";
    assert_eq!(ours["spec"], documents(&read(file)).remove(0)["spec"]);
}

pub(crate) fn refusals() {
    let cases = [
        ("shape=nodes", "shape"),
        (
            "shape=node-cache",
            "clusterDNS: the shape node-cache needs the address",
        ),
        ("config.lsiten=x", "lsiten"),
        ("config.deadline=5", "deadline"),
        ("image.repository=docker.io/unsix/unsix", "repository"),
        ("attach.mode=print", "mode"),
        ("replicas=2", "replicas"),
    ];
    for (value, word) in cases {
        let (good, out, err) = template(&[value.to_owned()]);
        // helm tells of the links to config/ before anything else.
        let said: Vec<&str> = err
            .lines()
            .filter(|line| !line.contains("symbolic link"))
            .collect();
        let said = said.join("\n");
        assert!(!good && said.contains(word), "{value}: {out}{said}");
    }
}

pub(crate) fn configuration() {
    let values = ["shape=node-cache", "clusterDNS=10.43.0.10"].map(str::to_owned);
    let of = |values: &[String], key: &str| {
        let (good, out, err) = template(values);
        assert!(good, "{err}");
        let objects = documents(&out);
        let [configmap] = of_kind(&objects, "ConfigMap")[..] else {
            panic!("{out}")
        };
        Config::read(configmap["data"][key].as_str().unwrap()).unwrap()
    };
    let config = of(&values, "node-cache.yaml");
    assert_eq!(
        config.routes[0].upstreams,
        ["10.43.0.10:53".parse().unwrap()]
    );
    let values = ["config.deadline=1s", "config.rules[0].preset=docker-hub"].map(str::to_owned);
    let config = of(&values, "node.yaml");
    assert_eq!(config.deadline.as_millis(), 1000);
    assert_eq!(config.rules, Config::default().rules);
}

/// An editor and helm know unsix's own options below `config`. `BLESS=1 cargo test --test manifests` writes them anew.
pub(crate) fn schema() {
    const FILE: &str = "deploy/helm/unsix/values.schema.json";
    let mut all: Value = serde_json::from_str(&read(FILE)).unwrap();
    let mut ours: Value = serde_json::from_str(&Config::schema()).unwrap();
    ours.as_object_mut().unwrap().remove("$schema");
    let place = all.pointer_mut("/properties/config").unwrap();
    if std::env::var_os("BLESS").is_some() {
        *place = ours;
        fs::write(
            path(FILE),
            serde_json::to_string_pretty(&all).unwrap() + "\n",
        )
        .unwrap();
    } else {
        assert_eq!(
            *place, ours,
            "{FILE} is old: run BLESS=1 cargo test --test manifests"
        );
    }
}
