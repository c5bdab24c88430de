//! What packaging/ says of the program is true: the commands that units, images and pods start exist, pods have the secrets,
//! ports and limits that they need, what packages hold is there and leads nowhere else, and the unit is hardened.
//! `tests/packaging` installs and runs the packages, which takes minutes.

mod pods;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;
use nightbell::cli::Cli;
use nightbell::config::{Config, LoadOptions};

use crate::readme::{destination, documents, links, prose, typed};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn assert_understood(place: &str, words: &[&str]) {
    let words: Vec<&str> = ["nightbell"].iter().chain(words).copied().collect();
    Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{place}: {words:?}: {error}"));
}

/// The words of a list in brackets: `[run, -c, "x"]`.
fn bracketed(list: &str) -> Vec<&str> {
    let inside = list.split_once('[').unwrap().1.split_once(']').unwrap().0;
    inside.split(',').map(|word| word.trim().trim_matches('"')).collect()
}

#[test]
fn what_units_images_and_pods_start_is_understood() {
    let unit = read("packaging/nightbell.service");
    let starts: Vec<&str> =
        unit.lines().filter_map(|line| line.split_once("=/usr/bin/nightbell ")).map(|(_, rest)| rest).collect();
    assert_eq!(starts.len(), 2, "one that checks, one that runs");
    for start in starts {
        assert_understood("nightbell.service", &start.split(' ').collect::<Vec<_>>());
    }
    let image = read("packaging/container/Containerfile");
    let command = image.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    assert_understood("Containerfile", &bracketed(command));
    let asked = image.lines().find(|line| line.starts_with("HEALTHCHECK ")).unwrap().split_once(" CMD ").unwrap().1;
    let asked = bracketed(asked);
    assert_eq!(asked[..2], ["/nightbell", "healthcheck"]);
    assert_understood("HEALTHCHECK", &asked[1..]);
    for line in ["USER 65532:65532", "FROM scratch"] {
        assert!(image.lines().any(|it| it == line), "the image has no {line:?}");
    }
    // An engine that makes images of another format by itself leaves the health check out.
    for document in ["docs/install.md", "docs/zh/install.md"] {
        let builds = |line: &String| line.starts_with("podman build ") && line.contains(" --format docker ");
        assert!(typed(&read(document)).iter().any(builds), "{document}");
    }
}

/// What a package holds: where it comes from, and where it goes.
type Assets = Vec<(String, String)>;

fn quoted(line: &str) -> Vec<&str> {
    line.split('"').skip(1).step_by(2).collect()
}

/// What the Debian package holds, and the RPM.
fn packages() -> [Assets; 2] {
    let manifest = read("Cargo.toml");
    let (deb, rpm) =
        manifest.split_once("[package.metadata.deb]").unwrap().1.split_once("[package.metadata.generate-rpm]").unwrap();
    let of = |section: &str, start: &str| -> Assets {
        let lines = section.lines().map(str::trim).filter(|line| line.starts_with(start));
        lines
            .map(|line| (quoted(line)[0].to_string(), format!("/{}", quoted(line)[1].trim_start_matches('/'))))
            .collect()
    };
    [of(deb, "[\""), of(rpm, "{ source = ")]
}

/// The files that a source names, by their paths from the project's root: itself, or what its stars stand for.
fn files_of(source: &str) -> Vec<PathBuf> {
    let Some((folder, pattern)) = source.split_once('*') else { return vec![PathBuf::from(source)] };
    let is_deep = pattern.starts_with("*/");
    let ending = pattern.rsplit('*').next().unwrap();
    let mut files = crate::readme::files_under(Path::new(folder.trim_end_matches('/')));
    files.retain(|file| {
        let is_direct = file.parent() == Some(Path::new(folder.trim_end_matches('/')));
        (is_deep || is_direct) && file.to_string_lossy().ends_with(ending)
    });
    files
}

/// What both packages hold is there, but for what `packaging/build` makes.
#[test]
fn what_packages_hold_is_there() {
    for assets in packages() {
        let sources: Vec<&String> =
            assets.iter().map(|(source, _)| source).filter(|it| !it.starts_with("target/")).collect();
        assert!(sources.len() > 15, "{sources:?}");
        for source in sources {
            let files = files_of(source);
            assert!(!files.is_empty() && files.iter().all(|file| root().join(file).exists()), "there is no {source}");
        }
    }
}

