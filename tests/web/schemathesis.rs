//! Schemathesis asks the API whatever its description allows, and more: no answer is a 500, none is one that the description
//! does not know.

use std::path::Path;

use super::night::night;

const CHECKS: [&str; 7] = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_one_that_the_description_does_not_allow() {
    let night = night().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // It keeps notes where it runs.
    let notes = tempfile::tempdir().unwrap();
    let seed = std::process::id().to_string();
    println!("schemathesis' seed: {seed}");
    let mut command = std::process::Command::new(root.join("target/schemathesis/bin/schemathesis"));
    command
        .arg("run")
        .arg(root.join("docs/openapi.json"))
        .args(["--url", &format!("http://{}", night.served.address)])
        .args(["--header", &format!("Authorization: {}", night.responder)])
        .args(["--max-examples", "15", "--seed", &seed, "--no-color", "--generation-database", "none"])
        .args(["--request-timeout", "30"])
        // Not asked for: that whatever has the right shape is taken (a silence may still say nothing), and that what was
        // ended is gone (a silence that has expired is kept).
        .args(["--checks", &CHECKS.join(",")])
        .current_dir(notes.path());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .expect("tests/setup.sh installs schemathesis");
    let said = String::from_utf8_lossy(&output.stdout).replace(night.responder.as_str(), "<token>");
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    night.served.stop().await;
}
