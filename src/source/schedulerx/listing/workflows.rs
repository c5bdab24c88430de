//! The workflows' part of a listing.

use super::reader::Reader;
use crate::limits::SCHEDULERX_WORKFLOWS_PER_POLL;
use crate::model::{Instance, JobRef, Unread};
use crate::source::schedulerx::workflow;

impl Reader<'_> {
    /// Adds the instances of the workflows, where they are listened to; tells which were not read.
    pub(super) async fn add_workflows(&mut self, instances: &mut Vec<Instance>) -> Vec<Unread> {
        if !self.source.client.api.settings.workflows {
            return Vec::new();
        }
        let part = workflow::read(self.source, self.window).await;
        self.calls += part.calls;
        self.set_aside.extend(part.set_aside);
        instances.extend(part.instances);
        if let Some(count) = part.taking_turns {
            let polls = count.div_ceil(SCHEDULERX_WORKFLOWS_PER_POLL);
            self.warn("turns", format!("there are {count} workflows: each is read at every {polls}th poll or so"));
        }
        let (names, directory) = {
            let state = self.source.state();
            (state.workflows.names(), state.directory.clone())
        };
        for (name, id) in names {
            let job = JobRef { name, id: None };
            if let Some(namesake) = directory.candidates(&job).first() {
                let (name, other) = (&job.name, &namesake.id);
                let text = format!(
                    "the workflow {id} and the job {other} are both called {name:?}: a success of one is taken for a \
                     success of the other"
                );
                self.warn(&format!("workflow {id}"), text);
            }
        }
        part.unread
    }
}