/// Whoever reads the documents where a package has put them is led to nothing that is not there.
#[test]
fn links_in_packaged_documents_lead_to_what_is_packaged() {
    const PLACE: &str = "/usr/share/doc/nightbell";
    for assets in packages() {
        let mut held: BTreeSet<PathBuf> = BTreeSet::new();
        for (source, place) in assets.iter().filter(|(source, _)| !source.starts_with("target/")) {
            for file in files_of(source) {
                let inside = match source.split_once('*') {
                    Some((folder, _)) => file.strip_prefix(folder.trim_end_matches('/')).unwrap().to_path_buf(),
                    None if place.ends_with('/') => PathBuf::from(file.file_name().unwrap()),
                    None => PathBuf::new(),
                };
                let path = if inside.as_os_str().is_empty() { place.into() } else { Path::new(place).join(inside) };
                held.extend(path.ancestors().map(Path::to_path_buf));
            }
        }
        let mut seen = 0;
        for document in documents() {
            assert!(
                held.contains(&Path::new(PLACE).join(&document.path)),
                "{} is not packaged",
                document.path.display()
            );
            for link in links(&prose(&document.text)).filter(|link| !link.contains("://")) {
                let (to, _) = destination(&document.path, link);
                let to = Path::new(PLACE).join(to);
                assert!(held.contains(&to), "{}: {link}: no {}", document.path.display(), to.display());
                seen += 1;
            }
        }
        assert!(seen > 100, "{seen}");
    }
    // The archive has them at the same places, by one command.
    let build = read("packaging/build");
    let copied = build.split_once("cp -r --parents ").unwrap().1.split_once("\"$out/$name/\"").unwrap().0;
    let copied: Vec<&str> =
        copied.split_whitespace().chain(["README.md", "README.zh.md", "rules.example.yaml"]).collect();
    for document in documents() {
        for link in links(&prose(&document.text)).filter(|link| !link.contains("://")) {
            let (to, _) = destination(&document.path, link);
            assert!(
                copied.iter().any(|it| to.starts_with(it)),
                "{}: {link} is not in the archive",
                document.path.display()
            );
        }
    }
}

/// What both packages bring as the configuration is what `nightbell init` writes, but for the places of a service.
#[test]
fn the_packaged_configuration_is_the_starter_with_the_places_of_the_service() {
    let (starter, packaged) = (read("src/cli/init/starter.yaml"), read("packaging/rules.yaml"));
    let words = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.starts_with("store:"));
        lines.map(str::to_string).collect()
    };
    assert_eq!(words(&starter), words(&packaged));
    let loaded = Config::from_text(packaged.clone(), "rules.yaml", Path::new(""), &LoadOptions { offline: true });
    let loaded = loaded.unwrap_or_else(|problem| panic!("{problem}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.config.store.file(), Some("/var/lib/nightbell/nightbell.db"));
    // Each variable that it reads has a line in the file of variables, which root alone reads.
    let environment = read("packaging/environment");
    let variables: Vec<&str> = packaged
        .split("{ env: ")
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap())
        .filter(|it| *it != "NAME")
        .collect();
    assert!(variables.len() >= 4, "{variables:?}");
    for variable in variables {
        assert!(environment.contains(&format!("#{variable}=\n")), "no line for {variable}");
    }
    let manifest = read("Cargo.toml");
    for line in [
        "[\"packaging/environment\", \"etc/nightbell/environment\", \"600\"],",
        "conf-files = [\"/etc/nightbell/rules.yaml\", \"/etc/nightbell/environment\"]",
        "{ source = \"packaging/environment\", dest = \"/etc/nightbell/environment\", mode = \"600\", config = \"noreplace\" },",
        "{ source = \"packaging/rules.yaml\", dest = \"/etc/nightbell/rules.yaml\", mode = \"640\", config = \"noreplace\" },",
        "pre_uninstall_script = \"packaging/rpm/preun\"",
    ] {
        assert!(manifest.contains(line), "{line}");
    }
}

/// Packages of every target lie side by side in a release.
#[test]
fn what_a_release_hands_out_is_named_by_its_target() {
    let (release, build) = (read("packaging/release.yml"), read("packaging/build"));
    let uploads: Vec<&str> = release.lines().filter_map(|line| line.trim().strip_prefix("target/package/*.")).collect();
    assert_eq!(uploads, ["deb", "rpm", "tar.gz", "cdx.json"]);
    // Debian's and RPM's names have the machine in them; these two are named here.
    for name in ["name=nightbell-$version-$target\n", "--override-filename \"nightbell-$version-$target.cdx\""] {
        assert!(build.contains(name), "{name}");
    }
}

/// A release is attested, and signed as SECURITY.md verifies it; and it runs no action whose name can be given to another one.
#[test]
fn a_release_is_signed_as_the_documents_verify_it() {
    let release = read("packaging/release.yml");
    let actions: Vec<&str> = release.lines().filter_map(|line| line.split_once("uses: ")).map(|(_, it)| it).collect();
    let pinned = regex::Regex::new(r"^[a-z]+/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$").unwrap();
    let moving: Vec<&&str> = actions.iter().filter(|it| !pinned.is_match(it)).collect();
    assert!(actions.len() > 10 && moving.is_empty(), "not named by a commit: {moving:?}");
    let place = |what: &str| release.find(what).unwrap_or_else(|| panic!("the release has no {what:?}"));
    let image = ["docker/build-push-action@", "subject-digest: ", "cosign sign --yes \"$IMAGE\"\n", "\n  release:\n"];
    assert!(image.map(place).is_sorted(), "the image is pushed, attested and signed, before anything is released");
    let signs =
        "cosign sign-blob --yes --new-bundle-format --bundle packages/SHA256SUMS.sigstore.json packages/SHA256SUMS\n";
    let packages = ["sha256sum * > SHA256SUMS\n", signs, "subject-path: \"packages/*\"", "gh release create "];
    assert!(packages.map(place).is_sorted(), "checksums are written, signed, attested and handed out, in this order");
    assert_eq!(
        release.matches("id-token: write").count(),
        2,
        "who attests and signs needs a token that says who it is"
    );
    let verifies = typed(&read("SECURITY.md"));
    for start in [
        "cosign verify-blob --new-bundle-format --bundle SHA256SUMS.sigstore.json ",
        "cosign verify ",
        "gh attestation verify ",
        "sha256sum ",
    ] {
        let line = verifies.iter().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("SECURITY.md has no {start:?}"));
        if start.starts_with("cosign ") {
            // Whose signature it is: without that any would do.
            assert!(line.contains("--certificate-oidc-issuer https://token.actions.githubusercontent.com "), "{line}");
            assert!(line.contains("/.github/workflows/release.yml@refs/tags/v' "), "{line}");
        }
    }
}

