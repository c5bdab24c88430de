//! Which nodes of an instance to look at.

use crate::limits::NODES_MAX;
use crate::model::{Node, NodePart, Status};

/// The nodes to tell of, at most [`NODES_MAX`]:
/// those that failed; if there are none, those in any other state that is neither success, skip, waiting nor running;
/// if there are none either, those with a log path, the latest start first.
///
/// The last case is no oddity: the example in the vendor's documentation is a failed instance with two successful
/// nodes, of which one has a log path.
pub fn failing_nodes(nodes: &[Node]) -> Vec<NodePart> {
    let pick = |wanted: fn(&Node) -> bool| -> Vec<&Node> { nodes.iter().filter(|node| wanted(node)).collect() };
    let mut picked = pick(|node| node.status == Status::Fail);
    if picked.is_empty() {
        picked =
            pick(|node| !matches!(node.status, Status::Success | Status::Skip | Status::Waiting | Status::Running));
    }
    if picked.is_empty() {
        picked = pick(|node| node.log_path.is_some());
        picked.sort_by_key(|node| std::cmp::Reverse(node.start_time));
    }
    picked.into_iter().take(NODES_MAX).map(part).collect()
}

fn part(node: &Node) -> NodePart {
    NodePart {
        name: node.name.clone(),
        kind: node.kind.clone(),
        status: node.status,
        retries: node.retries,
        start_time: node.start_time,
        end_time: node.end_time,
        log_path: node.log_path.clone(),
        log_tail: node.log_tail.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, status: Status, log_path: Option<&str>, start_seconds: i64) -> Node {
        Node {
            name: name.into(),
            kind: None,
            status,
            raw_status: status.to_string(),
            retries: None,
            start_time: jiff::Timestamp::from_second(start_seconds).ok(),
            end_time: None,
            log_path: log_path.map(str::to_string),
            log_tail: None,
        }
    }

    fn names(nodes: &[Node]) -> Vec<String> {
        failing_nodes(nodes).into_iter().map(|part| part.name).collect()
    }

    #[test]
    fn failed_nodes_come_before_everything_else() {
        let nodes = [
            node("ok", Status::Success, Some("obs://a"), 1),
            node("stopped", Status::ManualStop, None, 2),
            node("broken", Status::Fail, None, 3),
        ];
        assert_eq!(names(&nodes), ["broken"]);
    }

    #[test]
    fn without_a_failed_node_the_odd_ones_are_told() {
        let nodes = [
            node("ok", Status::Success, Some("obs://a"), 1),
            node("strange", Status::Unknown, None, 2),
            node("later", Status::Waiting, None, 3),
        ];
        assert_eq!(names(&nodes), ["strange"]);
    }

    #[test]
    fn when_all_went_well_the_logs_are_told_latest_first() {
        let nodes = [
            node("dummy", Status::Success, None, 9),
            node("first", Status::Success, Some("obs://a"), 1),
            node("second", Status::Success, Some("obs://b"), 5),
        ];
        assert_eq!(names(&nodes), ["second", "first"]);
    }
}
