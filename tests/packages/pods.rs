//! What stands under packaging/kubernetes can be applied, and starts: pods have the secrets, ports and limits that they need.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use nightbell::config::{Config, LoadOptions};
use serde_json::Value;

use super::{assert_understood, read, root};
use crate::readme::typed;

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().unwrap_or_else(|| panic!("{list} is no list")).iter().map(|it| it.as_str().unwrap()).collect()
}

/// Two ways to run pods: the manifest, and how many there are of them.
const PODS: [(&str, &str, u64); 2] = [("sqlite", "statefulset.yaml", 1), ("postgres", "deployment.yaml", 3)];

#[test]
fn the_configurations_of_the_pods_are_clean() {
    for (which, ..) in PODS {
        let rules = read(&format!("packaging/kubernetes/{which}/rules.yaml"));
        let loaded = Config::from_text(rules, "rules.yaml", Path::new(""), &LoadOptions { offline: true });
        let loaded = loaded.unwrap_or_else(|problem| panic!("{which}: {problem}"));
        assert!(loaded.warnings.is_empty(), "{which}: {:?}", loaded.warnings);
    }
}

#[test]
fn pods_run_as_nobody_write_nowhere_and_answer_for_themselves() {
    let service = yaml("packaging/kubernetes/base/service.yaml");
    let port = &service["spec"]["ports"][0];
    for (which, manifest, replicas) in PODS {
        let rules = yaml(&format!("packaging/kubernetes/{which}/rules.yaml"));
        let workload = yaml(&format!("packaging/kubernetes/{which}/{manifest}"));
        let spec = &workload["spec"];
        assert_eq!(spec["replicas"], replicas, "{which}");
        let (labels, pod) = (&spec["template"]["metadata"]["labels"], &spec["template"]["spec"]);
        assert!(labels.is_object());
        assert_eq!(&spec["selector"]["matchLabels"], labels, "{which}");
        assert_eq!(&service["spec"]["selector"], labels, "{which}");
        assert_eq!(pod["securityContext"]["runAsUser"], 65532, "{which}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{which}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{which}");
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{which}");
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false, "{which}");
        assert_eq!(words(&container["securityContext"]["capabilities"]["drop"]), ["ALL"], "{which}");
        assert_understood(manifest, &words(&container["args"]));
        for (probe, is_ready) in [("startupProbe", false), ("livenessProbe", false), ("readinessProbe", true)] {
            let command = words(&container[probe]["exec"]["command"]);
            assert_eq!(command[..2], ["/nightbell", "healthcheck"], "{which}: {probe}");
            assert_understood(manifest, &command[1..]);
            assert_eq!(command.contains(&"--ready"), is_ready, "{which}: {probe}");
        }
        // What the service leads to is a port of the pod, and somebody listens there.
        let own = &container["ports"][0];
        assert_eq!((&port["targetPort"], &own["name"]), (&Value::from("http"), &Value::from("http")), "{which}");
        let listen: std::net::SocketAddr = rules["web"]["listen"].as_str().unwrap().parse().unwrap();
        assert_eq!(own["containerPort"], listen.port(), "{which}");
        assert!(listen.ip().is_unspecified(), "{which}: the service cannot reach {listen}");
        assert_eq!(rules["web"]["tokens"], true, "{which}: whoever reaches it may do everything");
    }
    let budget = yaml("packaging/kubernetes/postgres/disruption.yaml");
    assert_eq!(budget["spec"]["selector"]["matchLabels"], service["spec"]["selector"]);
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
}

#[test]
fn what_is_applied_to_a_cluster_is_there_and_in_one_namespace() {
    let namespace = yaml("packaging/kubernetes/base/namespace.yaml");
    let base = yaml("packaging/kubernetes/base/kustomization.yaml");
    assert!(words(&base["resources"]).contains(&"namespace.yaml"), "nothing makes the namespace");
    let listed = |folder: &str, manifest: &str| {
        let kustomization = yaml(&format!("packaging/kubernetes/{folder}/kustomization.yaml"));
        words(&kustomization["resources"]).contains(&manifest)
    };
    assert!(listed("postgres", "disruption.yaml"));
    for (which, manifest, _) in PODS {
        let folder = format!("packaging/kubernetes/{which}");
        let kustomization = yaml(&format!("{folder}/kustomization.yaml"));
        assert_eq!(kustomization["namespace"], namespace["metadata"]["name"], "{which}");
        assert!(listed(which, manifest) && listed(which, "../base"), "{which}");
        for resource in words(&kustomization["resources"]) {
            assert!(root().join(&folder).join(resource).exists(), "{which}: there is no {resource}");
        }
    }
}

/// What `kubectl apply -k` applies is put together by kubectl itself, where there is one: setup installs none.
#[test]
fn kubectl_puts_together_what_is_applied() {
    for (which, manifest, _) in PODS {
        let folder = root().join("packaging/kubernetes").join(which);
        let output = match Command::new("kubectl").arg("kustomize").arg(folder).output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return println!("there is no kubectl here"),
            Err(error) => panic!("kubectl: {error}"),
        };
        assert!(output.status.success(), "{which}: {}", String::from_utf8_lossy(&output.stderr));
        let made = String::from_utf8(output.stdout).unwrap();
        let kind = &yaml(&format!("packaging/kubernetes/{which}/{manifest}"))["kind"];
        let version = env!("CARGO_PKG_VERSION");
        for line in [format!("kind: {}\n", kind.as_str().unwrap()), format!("image: nightbell:{version}\n")] {
            assert!(made.contains(&line), "{which}: no {line:?} in\n{made}");
        }
    }
}

/// Each file that the pods' configurations read is a key of the secret that the documents make, in the pods' namespace.
#[test]
fn the_documents_make_the_secrets_that_pods_read() {
    let namespace = yaml("packaging/kubernetes/base/namespace.yaml");
    let namespace = format!(" -n {} ", namespace["metadata"]["name"].as_str().unwrap());
    for document in ["docs/install.md", "docs/zh/install.md"] {
        let text = read(document);
        let commands = typed(&text);
        let makes = commands.iter().find(|line| line.contains("create secret generic nightbell ")).unwrap();
        assert!(makes.contains(&namespace), "{document}: {makes}");
        let is_before = |line: &&String| !line.contains("create secret");
        let earlier: Vec<&String> = commands.iter().take_while(is_before).collect();
        let first = "kubectl apply -f packaging/kubernetes/base/namespace.yaml";
        assert!(earlier.iter().any(|line| *line == first), "{document}: nothing makes the namespace before the secret");
        for line in commands.iter().filter(|line| line.starts_with("kubectl ") && line.contains(" -- /nightbell ")) {
            let words: Vec<&str> = line.split_once(" -- /nightbell ").unwrap().1.split(' ').collect();
            assert!(line.contains(&namespace), "{document}: {line}");
            assert_understood(document, &words);
        }
        for (which, ..) in PODS {
            let rules = read(&format!("packaging/kubernetes/{which}/rules.yaml"));
            let lines = rules.lines().filter(|line| !line.trim_start().starts_with('#'));
            let keys: BTreeSet<&str> = lines
                .flat_map(|line| line.split("/etc/nightbell/secrets/").skip(1))
                .map(|rest| rest.split([' ', '}']).next().unwrap())
                .collect();
            assert!(keys.len() >= 4, "{which}: {keys:?}");
            for key in keys {
                let option = format!("--from-file={key}=");
                // What both of them read is in the command; what one more needs is named beside it.
                let place = if which == "sqlite" { makes } else { &text };
                assert!(place.contains(&option), "{document}: no {option}");
            }
        }
    }
}
