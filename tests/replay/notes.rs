//! What `nightbell backtest` says of what it cannot know: what bears on the result, and nothing else.

use crate::program::{Stage, failed, text};

const RULES: &str = "rules:
  failed: { match: { job: 'etl_*' }, when: { status: [fail] }, notify: [hook] }
";
const MORE: &str = "  stopped: { match: { job: nowhere }, when: { job_status: [STOPPED] }, notify: [hook] }
  flood: { match: { job: nowhere }, when: { status: [fail] }, notify: [hook], group: { by: [job] } }
";
const NODES: &str = "the nodes of runs are not recorded";
const WORDS: &str = "why runs failed, in the scheduler's words, is not recorded";
const JOBS: &str = "the states of jobs are not recorded: stopped is not played";

/// Which of these the notes hold.
async fn notes(stage: &Stage, arguments: &[&str]) -> Vec<&'static str> {
    let output = stage.output(&[&["backtest", "--since", "1h"], arguments].concat()).await;
    let says = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{says}");
    [NODES, WORDS, JOBS].into_iter().filter(|note| says.contains(note)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_notes_tell_what_cannot_be_known_only_where_it_matters() {
    let stage = Stage::set(RULES).await;
    stage.once(0).await;
    assert!(notes(&stage, &[]).await.is_empty());
    stage.workspace.put(failed("etl_orders", 1));
    stage.once(0).await;
    assert_eq!(notes(&stage, &[]).await, [NODES, WORDS]);
    assert_eq!(notes(&stage, &["--fetch"]).await, [NODES], "the list has the words");
    stage.write_config(&format!("{RULES}{MORE}"));
    assert_eq!(notes(&stage, &[]).await, [NODES, WORDS, JOBS]);
}