#[test]
fn every_script_can_be_read_by_its_shell() {
    let posix =
        ["debian/postinst", "debian/prerm", "debian/postrm", "container/rootfs", "rpm/post", "rpm/preun", "rpm/postun"];
    let posix = posix.map(|script| ("sh", format!("packaging/{script}")));
    let bash = ["packaging/build", "tests/packaging", "tests/supply", "tests/run", "benches/peers", "benches/soak"];
    let bash = bash.map(|script| ("bash", script.to_string()));
    for (shell, path) in posix.iter().chain(&bash) {
        let output = Command::new(shell).arg("-n").arg(root().join(path)).output().unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What the documents promise of the service stands in its unit, and what people type to run a command as the service is like it.
#[test]
fn the_unit_has_what_the_documents_promise() {
    let unit = read("packaging/nightbell.service");
    let lines: Vec<&str> = unit.lines().collect();
    for line in [
        "Type=notify-reload",
        "NotifyAccess=main",
        "WatchdogSec=60s",
        "Restart=on-failure",
        "User=nightbell",
        "StateDirectory=nightbell",
        "WorkingDirectory=/var/lib/nightbell",
        "LoadCredential=secret:/etc/nightbell/secrets",
        "EnvironmentFile=-/etc/nightbell/environment",
        "ExecStartPre=/usr/bin/nightbell check -c /etc/nightbell/rules.yaml",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
    ] {
        assert!(lines.contains(&line), "the unit has no {line:?}");
    }
    for document in ["docs/install.md", "docs/zh/install.md"] {
        let commands = typed(&read(document));
        let asked = commands.iter().find(|line| line.contains("systemd-run ")).unwrap();
        let (options, command) = asked.split_once(" nightbell ").unwrap();
        assert_understood(document, &command.split(' ').collect::<Vec<_>>());
        let properties: Vec<&str> = options.split(" -p ").skip(1).collect();
        assert_eq!(properties.len(), 3, "{asked}");
        for property in properties {
            let is_so = lines.iter().any(|line| line.replace("=-/", "=/") == property);
            assert!(is_so, "{document}: the unit has no {property:?}");
        }
    }
}

/// systemd understands every line of the unit; a version before 253 does not know one of them, which the unit says.
#[test]
fn systemd_understands_the_unit() {
    let tree = tempfile::tempdir().unwrap();
    let place = |path: &str| {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    std::fs::copy(root().join("packaging/nightbell.service"), place("etc/systemd/system/nightbell.service")).unwrap();
    std::fs::copy("/bin/true", place("usr/bin/nightbell")).unwrap();
    let verify = |unit: &str| {
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--root"])
            .args([tree.path().as_os_str(), unit.as_ref()])
            .output()
            .expect("tests/setup.sh installs systemd");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let about = |line: &&str| line.contains(&format!("{unit}:")) && !line.contains("type, ignoring: notify-reload");
        // The units of the system that it depends on are not in the tree.
        let faults: Vec<String> =
            said.lines().filter(about).filter(|line| !line.contains("Failed to create")).map(str::to_string).collect();
        faults
    };
    assert_eq!(verify("nightbell.service"), Vec::<String>::new());
    let broken = read("packaging/nightbell.service").replace("WatchdogSec=", "WatchdogSeconds=");
    std::fs::write(place("etc/systemd/system/broken.service"), broken).unwrap();
    assert_eq!(verify("broken.service").len(), 1, "a line that systemd does not know is seen");
}

/// Exposed as little as the unit claims.
#[test]
fn the_unit_is_hardened() {
    let unit = root().join("packaging/nightbell.service");
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true"])
        .arg(unit)
        .output()
        .expect("tests/setup.sh installs systemd");
    let said = String::from_utf8_lossy(&output.stdout);
    let level = said.split("nightbell.service: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let level: f64 = level.and_then(|level| level.parse().ok()).unwrap_or_else(|| panic!("{said}"));
    assert!(level <= 1.5, "exposure {level}");
}
